/* Moments: streaming sums of features and of their products, the same bits on every machine.
 *
 * Sums are formed per group of MOMENTS_GROUP consecutive rows counted from row 0, and groups are added in order; within
 * a group each entry adds its rows in order. So neither how rows arrive, nor threads, nor vector width change a bit. */
#ifndef WORKER_METRICS_MOMENTS_H
#define WORKER_METRICS_MOMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "worker/metrics/statistics.h"

#define MOMENTS_GROUP 500

typedef struct Moments Moments;
Moments *moments_new(int dim);
void moments_free(Moments *m); /* NULL is fine */

/* Adds rows [count,dim]. A NaN or infinity is an error that names the row (image) index; nothing is added then. */
bool moments_add(Moments *m, const float *rows, int64_t count, Err *err);
int64_t moments_count(const Moments *m);

/* Mean and unbiased covariance of the rows so far; more may be added later. Fewer than 2 rows is an error.
 * The caller sets ret_stats->pipeline if it wants it saved. */
bool moments_finish(const Moments *m, Statistics **ret_stats, Err *err);

/* The same without some of the rows, whose sums are `part` (rows of m, in any order, as wide). At least 2 must stay. */
bool moments_finish_without(const Moments *m, const Moments *part, Statistics **ret_stats, Err *err);

#endif
