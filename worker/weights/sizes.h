/* The two sizes of a model that its weights do not show: how many heads, and how many tokens per side. Each is what the
 * caller says, else what the file says (a freqs_cis, the table of rotary positions, has both), else that of the
 * published model with this width and these layers, else a guess, which is marked, or an error where guesses go wrong.
 */
#ifndef WORKER_WEIGHTS_SIZES_H
#define WORKER_WEIGHTS_SIZES_H

#include "worker/weights/weights.h"

typedef struct SizeChoice {
    int value;
    const char *from; /* where it comes from, in words: "published size GPT-3B" */
    bool assumed;     /* a guess, of which the user is warned */
} SizeChoice;

/* A model of LlamaGen, or of this repository. */
typedef struct PublishedSize {
    const char *name, *from;
    int width, layers, heads;
    int grid;  /* of the files that were published for 256 pixels; 0: there are none */
    bool ours; /* a small model of this repository, none of LlamaGen's */
} PublishedSize;

/* layers 0: the one of LlamaGen that has this width. NULL if there is none. */
const PublishedSize *published_size(int width, int layers);

/* given 0: not said by the caller. role: "student" or "teacher", for messages. */
bool sizes_heads(const Weights *weights, const char *role, int width, int layers, int given, SizeChoice *ret_heads,
                 Err *err);

/* One model that will run on the grid. */
typedef struct SizedModel {
    const Weights *weights; /* NULL: there is none */
    const char *role;
    int width, layers;
} SizedModel;

/* levels: of the tokenizer. given 0: not said by the caller; negative or too large: an error. */
bool sizes_grid(const SizedModel *models, int count, int levels, int given, SizeChoice *ret_grid, Err *err);

#endif
