/* What a job's output is made of, so that a folder can say which job it holds.
 *
 * `images` names everything that the shards depend on: models by content, sampler, seed, labels, noise, what is saved.
 * `job` names what the report says as well: the reference, the published value, the name. Batch size, device and paths
 * are in neither, because they change nothing. */
#ifndef WORKER_JOB_IDENTITY_H
#define WORKER_JOB_IDENTITY_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "core/err.h"
#include "spec/jobspec.h"
#include "worker/images/images.h"

#define IDENTITY_ALGORITHM                                                                                             \
    1 /* raise it when the same job gives other bits, so old shards are not mixed with new ones */

typedef struct IdentityInput {
    const char *field; /* "student" */
    const char *path;  /* as in the spec */
    char sha256[65];
    int64_t bytes;
} IdentityInput;

typedef struct Identity {
    IdentityInput inputs[MODEL_ROLES + 5]; /* the model's, noise, labels, inception, reference, images */
    int count;
    cJSON *parts; /* the fields behind `images`, to report what differs */
    char images[65], job[65];
} Identity;

/* Reads every input file to the end unless it was read before by this process. pipeline: that of the features, from the
 * spec or the reference. source: the spec's images, where they are open already; else NULL.
 */
bool identity_make(const JobSpec *spec, JobPipeline pipeline, const ImageSource *source, Identity *ret_identity,
                   Err *err);
void identity_free(Identity *identity);

/* What the job's files are, for the queue: field -> hash of its content (of images in a folder: of their names, sizes
 * and times), and under "settings" the model's settings (spec/model.h). Caller owns it. */
cJSON *identity_files(const Identity *identity, const JobSpec *spec);

/* The hash that identity_make would give the file of any field; of a reference or a source of images. */
bool identity_of_reference(const char *path, char ret_hex[65], Err *err);
bool identity_of_path(const char *path, char ret_hex[65], Err *err);

/* The first field in which two `parts` differ, as "seed is 3, wanted 4"; caller frees; NULL if none does. */
char *identity_difference(const cJSON *found, const cJSON *wanted);

#endif
