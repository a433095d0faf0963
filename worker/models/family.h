/* Model families: one table, a row per kind of model, through which the model cache and worker/job run every model.
 *
 *     const Family *family = family_find(name, err);
 *     Model *model = family->open(&files, be, err);          weights onto the device, once
 *     family->check(model, spec, err)                        can this model run this job?
 *     family->reserve(model, count, err)                     memory for batches of up to `count` images
 *     family->run(model, spec, &batch, stages, err)          any number of times
 *     family->close(model);
 *
 * What a row promises:
 *   - Image i of a job depends on (files, spec, its condition, its noise, its uniforms) alone: not on the batch that it
 *     is in, nor on what the model ran before.
 *   - `run` allocates no memory; everything it needs was made by `open` and `reserve`.
 *   - After a failure the outputs of the batch are undefined, and the model can run the next batch.
 *
 * A family's files and roles are its row in spec/model.c. To add a family: docs/dev/howto.md. */
#ifndef WORKER_MODELS_FAMILY_H
#define WORKER_MODELS_FAMILY_H

#include "kernels/backend.h"
#include "spec/jobspec.h"
#include "spec/model.h"
#include "worker/weights/built.h"

/* --- a model ------------------------------------------------------------------------------------------ */

/* Which files to open, by role; NULL: not used by the job. Paths belong to the caller. */
typedef struct ModelFiles {
    char *files[MODEL_ROLES];
    char *parts[MODEL_ROLES]; /* of each file; NULL: the usual one */
    int heads;                /* 0: by the files */
    int grid;                 /* tokens per side; 0: by the files */
} ModelFiles;

/* The shapes of a batch, which follow from the files. */
typedef struct ModelInfo {
    int grid, tokens, channels, codes, classes; /* L = tokens = grid*grid; classes without the null class */
    int image_size;                             /* S: pixels per side */
} ModelInfo;

/* An open model: the first member of a family's own struct. */
typedef struct Model {
    const struct Family *family;
    ModelInfo info;
    const Built *built; /* what was made of which file; belongs to the model */
} Model;

/* --- a batch ------------------------------------------------------------------------------------------ */

/* What the images shall show. Text embeddings would be a second kind with its own member. */
typedef enum ConditionKind { CONDITION_LABELS } ConditionKind;
typedef struct Condition {
    ConditionKind kind;
    const int32_t *labels; /* [B] */
} Condition;

/* The same condition from image `from` of the batch on. */
static inline Condition condition_from(Condition condition, size_t from)
{
    condition.labels += from;
    return condition;
}

/* Host memory, owned by the caller. Outputs that are NULL are not written. */
typedef struct ModelBatch {
    int count; /* B */
    Condition condition;
    const float *noise;   /* [B,L,C] standard normal */
    const float *uniform; /* [B,L] in [0,1), one per token that is drawn at random; NULL where `draws` is false */
    int32_t *codes;       /* [B,L]; -1 for a token without a code */
    float *vectors;       /* [B,L,C] input of the decoder */
    uint8_t *pixels;      /* [B,S,S,3] */
    float *margin;        /* [B,L] top-1 minus top-2 logit where an argmax chose the code, else NaN; tests */
} ModelBatch;

/* Called as each stage of a batch begins, with a name of worker/job/timing.c: "student", "decode". */
typedef struct Stages {
    void (*call)(const char *name, void *ctx); /* NULL: not called */
    void *ctx;
} Stages;

/* --- the table ---------------------------------------------------------------------------------------- */

typedef struct Family {
    const char *name; /* of its row in spec/model.c */
    /* Files that do not fit each other are an error; ERR_NUMERIC: the precision of `be` cannot hold a weight. */
    Model *(*open)(const ModelFiles *files, Backend *be, Err *err);
    void (*close)(Model *model);
    /* What the shapes in the files say of grid, tokens, classes and image size (the rest is 0): reads no weights. */
    bool (*sizes)(const ModelFiles *files, ModelInfo *ret_info, Err *err);
    /* A job that this model cannot run is ERR_USAGE, with the field, its value and its range. */
    bool (*check)(const Model *model, const JobSpec *spec, Err *err);
    bool (*draws)(const JobSpec *spec); /* whether the job's batches need uniform numbers */
    /* May be called again with another count. ERR_MEMORY: it does not fit. */
    bool (*reserve)(Model *model, int count, Err *err);
    /* count <= what was reserved; spec passed `check`. ERR_NUMERIC: the precision cannot hold a number. */
    bool (*run)(Model *model, const JobSpec *spec, ModelBatch *batch, const Stages *stages, Err *err);
} Family;

extern const Family family_llamagen_dd; /* llamagen_dd.c */

const Family *family_find(const char *name, Err *err); /* as spec/model.h; ERR_USAGE when there is none */
/* Of a job's files only those that the job reads (spec/model.h). grid: where the spec gives none. */
ModelFiles family_files(const JobSpec *spec, int grid);
void model_close(Model *model); /* by its family; NULL is fine */

#endif
