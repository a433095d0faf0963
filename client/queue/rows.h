/* Jobs as a table shows them: the rows of ddq_list, read in place. Ten thousand of them as JSON trees would cost more
 * than all the rest of `ddq ls`. */
#ifndef CLIENT_QUEUE_ROWS_H
#define CLIENT_QUEUE_ROWS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"
#include "core/lifecycle.h"

typedef struct JobRow {
    const char *id, *user, *model, *name, *reason, *kind;
    JobState state;
    double done, images, rate, created;
} JobRow;

typedef struct Rows {
    JobRow *items;
    int count;
    char *text; /* what the items point into */
} Rows;

/* text: ddq_list's answer with rows: true; it is consumed. Errors of the answer are as of queue_reply_parse.
 * rows_free also after a failure. */
bool rows_read(char *text, Rows *ret_rows, Err *err);
void rows_free(Rows *rows);

/* The same of a job that is an object; it points into the job. */
JobRow row_of_job(const cJSON *job);
double row_eta(const JobRow *row); /* seconds; 0: unknown */

#endif
