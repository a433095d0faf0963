/* What the files of the job spec share: jobspec.c (the table), jobfield.c (the types that a field can have: JSON value
 * <-> JobSpec member <-> text of a flag), jobrules.c (rules between fields), jobtraits.c (functions that read the
 * columns role and traits). Others include spec/jobspec.h or spec/jobtraits.h.
 *
 * jobspec.c holds the rows; a type holds what all rows of that type do. To add a type: an enum value here, its three
 * functions and its row in jobfield.c. */
#ifndef SPEC_JOBSPEC_PARTS_H
#define SPEC_JOBSPEC_PARTS_H

#include "spec/jobroles.h"
#include "spec/jobspec.h"

typedef enum FieldType {
    TYPE_TEXT,    /* char *: a path or free text */
    TYPE_NAME,    /* char *: becomes a file name, so letters, digits, . _ - */
    TYPE_INT,     /* int, int64_t or uint64_t by `size`; -1 without a default means absent */
    TYPE_REAL,    /* double; NaN means absent */
    TYPE_WORD,    /* an enum, one of `words` */
    TYPE_SET,     /* unsigned bits, any of `words` whose bits are in `max` */
    TYPE_STEPS,   /* JobSpec.t_list: integers that increase from 0 */
    TYPE_CLASSES, /* JobSpec.classes: a word or a list of labels */
    FIELD_TYPES
} FieldType;

typedef struct JobField {
    const char *name;
    FieldType type;
    size_t offset, size; /* of the member */
    unsigned kinds;      /* bits 1 << JobKind */
    unsigned forms;      /* bits 1 << JobForm */
    FieldRole role;      /* what it changes; a test fails if it is 0 */
    unsigned traits;     /* bits: which other code uses the field */
    bool required;
    const char *fallback; /* the default as a flag's text; NULL: absent */
    double min, max;
    const char *const *words; /* ends with NULL */
    const char *help;         /* one sentence */
} JobField;

/* The i-th row of the table in jobspec.c; NULL past the end. */
const JobField *jobspec_row(int i);

/* Stores the JSON value in its member; errors name the field, what it is and what it may be. */
bool jobfield_decode(const JobField *field, const cJSON *value, JobSpec *spec, Err *err);
/* The member as JSON; NULL when it is absent. */
cJSON *jobfield_encode(const JobField *field, const JobSpec *spec);
/* A flag's text as a JSON value of the right type; ranges are checked by jobfield_decode. */
cJSON *jobfield_from_text(const JobField *field, const char *text, Err *err);
/* "1 to 4096", "fp32, tf32, fp16 or bf16": what the field may be. Caller frees. */
char *jobfield_may_be(const JobField *field);

/* --- jobrules.c --------------------------------------------------------------------------------------- */

/* The default metrics: fid if there is a reference, else none. An evaluate job without metrics always gets fid, so that
 * a missing reference is an error. */
unsigned jobrules_metrics(const JobSpec *spec);

/* All fields are decoded and defaults are in place; `metrics` too. Errors name the field that has to change. */
bool jobrules_check(const JobSpec *spec, JobForm form, Err *err);

#endif
