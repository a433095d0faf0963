/* What the files of the report phase share; no other file includes it. phase.c has the order of steps.
 *
 * arrays.c    shards into whole arrays
 * metrics.c   statistics, figures, and where they come from
 * labels.c    how images came by their classes
 * gallery.c   pictures of the page */
#ifndef WORKER_REPORT_PARTS_H
#define WORKER_REPORT_PARTS_H

#include "worker/job/parts.h"
#include "worker/report/report.h"

typedef struct Reporting {
    Run *run;
    const Hooks *hooks;
    Shards shards;
    Merged all;      /* the rows, where the job has features */
    cJSON *outputs;  /* names of the files that were made */
    cJSON *made;     /* which devices made how many images */
    cJSON *measured; /* the measurements of report.json; empty when nothing was measured */
    Statistics *stats;
} Reporting;

/* --- parts.c ----------------------------------------------------------------------------------- */

char *reporting_path(const Reporting *r, const char *name); /* in the output folder; caller frees */
void reporting_produced(Reporting *r, const char *name);    /* adds it to `outputs` */

/* --- arrays.c ---------------------------------------------------------------------------------- */

/* codes.npy, vectors.npy, samples.npz, as `save` asks for them. */
bool reporting_arrays(Reporting *r, Err *err);

/* Rows of features as arrays into r->all, and into files where `save` says so; notes peculiarities of the images. */
bool reporting_merge(Reporting *r, Err *err);

/* --- metrics.c --------------------------------------------------------------------------------- */

/* statistics.npz, and everything that the job's `metrics` ask for, into r->measured. */
bool reporting_measure(Reporting *r, Err *err);

/* --- labels.c ---------------------------------------------------------------------------------- */

/* How the classes of a sampling job's images were chosen, in words; NULL for other jobs. Notes when classes that were
 * given are unequal. Caller frees. */
char *reporting_labels(Reporting *r);
/* The number of classes of the model, from the shards; 0: they do not have it. */
int reporting_classes(const Reporting *r);

/* --- gallery.c --------------------------------------------------------------------------------- */

enum { REPORTING_GALLERIES = 3 };

/* Nearest and farthest samples, and some images a class. json: the report. What cannot be shown is left out; the page
 * is no reason to fail. Returns how many were made; gallery_done each. */
int reporting_galleries(const Reporting *r, const cJSON *json, Gallery ret_galleries[REPORTING_GALLERIES]);

#endif
