/* FID in three steps: moments of features, statistics of moments, the distance of two statistics.
 *
 *     Moments *m = moments_new(2048);
 *     moments_add(m, features, count, err);                    any number of times, any split
 *     moments_finish(m, &ours, err);
 *     statistics_load("imagenet256.npz", &reference, err);
 *     frechet_distance(ours, reference, &frechet, err);
 *
 * Everything is float64; docs/fid.md has the definitions and what goes wrong in less. */
#ifndef WORKER_METRICS_FID_H
#define WORKER_METRICS_FID_H

#include "worker/metrics/frechet.h"
#include "worker/metrics/moments.h"
#include "worker/metrics/statistics.h"

#endif
