/* The workshop: what a worker keeps between jobs. One device, its backends by precision, one sampler and one Inception
 * network in memory, one source of images. Asking for what is warm costs a few stat calls; asking for something else
 * replaces it.
 *
 * A model is the same while path, inode, size and time of change of its files are, and the precision. What is handed
 * out belongs to the workshop and lives until the next call that replaces it. */
#ifndef WORKER_MODELS_MODEL_CACHE_H
#define WORKER_MODELS_MODEL_CACHE_H

#include "core/jobspec.h"
#include "kernels/backend.h"
#include "worker/images/images.h"
#include "worker/models/inception.h"
#include "worker/models/sampler.h"

typedef struct Workshop Workshop;
Workshop *workshop_new(const char *device, int threads);
void workshop_free(Workshop *shop);
char *workshop_warm(const Workshop *shop); /* JSON array of the model files in memory; caller frees */

/* Where measured references are remembered (worker/evaluate/reference.h): NULL, as at first, is the user's own cache.
 */
void workshop_set_cache(Workshop *shop, const char *folder);
const char *workshop_cache(const Workshop *shop);

/* A job's device must be this one: "cpu", "cuda" (any GPU), or the UUID. */
bool workshop_serves(const Workshop *shop, const char *device, Err *err);
const char *workshop_device(const Workshop *shop); /* as it was asked for */
bool workshop_is_host(const Workshop *shop);       /* runs on the CPU */

/* What `precision` means here: AUTO is fp32 on the CPU and fp16 on CUDA. Features for the FID never go below tf32. */
Precision workshop_precision(const Workshop *shop, JobPrecision precision);
Precision workshop_feature_precision(const Workshop *shop, JobPrecision precision);
const char *precision_name(Precision precision);

/* The device itself, for products that are no model's. It belongs to the workshop. */
Backend *workshop_backend(Workshop *shop, Precision precision, Err *err);
/* *ret_warm (may be NULL) says whether it was in memory. A sampler with a teacher serves a plan without one. */
Sampler *workshop_sampler(Workshop *shop, const SamplerFiles *files, Precision precision, bool *ret_warm, Err *err);
/* The same model in bf16 beside the one that is in memory, for batches that fp16 has no room for; loaded when first
 * asked for, and dropped with the other. */
Sampler *workshop_spare(Workshop *shop, const SamplerFiles *files, Err *err);
Inception *workshop_inception(Workshop *shop, const char *path, Precision precision, bool *ret_warm, Err *err);
/* The images of a job (named by its output folder), which is asked for them range by range: listed anew when a folder
 * changed since, or for another job. */
ImageSource *workshop_source(Workshop *shop, const char *job, const char *path, Err *err);
/* The device's name once a backend was opened, else "". */
const char *workshop_device_name(const Workshop *shop);

#endif
