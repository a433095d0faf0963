/* Every metric of two sets of features. Each part's header has its definition; docs/fid.md has them all together.
 *
 *     Features fake = {rows, n, 2048}, real = {...};
 *     frechet_distance(ours, reference, &frechet, err);          fid.h: FID, and sFID on spatial features
 *     fid_interval(&fake, reference, frechet.raw, hooks, &interval, err);
 *     fid_infinity(&fake, reference, hooks, &curve, err);
 *     score_measure(&logits, SCORE_PARTS, hooks, &score, err);
 *     kid_measure(&fake, &real, &plan, &kid, err);
 *     neighbours_measure(NULL, &fake, &real, NEIGHBOURS_DEFAULT, hooks, &neighbours, err);
 *
 * Sums, comparisons and distances are float64. A NaN is an error that names its image. Nothing depends on threads.
 * Beside the rows, which are read in place, memory does not grow with the number of images beyond a few numbers per
 * image. */
#ifndef WORKER_METRICS_METRICS_H
#define WORKER_METRICS_METRICS_H

#include "worker/metrics/features.h"
#include "worker/metrics/fid.h"
#include "worker/metrics/fid_curve.h"
#include "worker/metrics/interval.h"
#include "worker/metrics/kid.h"
#include "worker/metrics/neighbours.h"
#include "worker/metrics/score.h"

#endif
