/* The model cache: what a worker keeps between jobs. One device, its backends by precision, one model and one Inception
 * network in memory, one source of images. A request for what is in memory costs a few stat calls; a request for
 * anything else replaces it.
 *
 * A model is the same while path, inode, size and time of change of its files are, and the precision. Returned objects
 * belong to the cache and are valid until the next call that replaces them. */
#ifndef WORKER_MODELS_MODEL_CACHE_H
#define WORKER_MODELS_MODEL_CACHE_H

#include "kernels/backend.h"
#include "spec/jobspec.h"
#include "worker/images/images.h"
#include "worker/models/family.h"
#include "worker/models/inception.h"

typedef struct ModelCache ModelCache;
ModelCache *model_cache_new(const char *device, int threads);
void model_cache_free(ModelCache *models);
char *model_cache_warm(const ModelCache *models); /* JSON array of the model files in memory; caller frees */

/* The folder that keeps measured references (worker/evaluate/reference.h): NULL, as at first, is the user's own cache.
 */
void model_cache_set_folder(ModelCache *models, const char *folder);
const char *model_cache_folder(const ModelCache *models);

/* A job's device must be this one: "cpu", "cuda" (any GPU), or the UUID. */
bool model_cache_serves(const ModelCache *models, const char *device, Err *err);
const char *model_cache_device(const ModelCache *models); /* as it was asked for */
bool model_cache_is_host(const ModelCache *models);       /* runs on the CPU */

/* What `precision` means here: AUTO is fp32 on the CPU and fp16 on CUDA. Features for the FID never go below tf32. */
Precision model_cache_precision(const ModelCache *models, JobPrecision precision);
Precision model_cache_feature_precision(const ModelCache *models, JobPrecision precision);
const char *precision_name(Precision precision);

/* The device itself, for matrix products outside models. It belongs to the cache. */
Backend *model_cache_backend(ModelCache *models, Precision precision, Err *err);
/* *ret_warm (may be NULL): whether it was in memory. A model with more files than asked for serves as well. */
Model *model_cache_model(ModelCache *models, const Family *family, const ModelFiles *files, Precision precision,
                         bool *ret_warm, Err *err);
/* The same model in bf16 beside the one that is in memory, for batches with numbers that fp16 cannot hold; loaded when
 * it is first asked for, and dropped with the other. */
Model *model_cache_spare(ModelCache *models, const Family *family, const ModelFiles *files, Err *err);
Inception *model_cache_inception(ModelCache *models, const char *path, Precision precision, bool *ret_warm, Err *err);
/* The one that is in memory; NULL: none was asked for. */
const Inception *model_cache_loaded_inception(const ModelCache *models);
/* The images of a job (named by its output folder), which is asked for them range by range: listed again when a
 * folder has changed, or for another job. */
ImageSource *model_cache_source(ModelCache *models, const char *job, const char *path, Err *err);
/* The device's name once a backend was opened, else "". */
const char *model_cache_device_name(const ModelCache *models);

#endif
