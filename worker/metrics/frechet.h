/* The Frechet distance of two Gaussians, float64. */
#ifndef WORKER_METRICS_FRECHET_H
#define WORKER_METRICS_FRECHET_H

#include "worker/metrics/statistics.h"

typedef struct Frechet {
    double fid; /* >= 0 */
    double raw; /* before clamping at 0 */
    double mean_term, trace1, trace2, trace_sqrt;
    bool eps; /* frechet_like_pytorch_fid added 1e-6 to both diagonals */
} Frechet;

/* |mu1-mu2|^2 + Tr S1 + Tr S2 - 2 Tr (S1 S2)^(1/2). Eigenvalues below max * dim * 2.2e-16 count as zero.
 * Different widths and non-finite input are errors. About 0.9 s at 2048 on one core; one thread, so the same bits
 * wherever it runs. */
bool frechet_distance(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err);

/* One reference against many: its covariance is factored once. The statistics must outlive the root, which any number
 * of threads may use at once. Equal to frechet_distance up to rounding. */
typedef struct FrechetRoot FrechetRoot;
FrechetRoot *frechet_root(const Statistics *reference, Err *err);
void frechet_root_free(FrechetRoot *root); /* NULL is fine */
bool frechet_from_root(const FrechetRoot *root, const Statistics *stats, Frechet *ret_frechet, Err *err);

/* The value that pytorch-fid prints: frechet_distance, but where its matrix root diverges the root is that of both
 * covariances with 1e-6 added to their diagonals, and `eps` is set. That happens below 128 features when each set has a
 * feature that is constant in it alone; wider, as at 2048, its root comes through and the values agree. */
bool frechet_like_pytorch_fid(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err);

#endif
