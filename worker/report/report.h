/* The results of a finished job: report.json for programs, report.html for people, fid.txt.
 *
 * report.json is written last of all files, so a folder that has it has everything. The page shows what is in the JSON
 * and nothing else, beside pictures; it is one file without scripts or links. docs/report.md lists the keys. */
#ifndef WORKER_REPORT_REPORT_H
#define WORKER_REPORT_REPORT_H

#include "worker/job/identity.h"
#include "worker/job/timing.h"
#include "worker/metrics/statistics.h"

typedef struct Report {
    const JobSpec *spec;
    const Identity *identity;
    int64_t images;
    double seconds[STAGES];
    const cJSON *made;       /* array: {device, precision, ..., images}, how the shards were made */
    const cJSON *warnings;   /* array of sentences */
    const cJSON *outputs;    /* array of file names */
    const Statistics *stats; /* NULL: no features */
    const cJSON *measured;   /* goes in as it is: pipeline, figures, reference, ... (metrics.c); NULL: nothing */
    const char *labels;      /* how the classes of images were chosen; NULL where there are none */
} Report;

char *report_json(const Report *report); /* the text of report.json; caller frees */

/* Pictures of a page that belong together. */
typedef struct Picture {
    char *caption; /* owned, like the bytes */
    unsigned char *png;
    size_t size;
} Picture;

typedef struct Gallery {
    const char *title, *about; /* about: a sentence under the title, or NULL */
    Picture *pictures;
    int count;
} Gallery;
void gallery_done(Gallery *gallery);

typedef struct Page {
    const unsigned char *sheet; /* the bytes of grid.png; size 0: none */
    size_t sheet_size;
    const Gallery *galleries;
    int gallery_count;
} Page;

/* json: what report.json says. Caller frees. */
char *report_html(const cJSON *json, const Page *page);

#endif
