/* The kinds of job: one table of what each kind does. Other code reads a column of the row (`jobkind_of(kind)->
 * reads_source`) and compares with a KIND_ value only if it implements that kind.
 *
 * To add a kind: a value here, a row in jobkind.c, the same row of KINDS in queue/queue.lua (test_lifecycle compares
 * them), its bit in the rows of the fields it takes (jobspec.c), and what the worker does for it (docs/howto.md). */
#ifndef SPEC_JOBKIND_H
#define SPEC_JOBKIND_H

#include <stdbool.h>

typedef enum JobKind { KIND_SAMPLE, KIND_EVALUATE, KIND_STATISTICS, JOB_KINDS } JobKind;

typedef enum JobMeasures {
    MEASURES_NOTHING,  /* the kind has no `metrics` */
    MEASURES_IF_ASKED, /* `metrics`, or a reference to compare with */
    MEASURES_ALWAYS    /* at least one metric; default FID */
} JobMeasures;

typedef struct JobKindRow {
    bool uses_model;           /* runs a model of the configuration; inputs are noise and labels */
    bool makes_images;         /* its results are new images: PNGs, a contact sheet, samples.npz */
    bool reads_source;         /* its `images` is a path, and a survey counts them; else `images` is their number */
    bool needs_network;        /* every such job runs the FID network; others only when they measure */
    JobMeasures measures;      /* its metrics by default */
    bool counts_against_quota; /* its images count as queued and made images of the user */
} JobKindRow;

extern const char *const jobkind_words[]; /* "sample", ... by JobKind, and NULL at the end */

const JobKindRow *jobkind_of(JobKind kind);
/* The row of that name; NULL if there is none. name may be NULL. */
const JobKindRow *jobkind_named(const char *name);

#endif
