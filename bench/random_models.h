/* Models of the published sizes with generated random weights, so that no checkpoint is needed: benchmarks open them
 * through sampler_open_weights. The same weights every time. */
#ifndef BENCH_RANDOM_MODELS_H
#define BENCH_RANDOM_MODELS_H

#include "worker/weights/weights.h"

/* Of the tokenizer VQ-16 and ImageNet. */
enum { CODES = 16384, CHANNELS = 8, CLASSES = 1000, GRID = 16, TOKENS = GRID * GRID };

typedef struct RandomSize {
    int layers, width, hidden;
} RandomSize;

enum { SIZE_B, SIZE_L, RANDOM_SIZES };
extern const RandomSize random_sizes[RANDOM_SIZES]; /* GPT-B, GPT-L */

typedef struct RandomEntry RandomEntry;
typedef struct RandomModel {
    RandomEntry *entries;
    int count;
} RandomModel;

RandomModel random_transformer(const RandomSize *size, bool student); /* a student, or a teacher */
RandomModel random_tokenizer(void);                                   /* codebook and decoder */
Weights random_weights(const RandomModel *model);                     /* the model must live as long */
void random_model_free(RandomModel *model);

#endif
