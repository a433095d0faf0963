/* Tr (S1 S2)^(1/2) by one symmetric eigenproblem.
 *
 * With S1 = F F^T for any F, the product S1 S2 has the eigenvalues of the symmetric C = F^T S2 F, so the trace is the
 * sum of the square roots of C's. No complex numbers, no matrix square root, nothing that can diverge.
 *
 * F is the Cholesky factor of whichever covariance is safely positive definite: 0.05 s at 2048 instead of the second
 * that eigenvectors take. When neither is (fewer images than features, dead channels), S1 = V diag(w) V^T and F = V
 * sqrt(w) of the eigenvalues above the noise, and C is as small as the rank.
 *
 * Noise: eigenvalues of a rank-deficient covariance that should be 0 come out near max * eps; their square roots do not
 * vanish (1000 of them moved a FID of 100.04 by 8e-5), so in both problems those below max * dim * 2.2e-16 are 0.
 * pytorch-fid instead adds 1e-6 to both diagonals when its root diverges, and so reports another number. */
#include "worker/frechet.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE 2.2e-16

/* LAPACK sees the symmetric matrices by columns; both triangles are filled, so that is the same matrix. */

static double *new_matrix(size_t rows, size_t columns, Err *err)
{
    double *matrix = malloc(rows * columns * sizeof(double));
    if (!matrix)
        err_set(err, ERR_MEMORY, "Frechet distance: no %zu MiB for a matrix [%zu,%zu]",
                rows * columns * sizeof(double) >> 20, rows, columns);
    return matrix;
}

/* lower = the Cholesky factor of sigma; false when sigma is not safely positive definite. */
static bool factor_cholesky(const double *sigma, int dim, double *lower)
{
    size_t n = (size_t)dim;
    memcpy(lower, sigma, n * n * sizeof(double));
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, sigma[i * n + i]);
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', dim, lower, dim) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower[i * n + i] * lower[i * n + i] <= largest * dim * dim * NOISE)
            return false;
    return true;
}

/* Eigenvalues, ascending, into w; eigenvectors over `matrix` when `vectors`. */
static bool eigen(double *matrix, int dim, double *w, bool vectors, Err *err)
{
    int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'L', dim, matrix, dim, w);
    if (info == LAPACK_WORK_MEMORY_ERROR)
        return err_set(err, ERR_MEMORY, "Frechet distance: no memory for an eigenproblem of %d", dim);
    if (info != 0)
        return err_set(err, ERR_NUMERIC, "Frechet distance: the eigenproblem of %d did not converge (LAPACK says %d)",
                       dim, info);
    return true;
}

static double threshold(const double *w, int dim, int full)
{
    return dim ? fmax(w[dim - 1], 0) * full * NOISE : 0;
}

/* trace of the root from C [rank,rank]; w has room for rank. */
static bool sum_of_roots(double *c, int rank, int dim, double *w, double *ret_sum, Err *err)
{
    *ret_sum = 0;
    if (rank == 0)
        return true;
    if (!eigen(c, rank, w, false, err))
        return false;
    for (int i = 0; i < rank; i++)
        if (w[i] > threshold(w, rank, dim))
            *ret_sum += sqrt(w[i]);
    return true;
}

/* C = L^T S L, in place of a copy of S. */
static bool root_by_cholesky(const double *lower, const double *sigma, int dim, double *work, double *w,
                             double *ret_sum, Err *err)
{
    memcpy(work, sigma, (size_t)dim * (size_t)dim * sizeof(double));
    LAPACKE_dsygst_work(LAPACK_COL_MAJOR, 2, 'L', dim, work, dim, lower, dim);
    return sum_of_roots(work, dim, dim, w, ret_sum, err);
}

/* C = F^T S2 F with F = V sqrt(w) of S1, rank columns. `factor` and `work` are [dim,dim] scratch. */
static bool root_by_eigen(const double *sigma1, const double *sigma2, int dim, double *factor, double *work, double *w,
                          double *ret_sum, Err *err)
{
    size_t n = (size_t)dim;
    memcpy(factor, sigma1, n * n * sizeof(double));
    if (!eigen(factor, dim, w, true, err))
        return false;
    int first = 0;
    double noise = threshold(w, dim, dim);
    while (first < dim && w[first] <= noise)
        first++;
    int rank = dim - first;
    double *f = factor + (size_t)first * n; /* columns first.. */
    for (int k = 0; k < rank; k++)
        cblas_dscal(dim, sqrt(w[first + k]), f + (size_t)k * n, 1);
    double *c = new_matrix((size_t)rank + 1, (size_t)rank + 1, err);
    if (!c)
        return false;
    if (rank > 0) {
        cblas_dsymm(CblasColMajor, CblasLeft, CblasLower, dim, rank, 1, sigma2, dim, f, dim, 0, work, dim);
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, rank, rank, dim, 1, f, dim, work, dim, 0, c, rank);
    }
    bool ok = sum_of_roots(c, rank, dim, w, ret_sum, err);
    free(c);
    return ok;
}

static bool trace_of_root(const double *sigma1, const double *sigma2, int dim, double *ret_sum, Err *err)
{
    size_t n = (size_t)dim;
    double *factor = new_matrix(n, n, err), *work = factor ? new_matrix(n, n, err) : NULL;
    double *w = work ? new_matrix(n, 1, err) : NULL;
    bool ok = false;
    if (!w)
        goto out;
    openblas_set_num_threads(
        1); /* sums split over threads end in other bits, and a FID must not depend on the workers */
    if (factor_cholesky(sigma1, dim, factor))
        ok = root_by_cholesky(factor, sigma2, dim, work, w, ret_sum, err);
    else if (factor_cholesky(sigma2, dim, factor))
        ok = root_by_cholesky(factor, sigma1, dim, work, w, ret_sum, err);
    else
        ok = root_by_eigen(sigma1, sigma2, dim, factor, work, w, ret_sum, err);
out:
    free(factor);
    free(work);
    free(w);
    return ok;
}

static bool check_finite(const Statistics *stats, const char *which, Err *err)
{
    size_t n = (size_t)stats->dim;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(stats->mu[i]))
            return err_set(err, ERR_NUMERIC, "Frechet distance: the mean of the %s statistics is %f at %zu", which,
                           stats->mu[i], i);
    for (size_t i = 0; i < n * n; i++)
        if (!isfinite(stats->sigma[i]))
            return err_set(err, ERR_NUMERIC, "Frechet distance: the covariance of the %s statistics is %f at %zu,%zu",
                           which, stats->sigma[i], i / n, i % n);
    return true;
}

bool frechet_distance(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err)
{
    if (a->dim != b->dim)
        return err_set(err, ERR_FORMAT,
                       "Frechet distance: statistics of %d features against %d; both must come from the same network",
                       a->dim, b->dim);
    if (!check_finite(a, "first", err) || !check_finite(b, "second", err))
        return false;
    Frechet f = {0};
    size_t n = (size_t)a->dim;
    for (size_t i = 0; i < n; i++) {
        double d = a->mu[i] - b->mu[i];
        f.mean_term += d * d;
        f.trace1 += a->sigma[i * n + i];
        f.trace2 += b->sigma[i * n + i];
    }
    if (!trace_of_root(a->sigma, b->sigma, a->dim, &f.trace_sqrt, err))
        return false;
    f.raw = f.mean_term + f.trace1 + f.trace2 - 2 * f.trace_sqrt;
    f.fid = fmax(f.raw, 0);
    *ret_frechet = f;
    return true;
}
