/* The job spec: one flat JSON object is the one shape of a job, from the command line to the report.
 *
 * jobspec.c holds the one table of its parameters: name, type, range, default, which kinds use it, one sentence
 * of help. Parsing, validation, the client's flags and help, and docs/jobspec.md are all driven by that table.
 * To add a parameter: a field here, a row there, and the line that uses it.
 *
 * A spec has two forms. QUEUED is what a user submits: models and references are names of the daemon's
 * configuration and output is decided by the daemon. EXEC is what a worker runs: names are replaced by files. */
#ifndef SPEC_JOBSPEC_H
#define SPEC_JOBSPEC_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/nearest.h"
#include "spec/jobkind.h"
#include "spec/metric.h"
#include "spec/modelrole.h"

typedef enum JobForm { FORM_QUEUED, FORM_EXEC } JobForm;
typedef enum JobPick { PICK_SAMPLE, PICK_ARGMAX } JobPick;
typedef enum JobClasses { CLASSES_UNIFORM, CLASSES_BALANCED, CLASSES_LIST } JobClasses;
typedef enum JobPrecision {
    PRECISION_FP32,
    PRECISION_TF32,
    PRECISION_FP16,
    PRECISION_BF16,
    PRECISION_AUTO /* not given: fp32 on the CPU, fp16 on CUDA */
} JobPrecision;
typedef enum JobPipeline {
    PIPELINE_PT,   /* resized as pytorch-fid does */
    PIPELINE_TF,   /* as the TensorFlow graph of the ADM evaluator does */
    PIPELINE_BOTH, /* both, pt first */
    PIPELINE_AUTO  /* not given: the reference's pipeline, else pt */
} JobPipeline;
typedef enum JobLike { LIKE_EXACT, LIKE_PYTORCH_FID } JobLike;

/* Bits of `save`. */
enum { SAVE_PNG = 1 << 0, SAVE_NPZ = 1 << 1, SAVE_CODES = 1 << 2, SAVE_VECTORS = 1 << 3, SAVE_FEATURES = 1 << 4 };

typedef struct JobSpec {
    JobKind kind;
    /* names, QUEUED form (all optional but model for sample, reference for evaluate) */
    char *name;    /* the output folder's name; default the job's id */
    char *recipe;  /* the recipe this came from, for the report */
    char *changed; /* what is not as in the recipe: "split_t 30, images 64" */
    char *model;   /* [model NAME] of ddq.conf */
    /* files, EXEC form */
    char *family;             /* of the model (spec/model.h); NULL: the first one */
    char *files[MODEL_ROLES]; /* of the model, by role; NULL: none */
    char *parts[MODEL_ROLES]; /* of each file; NULL: the usual one */
    int heads;                /* 0: by the files (worker/weights/sizes.h) */
    int grid; /* tokens per side; 0: by the noise file or the tokenizer's levels (worker/weights/sizes.h) */
    /* the sampler (docs/dev/models.md) */
    int *t_list;
    int t_count;
    int split_t;         /* -1: not given, which is valid if only the teacher runs */
    int teacher_start_t; /* -1: few-step, no teacher */
    double cfg_scale;
    int cfg_interval;
    int top_k; /* 0: off */
    double top_p, temperature;
    JobPick pick;
    int64_t images;
    uint64_t seed;
    JobClasses classes;
    int *class_list;
    int class_count;
    char *noise, *labels; /* .npy files [n,L,C] and [n], or NULL */
    JobPrecision precision;
    int batch;     /* 0: chosen by the worker */
    unsigned save; /* SAVE_ bits */
    /* evaluation */
    char *source;     /* JSON name "images" of evaluate and statistics: a folder or .npz */
    char *inception;  /* EXEC: weights file */
    char *reference;  /* QUEUED: a registered name; EXEC: a statistics file, a folder or an array of images */
    unsigned metrics; /* METRIC_ bits; if not given: FID if there is a reference, else none */
    JobPipeline pipeline;
    int neighbours; /* k of precision, recall, density, coverage */
    JobLike like;
    int skip_bad; /* 1: unreadable images are left out with a warning; 0: they fail the job */
    /* NaN if there is none; printed next to the measured values */
    double published_fid, published_is, published_precision, published_recall;
    char *register_as; /* JSON name "register": QUEUED a reference's name, EXEC OUTPUT_ROOT/references/NAME */
    char *owner;       /* EXEC: user who will own that reference */
    /* where */
    char *device; /* "cpu", "cuda" or a UUID; NULL in a QUEUED spec: any device */
    char *output; /* EXEC: a folder */
} JobSpec;

/* Parses and validates. On failure *ret_spec is untouched and err names the field, what it is and what it may be;
 * an unknown field is an error that suggests the nearest name. The caller owns *ret_spec (jobspec_free). */
bool jobspec_parse(const cJSON *object, JobForm form, JobSpec **ret_spec, Err *err);
bool jobspec_parse_text(const char *json, JobForm form, JobSpec **ret_spec, Err *err);

/* The same spec as a flat JSON object, fields in table order, defaults included, absent optional ones left out.
 * The caller owns the result (cJSON_Delete). */
cJSON *jobspec_to_json(const JobSpec *spec, JobForm form);

/* Whether the job measures features; with a reference it does in any case. */
bool jobspec_needs_network(const JobSpec *spec);

void jobspec_free(JobSpec *spec); /* NULL is fine */

/* Sets one field from the text of a command-line flag ("0,80", "2.0", "png,codes") in a JSON object that
 * jobspec_parse will read later. Fails on an unknown name, with a suggestion, or on text that is not of the field's
 * type. */
bool jobspec_set_text(cJSON *object, const char *field, const char *text, Err *err);

/* One line per field of a kind, for the help of `ddq submit`. Caller frees. */
char *jobspec_describe(JobKind kind, JobForm form);
char *jobspec_print(void); /* all kinds as Markdown: docs/jobspec.md. Caller frees. */

/* The table itself, for flags and completion: the name of the i-th field, NULL past the end. Each name occurs once,
 * even if its rows differ between kinds ("images" is a number for sample and a path for evaluate). */
const char *jobspec_field_name(int i);

const char *jobspec_kind_name(JobKind kind);

#endif
