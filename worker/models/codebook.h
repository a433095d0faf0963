/* The tokenizer's codebook: rows scaled to unit length, on the host (vectors are put together there) and in the backend
 * (the nearest-code search). */
#ifndef WORKER_MODELS_CODEBOOK_H
#define WORKER_MODELS_CODEBOOK_H

#include "worker/weights/weights.h"

typedef struct Codebook {
    Backend *be;
    int codes, channels;
    float *rows;    /* host [V,C] */
    int32_t *first; /* [V]: the first row with the same numbers; what a nearest-code search finds for a row itself */
    Tensor device;  /* [V,C] */
} Codebook;

bool codebook_load(Codebook *ret_codebook, const Weights *weights, Backend *be, Err *err);
void codebook_free(Codebook *codebook); /* a zeroed one is fine */

#endif
