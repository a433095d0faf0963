/* Runs side by side: their reports read, and what may be compared with what.
 *
 * Two results are comparable if they have the same reference (by content), pipeline, network and number of images, and
 * for metrics of neighbours the same k. Results that are not comparable are marked. */
#ifndef CLIENT_JOBS_COMPARE_RUNS_H
#define CLIENT_JOBS_COMPARE_RUNS_H

#include <cjson/cJSON.h>

#include "core/err.h"

/* The report.json at a path: a job's folder or the file itself. The caller owns it. Errors name the path and what it
 * is instead. */
bool compare_read(const char *path, cJSON **ret_report, Err *err);

/* reports: at least two, with a name for each. Gives
 *     {"runs": [{name, images, n, pipeline, reference, reference_sha256, weights_sha256, neighbours}],
 *      "differs": [{what, values: [text]}],               what is not the same in all runs
 *      "figures": [{figure, title, pipeline, values: [{value, low?, high?, deviation?, comparable, differs: [what],
 *                   delta?, overlap?}]}]}
 * values are in the order of the runs, null where a run has no such figure. delta is against the first run; overlap:
 * whether the two intervals do, absent when one has none. A run without the pipeline of a row has its own there and
 * differs in it. The caller owns the result. */
cJSON *compare_runs(const cJSON *const *reports, const char *const *names, int count);

/* What the intervals of a value and of the first run's say, in words; "" where one of them has none. Two that overlap
 * do not show that the runs are equal, only that this measurement does not tell them apart. */
const char *compare_overlap(const cJSON *value);

#endif
