/* Jobs as a table shows them: the rows of ddq_list, each a list of cells in the order of its columns. */
#ifndef CLIENT_QUEUE_ROWS_H
#define CLIENT_QUEUE_ROWS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"
#include "spec/lifecycle.h"

typedef struct JobRow {
    const char *id, *user, *model, *name, *reason, *kind, *recipe, *state_word;
    JobState state;
    double done, images, rate, created;
    double fid; /* -1: none */
} JobRow;

typedef struct Rows {
    JobRow *items;
    int count;
    cJSON *reply; /* what the items point into */
} Rows;

/* reply: ddq_list's answer with rows: true; it is consumed. rows_free also after a failure. */
bool rows_read(cJSON *reply, Rows *ret_rows, Err *err);
void rows_free(Rows *rows);

/* The same of a job that is an object; it points into the job. */
JobRow row_of_job(const cJSON *job);
double row_eta(const JobRow *row); /* seconds; 0: unknown */

#endif
