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

#include "worker/weights/built.h"
#include "worker/models/family.h"
#include "worker/models/plan.h"

typedef struct Sampler Sampler;

typedef struct SamplerFiles {
    const char *student, *teacher, *tokenizer; /* paths; student or teacher may be NULL when the plan needs none */
    int heads, grid;                           /* tokens per side; 0: as worker/weights/sizes.h says */
    const char *student_part, *teacher_part, *tokenizer_part; /* as ckpt_open_part; NULL: the usual one */
} SamplerFiles;

/* Loads and packs. Sizes are read off tensor shapes; a file that does not fit the others is an error, and so is one
 * with a tensor that no network read (built.h). */
Sampler *sampler_open(const SamplerFiles *files, Backend *be, Err *err);
/* The same from any source of weights (worker/weights/weights.h), needed until it returns: benchmarks bring random
 * ones.
 */
struct Weights;
Sampler *sampler_open_weights(const struct Weights *student, const struct Weights *teacher,
                              const struct Weights *tokenizer, int heads, int grid, Backend *be, Err *err);
/* grid, tokens, classes and image size of the files, by the shapes in them: no weights are read, no device is used. */
bool sampler_sizes(const SamplerFiles *files, ModelInfo *ret_info, Err *err);
void sampler_close(Sampler *sampler); /* NULL is fine */
const ModelInfo *sampler_info(const Sampler *sampler);
const Built *sampler_built(const Sampler *sampler); /* empty when it was not made of files */

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
