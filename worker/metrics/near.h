/* The nearest other rows of every row of a set, by true squared distance. */
#ifndef WORKER_METRICS_NEAR_H
#define WORKER_METRICS_NEAR_H

#include "worker/metrics/pairs.h"

typedef struct Near {
    int64_t count;
    int length;     /* neighbours kept a row */
    double *d2;     /* [count,length] rising */
    int64_t *index; /* [count,length] */
} Near;

/* How far a metric of several passes has come, in tiles. */
typedef struct TileProgress {
    const MetricHooks *hooks;
    const char *metric;
    int64_t done, total;
} TileProgress;
int64_t near_tiles(int64_t count); /* that near_find will do */
bool tile_done(TileProgress *progress, Err *err);

/* length < set->count. Centres the pairs on the set. */
bool near_find(Pairs *pairs, const Features *set, int length, TileProgress *progress, Near *ret_near, Err *err);
void near_free(Near *near); /* a zeroed one is fine */

#endif
