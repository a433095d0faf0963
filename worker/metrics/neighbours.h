/* Metrics of nearest neighbours: improved precision and recall, density and coverage, and what a report shows of them.
 *
 * radius(x) = distance from x to its k-th nearest other row of its own set; a row's ball is what lies within it.
 *     precision  share of generated rows in the ball of some reference row             (distance <= radius)
 *     recall     share of reference rows in the ball of some generated row             (<=)
 *     density    balls of reference rows around a generated row, mean, divided by k    (<)
 *     coverage   share of reference rows with a generated row in their ball            (<)
 *
 * Every comparison is that of d^2 = sum (x_i - y_i)^2 in float64: distances come from float32 products, and comparisons
 * within their error bound are computed again. So counts do not depend on device, threads or tiles. Memory is a few
 * tiles beside the rows: never generated x reference. */
#ifndef WORKER_METRICS_NEIGHBOURS_H
#define WORKER_METRICS_NEIGHBOURS_H

#include "kernels/backend.h"
#include "worker/metrics/features.h"
#include "worker/metrics/interval.h"

#define NEIGHBOURS_DEFAULT 3
#define NEIGHBOURS_MAX     100

typedef struct NeighbourCounts {
    int64_t precision, recall, density, coverage; /* density: pairs of a generated row and a ball it lies in */
} NeighbourCounts;

typedef struct Neighbours {
    int k;
    int64_t fakes, reals;
    Interval precision, recall, density, coverage; /* as above */
    NeighbourCounts within, inside;                /* all four with <=, and with < */

    /* One entry a generated row. Distances are not squared. */
    double *nearest;       /* to the nearest reference row */
    int64_t *nearest_real; /* which that is; the first of equals */
    double *fake_radius;
    bool *in_manifold; /* counted by precision */
    int32_t *balls;    /* counted by density: of how many reference rows; divided by k it is the row's density */
    /* One entry a reference row. */
    double *real_radius;
    bool *covered;  /* counted by coverage */
    bool *recalled; /* counted by recall */
} Neighbours;

/* be: a float32 backend; NULL for the CPU with all threads. k from 1 to NEIGHBOURS_MAX and below both counts; equal
 * widths; finite features. 50,000 x 2048 against 50,000: three minutes on two cores. */
bool neighbours_measure(Backend *be, const Features *fake, const Features *real, int k, const MetricHooks *hooks,
                        Neighbours *ret_neighbours, Err *err);
void neighbours_free(Neighbours *neighbours); /* its arrays; a zeroed one is fine */

#endif
