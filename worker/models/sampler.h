/* The Distilled Decoding samplers: labels and noise in, codes, latent vectors and pixels out. This is the family
 * LlamaGen-DD; other code reaches it through worker/models/family.h.
 *
 *     Sampler *s = sampler_open(&files, be, err);                weights into the backend, once
 *     sampler_run(s, &plan, &batch, err);                        any number of times
 *
 * docs/dev/models.md defines what is computed. Image i of a job depends on (models, plan, seed, i) alone: noise comes
 * from Philox by image index (core/philox.h), every backend op is batch-invariant, and so is this. */
#ifndef WORKER_MODELS_SAMPLER_H
#define WORKER_MODELS_SAMPLER_H

#include "worker/models/family.h"
#include "worker/models/plan.h"

typedef struct Sampler Sampler;

typedef struct SamplerFiles {
    const char *student, *teacher, *tokenizer; /* paths; student or teacher may be NULL when the plan needs none */
    int heads;                                 /* 0: width / 64 */
    int grid; /* tokens a side; 0: by the tokenizer's levels (no file says it), below */
} SamplerFiles;

/* The grid is in no checkpoint: rotary positions are computed and convolutions take any size. With grid 0 it follows
 * from the tokenizer's levels: 5 (VQ-16) 16, 4 (VQ-8) 32, 3 (the digits family) 8. A noise file [n,L,C] gives sqrt(L).
 */

/* Loads and packs. Sizes are read off tensor shapes; a file that does not fit the others is an error. */
Sampler *sampler_open(const SamplerFiles *files, Backend *be, Err *err);
/* The same from any source of weights (worker/models/weights.h), needed until it returns: benchmarks bring random ones.
 */
struct Weights;
Sampler *sampler_open_weights(const struct Weights *student, const struct Weights *teacher,
                              const struct Weights *tokenizer, int heads, int grid, Backend *be, Err *err);
void sampler_close(Sampler *sampler); /* NULL is fine */
const ModelInfo *sampler_info(const Sampler *sampler);

/* Makes room for batches of up to `count`; may be called again with another size. False with ERR_MEMORY if it does not
 * fit. */
bool sampler_reserve(Sampler *sampler, int count, Err *err);

/* A plan that this model cannot run is an error that says which value and which range. */
bool sampler_check(const Sampler *sampler, const SamplerPlan *plan, Err *err);

/* Runs one batch, count <= what was reserved. `stage` is called (if not NULL) as the work goes on: "student",
 * "teacher", "decode". */
bool sampler_run(Sampler *sampler, const SamplerPlan *plan, ModelBatch *batch,
                 void (*stage)(const char *name, void *ctx), void *ctx, Err *err);

#endif
