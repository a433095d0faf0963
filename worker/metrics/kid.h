/* Kernel Inception Distance: the unbiased squared MMD of two sets under k(x,y) = (x.y/d + 1)^3, products and sums in
 * float64.
 *
 *     MMD^2 = sum over i != j of k(x_i,x_j) / (n(n-1)) + the same of y / (m(m-1)) - 2 sum of k(x_i,y_j) / (n m)
 *
 * Published values are means over subsets (100 of 1000) drawn without replacement; often quoted times 1000. It can be
 * slightly negative. */
#ifndef WORKER_METRICS_KID_H
#define WORKER_METRICS_KID_H

#include "worker/metrics/features.h"
#include "worker/metrics/interval.h"

#define KID_SUBSETS     100
#define KID_SUBSET_SIZE 1000

typedef struct KidPlan {
    int subsets;         /* KID_SUBSETS */
    int64_t subset_size; /* KID_SUBSET_SIZE; when a set is smaller there are no subsets, the value is over all pairs */
    uint64_t seed;       /* of the draws */
    bool all_pairs;      /* the value over all pairs too: (n+m)^2 d operations, three minutes for 50,000 and 50,000 */
    const MetricHooks *hooks;
} KidPlan;

typedef struct Kid {
    Interval kid;     /* mean over subsets, or over all pairs without subsets */
    double std;       /* population deviation over subsets; NaN without subsets, or where each is all of both sets */
    int subsets;      /* 0: a set was smaller than a subset */
    double all_pairs; /* NaN when not computed */
} Kid;

/* Sets of fewer than 2 rows and different widths are errors. About 12 s on two cores for 100 subsets of 1000 x 2048. */
bool kid_measure(const Features *fake, const Features *real, const KidPlan *plan, Kid *ret_kid, Err *err);

/* The draw of kid_measure: `size` different rows of 0..rows-1 for one subset of one set (0 generated, 1 reference). */
void kid_draw(uint64_t seed, int subset, int set, int64_t rows, int64_t size, int64_t *ret_index);

#endif
