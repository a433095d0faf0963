/* Model families: which files a model has, and which of them a job reads. All programs iterate over the roles here;
 * only a family's own code names one.
 *
 *     role     what one file of a model is for: "student". It is the key of [model NAME] in ddq.conf, a field of the
 *              heartbeat (a host has the file or not) and a field of a job in EXEC form (its path)
 *     family   the models of one kind: the roles they have. worker/models/family.h has the functions that run them
 *
 * To add a role: a value in modelrole.h, its row in model.c, its row in spec/jobspec.c. To add a family: its file
 * here (llamagen_dd.c) and in model.c's table, its file and row in worker/models/ (docs/dev/howto.md). */
#ifndef SPEC_MODEL_H
#define SPEC_MODEL_H

#include <stdbool.h>

#include "core/err.h"
#include "spec/jobspec.h"

typedef enum FileUse {
    FILE_UNUSED,   /* the family has no such file; the job does not read it */
    FILE_OPTIONAL, /* a model has at least one of these; the job reads the file if the model has it */
    FILE_REQUIRED, /* every model has it; the job requires it */
} FileUse;

/* What a model's files say of it; 0: not known. */
typedef struct ModelSizes {
    int tokens, classes; /* per image; without the null class */
    int image_size;      /* pixels per side */
} ModelSizes;

typedef struct ModelFamily {
    const char *name;                                    /* "llamagen-dd": `family` in [model NAME] and in a job */
    const char *help;                                    /* "a model is a tokenizer and a student, a teacher or both" */
    FileUse files[MODEL_ROLES];                          /* what a model has */
    FileUse (*use)(const JobSpec *spec, ModelRole role); /* what a job reads */
    /* Why a job requires an optional file, for messages: "teacher_start_t is set". */
    const char *(*why)(const JobSpec *spec, ModelRole role);
    /* Rules between the fields of its sampler. A job in QUEUED form does not state the family, which the daemon's
     * configuration does; it is checked as one of the first family. */
    bool (*check)(const JobSpec *spec, JobForm form, Err *err);
    /* Whether a model of these sizes can run the job; else ERR_USAGE with the field, its value and its range. The
     * client calls it at submit, the worker again when the model is loaded. */
    bool (*fits)(const JobSpec *spec, const ModelSizes *sizes, Err *err);
} ModelFamily;

extern const ModelFamily model_llamagen_dd; /* llamagen_dd.c */

const char *model_role_name(ModelRole role);
const char *model_role_help(ModelRole role); /* one sentence */
const char *model_role_part(ModelRole role); /* "student_part": the key and the field for the part of its file */

/* By name; NULL or "" is the first family, which needs no name. NULL if there is none of that name. */
const ModelFamily *model_family(const char *name);
const ModelFamily *model_family_at(int i); /* NULL past the last */
/* As a job names it: NULL for the first family. */
const char *model_family_word(const ModelFamily *family);

/* The settings of [model NAME] that change images as its files do, in one text. family NULL: the first. Caller frees.
 */
char *model_settings(const char *family, int heads, int grid, char *const parts[MODEL_ROLES]);

/* True when `files` (paths or NULL, by role) are a whole model of this family; else ERR_USAGE with what is missing:
 * "no tokenizer; a model is ..." */
bool model_check(const ModelFamily *family, char *const files[MODEL_ROLES], Err *err);
/* The first file, which identifies the model. */
const char *model_main_file(char *const files[MODEL_ROLES]);

#endif
