/* Frechet distances of many subsets of one set of features against one reference: the FID against the number of images,
 * what it tends to (FID-infinity, Chong and Forsyth), and the jackknife interval. The same functions serve sFID.
 *
 * Subsets are made from sums, and the reference is factored once; distances that do not depend on each other are solved
 * side by side, each on one thread, so the bits do not depend on their number. */
#ifndef WORKER_METRICS_FID_CURVE_H
#define WORKER_METRICS_FID_CURVE_H

#include "worker/metrics/features.h"
#include "worker/metrics/frechet.h"
#include "worker/metrics/interval.h"

#define FID_CURVE_POINTS 15
#define FID_CURVE_MIN    200 /* fewer images are refused */

typedef struct FidCurve {
    int points;
    int64_t count[FID_CURVE_POINTS]; /* rising; the last is all images */
    double fid[FID_CURVE_POINTS];    /* unclamped */
    double infinity;                 /* intercept of the least-squares line of fid over 1/count */
    double slope;                    /* of that line */
} FidCurve;

/* Sizes are evenly spaced from min(5000, n/10) to n; images are taken in an order shuffled once, so that a set sorted
 * by class is one set at every size. About 9 s at 2048 features on two cores, 3 s for
 * 1000 images. */
bool fid_infinity(const Features *fake, const Statistics *reference, const MetricHooks *hooks, FidCurve *ret_curve,
                  Err *err);

/* The interval around `value`, the distance of all rows (frechet_distance's raw). About 13 s at 2048 on two
 * cores, 5 s for 1000 images, 25 s for 50,000. */
bool fid_interval(const Features *fake, const Statistics *reference, double value, const MetricHooks *hooks,
                  Interval *ret_interval, Err *err);

#endif
