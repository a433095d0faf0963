/* Filling a range of a job's images: what was there before, the gaps between it, and a safe end. sample.c makes the
 * images of a gap and measure.c measures those that are there; the rest is the same for both and is here.
 *
 *     Filling f;
 *     if (!filling_open(&f, run, lo, hi, hooks, err)) return false;
 *     bool good = !filling_needed(&f) || (... f.writer = run_writer(...) ... && filling_gaps(&f, fill_gap, ctx, err));
 *     good = filling_close(&f, good, stage, ret_upto, err);
 */
#ifndef WORKER_JOB_FILLING_H
#define WORKER_JOB_FILLING_H

#include "worker/job/parts.h"

typedef struct Filling {
    Run *run;
    const Hooks *hooks;
    Shards shards; /* what was there before */
    int64_t lo, hi;
    int64_t made;   /* images so far */
    Writer *writer; /* set by the caller before filling_gaps; NULL: nothing is missing, or the run did not get so far */
    double start;   /* when the first gap began */
} Filling;

/* Finds the valid shards that meet lo..hi-1. On failure nothing is left to close. */
bool filling_open(Filling *f, Run *run, int64_t lo, int64_t hi, const Hooks *hooks, Err *err);

bool filling_needed(const Filling *f); /* some image has no shard */

/* Calls fill_gap for each gap in order; it adds the images at..end-1 to the writer. */
typedef bool (*FillGapFn)(void *ctx, int64_t at, int64_t end, Err *err);
bool filling_gaps(Filling *f, FillGapFn fill_gap, void *ctx, Err *err);

/* Reports images that are safe, and images per second since `start`. */
void filling_progress(const Filling *f, const char *stage);

/* Waits for the writer, also after a stop or a failure, so that what was made becomes a shard and is not made again. A
 * failure of the writer replaces a cancellation, because the user can act on it. Sets *ret_upto to the first index that
 * is not safe. Returns whether all went well. */
bool filling_close(Filling *f, bool good, const char *stage, int64_t *ret_upto, Err *err);

#endif
