/* Tr (S1 S2)^(1/2) by one symmetric eigenproblem.
 *
 * With S1 = F F^T for any F, the product S1 S2 has the eigenvalues of the symmetric C = F^T S2 F, so the trace is the
 * sum of the square roots of C's. No complex numbers, no matrix square root, nothing that can diverge.
 *
 * F is the Cholesky factor of whichever covariance is safely positive definite: 0.05 s at 2048 instead of the second
 * that eigenvectors take. When neither is (fewer images than features, dead channels), S1 = V diag(w) V^T and F = V
 * sqrt(w) of the eigenvalues above the noise, and C is as small as the rank. Statistics of fewer than dim/2 images give
 * a small C against a Cholesky factor too: they are themselves factored, with pivots, and C = F^T S2 F is the square of
 * L^T F.
 *
 * Noise: eigenvalues of a rank-deficient covariance that should be 0 come out near max * eps; their square roots do not
 * vanish (1000 of them moved a FID of 100.04 by 8e-5), so in both problems those below max * dim * 2.2e-16 are 0.
 * pytorch-fid instead adds 1e-6 to both diagonals when its root diverges, and so reports another number, which
 * frechet_like_pytorch_fid repeats. */
#include "worker/metrics/frechet.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/metrics/lapack.h"

#define NOISE 2.2e-16

/* LAPACK reads the symmetric matrices by columns; both triangles are filled, so that is the same matrix. */

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
    int info;
    dpotrf_("L", &dim, lower, &dim, &info, 1);
    if (info != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower[i * n + i] * lower[i * n + i] <= largest * dim * dim * NOISE)
            return false;
    return true;
}

/* Eigenvalues, ascending, into w; eigenvectors over `matrix` when `vectors`. */
static bool eigen(double *matrix, int dim, double *w, bool vectors, Err *err)
{
    const char *job = vectors ? "V" : "N";
    const int ask = -1;
    int info, integers, size;
    double reals;
    dsyevd_(job, "L", &dim, matrix, &dim, w, &reals, &ask, &integers, &ask, &info, 1, 1);
    size = (int)reals;
    double *work = info == 0 ? malloc((size_t)size * sizeof(double)) : NULL;
    int *iwork = info == 0 ? malloc((size_t)integers * sizeof(int)) : NULL;
    bool room = work && iwork;
    if (room)
        dsyevd_(job, "L", &dim, matrix, &dim, w, work, &size, iwork, &integers, &info, 1, 1);
    free(work);
    free(iwork);
    if (info == 0 && !room)
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

/* The trace of the root from C [rank,rank]; w has room for rank. */
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
    const int itype = 2;
    int info;
    dsygst_(&itype, "L", &dim, work, &dim, lower, &dim, &info, 1);
    assert(info == 0); /* it only checks its arguments */
    return sum_of_roots(work, dim, dim, w, ret_sum, err);
}

/* F = V sqrt(w) of sigma, over `factor` [dim,dim]: its last *ret_rank columns, those above the noise. */
static bool factor_eigen(const double *sigma, int dim, double *factor, double *w, int *ret_rank, Err *err)
{
    size_t n = (size_t)dim;
    memcpy(factor, sigma, n * n * sizeof(double));
    if (!eigen(factor, dim, w, true, err))
        return false;
    int first = 0;
    double noise = threshold(w, dim, dim);
    while (first < dim && w[first] <= noise)
        first++;
    for (int k = first; k < dim; k++)
        cblas_dscal(dim, sqrt(w[k]), factor + (size_t)k * n, 1);
    *ret_rank = dim - first;
    return true;
}

/* C = F^T S F with F from factor_eigen. `work` is [dim,dim] scratch. */
static bool root_by_eigen(const double *factor, int rank, const double *sigma, int dim, double *work, double *w,
                          double *ret_sum, Err *err)
{
    const double *f = factor + (size_t)(dim - rank) * (size_t)dim;
    double *c = new_matrix((size_t)rank + 1, (size_t)rank + 1, err);
    if (!c)
        return false;
    if (rank > 0) {
        cblas_dsymm(CblasColMajor, CblasLeft, CblasLower, dim, rank, 1, sigma, dim, f, dim, 0, work, dim);
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, rank, rank, dim, 1, f, dim, work, dim, 0, c, rank);
    }
    bool ok = sum_of_roots(c, rank, dim, w, ret_sum, err);
    free(c);
    return ok;
}

/* C = G^T G with G = L^T F and S = F F^T by Cholesky with pivots, which ends at the rank of S: for sets of far fewer
 * images than features a fifth of the time. L is that of root_by_cholesky, `work` [dim,dim] scratch. */
static bool root_by_pivots(const double *lower, const double *sigma, int dim, double *work, double *w, double *ret_sum,
                           Err *err)
{
    size_t n = (size_t)dim;
    int rank = 0, *order = xmalloc(n * sizeof(int));
    double *scratch = xmalloc(2 * n * sizeof(double));
    memcpy(work, sigma, n * n * sizeof(double));
    const double tolerance = -1; /* n * eps * the largest diagonal element */
    int info;
    dpstrf_("L", &dim, work, &dim, order, &rank, &tolerance, scratch, &info, 1);
    assert(info >= 0); /* 1: the rank is not full, as expected */
    double *f = new_matrix(n, (size_t)rank + 1, err),
           *c = f ? new_matrix((size_t)rank + 1, (size_t)rank + 1, err) : NULL;
    bool ok = c != NULL;
    if (ok && rank > 0) {
        memset(f, 0, n * (size_t)rank * sizeof(double));
        for (size_t j = 0; j < (size_t)rank; j++)
            for (size_t i = j; i < n; i++)
                f[j * n + (size_t)order[i] - 1] = work[j * n + i];
        cblas_dtrmm(CblasColMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, dim, rank, 1, lower, dim, f, dim);
        cblas_dsyrk(CblasColMajor, CblasLower, CblasTrans, rank, dim, 1, f, dim, 0, c, rank);
    }
    ok = ok && sum_of_roots(c, rank, dim, w, ret_sum, err);
    free(order);
    free(scratch);
    free(f);
    free(c);
    return ok;
}

/* --- one covariance, factored -------------------------------------------------------------------- */

struct FrechetRoot {
    const Statistics *stats;
    bool cholesky;
    int rank;       /* of an eigen factor */
    double *factor; /* [dim,dim] */
};

/* NULL without an error when only Cholesky may be tried and fails. */
static FrechetRoot *root_new(const Statistics *stats, bool only_cholesky, Err *err)
{
    size_t n = (size_t)stats->dim;
    FrechetRoot *root = xcalloc(1, sizeof *root);
    *root = (FrechetRoot){.stats = stats, .factor = new_matrix(n, n, err)};
    /* Sums split over threads end in other bits, and a FID must not depend on the workers. */
    openblas_set_num_threads(1);
    bool ok = root->factor != NULL;
    if (ok)
        root->cholesky = factor_cholesky(stats->sigma, stats->dim, root->factor);
    if (ok && !root->cholesky) {
        double *w = only_cholesky ? NULL : new_matrix(n, 1, err);
        ok = w && factor_eigen(stats->sigma, stats->dim, root->factor, w, &root->rank, err);
        free(w);
    }
    if (ok)
        return root;
    frechet_root_free(root);
    return NULL;
}

void frechet_root_free(FrechetRoot *root)
{
    if (!root)
        return;
    free(root->factor);
    free(root);
}

static bool trace_of_root(const FrechetRoot *root, const Statistics *stats, double *ret_sum, Err *err)
{
    int dim = root->stats->dim;
    size_t n = (size_t)dim;
    double *work = new_matrix(n, n, err), *w = work ? new_matrix(n, 1, err) : NULL;
    bool ok = w != NULL, few = stats->count > 0 && 2 * stats->count < dim;
    if (ok && !root->cholesky)
        ok = root_by_eigen(root->factor, root->rank, stats->sigma, dim, work, w, ret_sum, err);
    else if (ok)
        ok = (few ? root_by_pivots : root_by_cholesky)(root->factor, stats->sigma, dim, work, w, ret_sum, err);
    free(work);
    free(w);
    return ok;
}

/* --- the distance -------------------------------------------------------------------------------- */

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

static bool check(const Statistics *a, const Statistics *b, Err *err)
{
    if (a->dim != b->dim)
        return err_set(err, ERR_FORMAT,
                       "Frechet distance: statistics of %d features against %d; both must come from the same network",
                       a->dim, b->dim);
    return check_finite(a, "first", err) && check_finite(b, "second", err);
}

static Frechet add_terms(const Statistics *a, const Statistics *b, double trace_sqrt)
{
    Frechet f = {.trace_sqrt = trace_sqrt};
    size_t n = (size_t)a->dim;
    for (size_t i = 0; i < n; i++) {
        double d = a->mu[i] - b->mu[i];
        f.mean_term += d * d;
        f.trace1 += a->sigma[i * n + i];
        f.trace2 += b->sigma[i * n + i];
    }
    f.raw = f.mean_term + f.trace1 + f.trace2 - 2 * f.trace_sqrt;
    f.fid = fmax(f.raw, 0);
    return f;
}

static bool identical(const Statistics *a, const Statistics *b)
{
    size_t n = (size_t)a->dim;
    return memcmp(a->mu, b->mu, n * sizeof(double)) == 0 && memcmp(a->sigma, b->sigma, n * n * sizeof(double)) == 0;
}

/* By the covariance that has a Cholesky factor, the first if both do. The root of S S is S: identical sets give exactly
 * 0, whatever their rank. */
static bool distance(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err)
{
    if (identical(a, b)) {
        *ret_frechet = add_terms(a, b, 0);
        ret_frechet->trace_sqrt = ret_frechet->trace1;
        ret_frechet->fid = ret_frechet->raw = 0;
        return true;
    }
    const Statistics *other = b;
    FrechetRoot *root = root_new(a, true, err);
    if (!root) {
        root = root_new(b, true, err);
        other = a;
    }
    if (!root) {
        root = root_new(a, false, err);
        other = b;
    }
    double trace_sqrt;
    bool ok = root && trace_of_root(root, other, &trace_sqrt, err);
    if (ok)
        *ret_frechet = add_terms(a, b, trace_sqrt);
    frechet_root_free(root);
    return ok;
}

bool frechet_distance(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err)
{
    return check(a, b, err) && distance(a, b, ret_frechet, err);
}

FrechetRoot *frechet_root(const Statistics *reference, Err *err)
{
    return check_finite(reference, "reference", err) ? root_new(reference, false, err) : NULL;
}

bool frechet_from_root(const FrechetRoot *root, const Statistics *stats, Frechet *ret_frechet, Err *err)
{
    double trace_sqrt;
    if (!check(stats, root->stats, err) || !trace_of_root(root, stats, &trace_sqrt, err))
        return false;
    *ret_frechet = add_terms(stats, root->stats, trace_sqrt);
    return true;
}

/* --- as pytorch-fid ------------------------------------------------------------------------------ */

/* scipy's sqrtm takes the root of a triangular matrix in blocks of 64 or more. Inside a block it divides by the sum of
 * two eigenvalues' roots and gives up when that is exactly 0; between blocks it cannot meet one. A feature that is
 * constant in one set alone makes an exact zero at one end of the triangle (a zero row) or at the other (a zero
 * column), so it takes one of each, and both ends in one block: fewer than 128 features. */
enum { ONE_BLOCK = 127 };

static bool constant(const Statistics *stats, size_t i)
{
    return stats->sigma[i * (size_t)stats->dim + i] == 0;
}

static bool sqrtm_diverges(const Statistics *a, const Statistics *b)
{
    bool only_a = false, only_b = false;
    for (size_t i = 0; i < (size_t)a->dim; i++) {
        only_a = only_a || (constant(a, i) && !constant(b, i));
        only_b = only_b || (constant(b, i) && !constant(a, i));
    }
    return only_a && only_b && a->dim <= ONE_BLOCK;
}

static Statistics *with_eps(const Statistics *stats, Err *err)
{
    Statistics *copy = statistics_new(stats->dim, err);
    size_t n = (size_t)stats->dim;
    if (copy) {
        memcpy(copy->sigma, stats->sigma, n * n * sizeof(double));
        for (size_t i = 0; i < n; i++)
            copy->sigma[i * n + i] += 1e-6;
    }
    return copy;
}

bool frechet_like_pytorch_fid(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err)
{
    if (!check(a, b, err))
        return false;
    if (!sqrtm_diverges(a, b))
        return distance(a, b, ret_frechet, err);
    Statistics *a_eps = with_eps(a, err), *b_eps = a_eps ? with_eps(b, err) : NULL;
    Frechet f;
    bool ok = b_eps && distance(a_eps, b_eps, &f, err);
    if (ok) {
        *ret_frechet = add_terms(a, b, f.trace_sqrt);
        ret_frechet->eps = true;
    }
    statistics_free(a_eps);
    statistics_free(b_eps);
    return ok;
}
