/* What a job says about itself when it is done: report.json for programs, report.html for people, fid.txt.
 *
 * report.json is written last of all files, so a folder that has it has everything. The page shows what is in the JSON
 * and nothing else; it is one file without scripts or links, with the contact sheet inside. */
#ifndef WORKER_REPORT_H
#define WORKER_REPORT_H

#include "worker/fid.h"
#include "worker/identity.h"
#include "worker/phases.h"

typedef struct Report {
    const JobSpec *spec;
    const Identity *identity;
    int64_t images;
    double seconds[PHASES];
    const cJSON *made;       /* array: {device, precision, ..., images}, how the pieces were made */
    const cJSON *warnings;   /* array of sentences */
    const cJSON *outputs;    /* array of file names */
    const Statistics *stats; /* NULL: no features */
    const Statistics *reference;
    const Frechet *frechet;    /* NULL: no FID */
    const char *pixels_sha256; /* of measured images; NULL */
} Report;

char *report_json(const Report *report); /* the text of report.json; caller frees */

/* json: what report.json says; sheet: the bytes of grid.png. Caller frees. */
char *report_html(const cJSON *json, const unsigned char *sheet, size_t sheet_size);

/* The shortest text that reads back as the same double. */
void report_number(double value, char ret_text[32]);

#endif
