/* Plain loops over columns. The eigenproblem: Householder to a tridiagonal matrix, then implicit QL steps (Golub and
 * Van Loan, Matrix Computations, 8.3). At 2048 a factor takes seconds and an eigenproblem a minute. */
#include <cblas.h>
#include <lapacke.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(m, row, column) (m)[(size_t)(column) * (size_t)n + (size_t)(row)]

/* --- products --------------------------------------------------------------------------------------- */

void openblas_set_num_threads(int threads)
{
    (void)threads;
}

void cblas_dscal(int n, double alpha, double *x, int step)
{
    for (int i = 0; i < n; i++)
        x[(size_t)i * (size_t)step] *= alpha;
}

static void add_column(double *y, const double *x, double factor, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += factor * x[i];
}

static double dot(const double *x, const double *y, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static void scale_column(double *y, double beta, int n)
{
    if (beta == 0)
        memset(y, 0, (size_t)n * sizeof *y);
    else
        cblas_dscal(n, beta, y, 1);
}

void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n, int k, double alpha,
                 const double *a, int lda, const double *b, int ldb, double beta, double *c, int ldc)
{
    (void)order;
    for (int j = 0; j < n; j++) {
        double *column = c + (size_t)j * (size_t)ldc;
        scale_column(column, beta, m);
        for (int p = 0; p < k && trans_a == CblasNoTrans; p++) {
            double factor = trans_b == CblasNoTrans ? b[(size_t)j * (size_t)ldb + (size_t)p]
                                                    : b[(size_t)p * (size_t)ldb + (size_t)j];
            add_column(column, a + (size_t)p * (size_t)lda, alpha * factor, m);
        }
        for (int i = 0; i < m && trans_a == CblasTrans; i++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += a[(size_t)i * (size_t)lda + (size_t)p] * (trans_b == CblasNoTrans
                                                                     ? b[(size_t)j * (size_t)ldb + (size_t)p]
                                                                     : b[(size_t)p * (size_t)ldb + (size_t)j]);
            column[i] += alpha * sum;
        }
    }
}

void cblas_dsymm(CBLAS_ORDER order, CBLAS_SIDE side, CBLAS_UPLO uplo, int m, int n, double alpha, const double *a,
                 int lda, const double *b, int ldb, double beta, double *c, int ldc)
{
    (void)order, (void)side;
    for (int j = 0; j < n; j++) {
        double *column = c + (size_t)j * (size_t)ldc;
        scale_column(column, beta, m);
        for (int p = 0; p < m; p++) {
            const double *part = a + (size_t)p * (size_t)lda;
            double factor = alpha * b[(size_t)j * (size_t)ldb + (size_t)p];
            int from = uplo == CblasLower ? p + 1 : 0, to = uplo == CblasLower ? m : p;
            column[p] += factor * part[p];
            for (int i = from; i < to; i++) {
                column[i] += factor * part[i];
                column[p] += alpha * b[(size_t)j * (size_t)ldb + (size_t)i] * part[i];
            }
        }
    }
}

void cblas_dsyrk(CBLAS_ORDER order, CBLAS_UPLO uplo, CBLAS_TRANSPOSE trans, int n, int k, double alpha, const double *a,
                 int lda, double beta, double *c, int ldc)
{
    (void)order, (void)trans;
    for (int j = 0; j < n; j++) {
        int from = uplo == CblasLower ? j : 0, to = uplo == CblasLower ? n : j + 1;
        double *column = c + (size_t)j * (size_t)ldc;
        scale_column(column + from, beta, to - from);
        for (int i = from; i < to; i++)
            for (int p = 0; p < k; p++)
                column[i] += alpha * a[(size_t)i * (size_t)lda + (size_t)p] * a[(size_t)j * (size_t)lda + (size_t)p];
    }
}

void cblas_dtrmm(CBLAS_ORDER order, CBLAS_SIDE side, CBLAS_UPLO uplo, CBLAS_TRANSPOSE trans, CBLAS_DIAG diag, int m,
                 int n, double alpha, const double *a, int lda, double *b, int ldb)
{
    (void)order, (void)side, (void)uplo, (void)trans, (void)diag;
    for (int j = 0; j < n; j++) {
        double *column = b + (size_t)j * (size_t)ldb;
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int p = i; p < m; p++)
                sum += a[(size_t)i * (size_t)lda + (size_t)p] * column[p];
            column[i] = alpha * sum;
        }
    }
}

/* --- factors ---------------------------------------------------------------------------------------- */

lapack_int LAPACKE_dpotrf_work(int order, char uplo, lapack_int n, double *a, lapack_int lda)
{
    (void)order, (void)uplo, (void)lda;
    for (int j = 0; j < n; j++) {
        for (int k = 0; k < j; k++)
            add_column(&AT(a, j, j), &AT(a, j, k), -AT(a, j, k), n - j);
        if (!(AT(a, j, j) > 0))
            return j + 1;
        cblas_dscal(n - j, 1 / sqrt(AT(a, j, j)), &AT(a, j, j), 1);
    }
    return 0;
}

static void swap(double *x, double *y)
{
    double kept = *x;
    *x = *y;
    *y = kept;
}

/* Rows and columns j < p of a symmetric matrix of which the lower triangle is kept. */
static void swap_symmetric(double *a, lapack_int n, int j, int p)
{
    for (int k = 0; k < j; k++)
        swap(&AT(a, j, k), &AT(a, p, k));
    swap(&AT(a, j, j), &AT(a, p, p));
    for (int i = j + 1; i < p; i++)
        swap(&AT(a, i, j), &AT(a, p, i));
    for (int i = p + 1; i < n; i++)
        swap(&AT(a, i, j), &AT(a, i, p));
}

static int largest_pivot(const double *a, lapack_int n, int from)
{
    int best = from;
    for (int i = from + 1; i < n; i++)
        if (AT(a, i, i) > AT(a, best, best))
            best = i;
    return best;
}

lapack_int LAPACKE_dpstrf_work(int order, char uplo, lapack_int n, double *a, lapack_int lda, lapack_int *pivots,
                               lapack_int *ret_rank, double tolerance, double *work)
{
    (void)order, (void)uplo, (void)lda, (void)tolerance, (void)work;
    const int first = n > 0 ? largest_pivot(a, n, 0) : 0;
    const double stop = n > 0 ? n * (DBL_EPSILON / 2) * AT(a, first, first) : 0;
    for (int i = 0; i < n; i++)
        pivots[i] = i + 1;
    for (int j = 0; j < n; j++) {
        int p = largest_pivot(a, n, j);
        if (!(AT(a, p, p) > stop) || !(AT(a, p, p) > 0)) {
            *ret_rank = j;
            return 1;
        }
        if (p != j) {
            swap_symmetric(a, n, j, p);
            int kept = pivots[j];
            pivots[j] = pivots[p];
            pivots[p] = kept;
        }
        AT(a, j, j) = sqrt(AT(a, j, j));
        cblas_dscal(n - j - 1, 1 / AT(a, j, j), &AT(a, j + 1, j), 1);
        for (int k = j + 1; k < n; k++)
            add_column(&AT(a, k, k), &AT(a, k, j), -AT(a, k, j), n - k);
    }
    *ret_rank = n;
    return 0;
}

lapack_int LAPACKE_dsygst_work(int order, lapack_int type, char uplo, lapack_int n, double *a, lapack_int lda,
                               const double *b, lapack_int ldb)
{
    (void)order, (void)type, (void)uplo, (void)lda, (void)ldb;
    double *product = malloc((size_t)n * (size_t)n * sizeof *product);
    if (!product)
        return LAPACK_WORK_MEMORY_ERROR;
    for (int j = 0; j < n; j++) /* A L, column by column: L has zeros above its diagonal */
        for (int i = 0; i < n; i++)
            AT(product, i, j) = 0;
    for (int j = 0; j < n; j++)
        for (int k = j; k < n; k++) {
            for (int i = k; i < n; i++)
                AT(product, i, j) += AT(a, i, k) * AT(b, k, j);
            for (int i = 0; i < k; i++) /* the upper triangle is the lower one's mirror */
                AT(product, i, j) += AT(a, k, i) * AT(b, k, j);
        }
    for (int j = 0; j < n; j++)
        for (int i = j; i < n; i++)
            AT(a, i, j) = dot(&AT(b, i, i), &AT(product, i, j), n - i);
    free(product);
    return 0;
}

/* --- the eigenproblem ------------------------------------------------------------------------------- */

/* The lower triangle of a becomes reflections; d, e: the tridiagonal matrix; tau: their factors. */
static void to_tridiagonal(double *a, int n, double *d, double *e, double *tau, double *p)
{
    for (int k = 0; k + 1 < n; k++) {
        double *v = &AT(a, k + 1, k);
        int size = n - k - 1;
        d[k] = AT(a, k, k);
        double rest = dot(v + 1, v + 1, size - 1), norm = sqrt(v[0] * v[0] + rest);
        tau[k] = 0;
        e[k] = v[0];
        if (rest == 0)
            continue;
        e[k] = v[0] > 0 ? -norm : norm;
        tau[k] = (e[k] - v[0]) / e[k];
        cblas_dscal(size - 1, 1 / (v[0] - e[k]), v + 1, 1);
        v[0] = 1;
        memset(p, 0, (size_t)size * sizeof *p); /* p = tau A v, of the lower triangle */
        for (int j = 0; j < size; j++) {
            const double *column = &AT(a, k + 1 + j, k + 1 + j);
            p[j] += column[0] * v[j] + dot(column + 1, v + j + 1, size - j - 1);
            add_column(p + j + 1, column + 1, v[j], size - j - 1);
        }
        cblas_dscal(size, tau[k], p, 1);
        add_column(p, v, -tau[k] / 2 * dot(p, v, size), size);
        for (int j = 0; j < size; j++) { /* A -= v p^T + p v^T */
            add_column(&AT(a, k + 1 + j, k + 1 + j), v + j, -p[j], size - j);
            add_column(&AT(a, k + 1 + j, k + 1 + j), p + j, -v[j], size - j);
        }
    }
    d[n - 1] = AT(a, n - 1, n - 1);
}

/* q = the product of the reflections. */
static void join_reflections(const double *a, int n, const double *tau, double *q)
{
    memset(q, 0, (size_t)n * (size_t)n * sizeof *q);
    for (int i = 0; i < n; i++)
        AT(q, i, i) = 1;
    for (int k = n - 2; k >= 0; k--) {
        const double *v = &AT(a, k + 1, k);
        int size = n - k - 1;
        for (int j = k + 1; j < n && tau[k] != 0; j++)
            add_column(&AT(q, k + 1, j), v, -tau[k] * dot(v, &AT(q, k + 1, j), size), size);
    }
}

static void turn_columns(double *q, int n, int left, double c, double s)
{
    double *x = &AT(q, 0, left), *y = &AT(q, 0, left + 1);
    for (int i = 0; i < n; i++) {
        double old = y[i];
        y[i] = s * x[i] + c * old;
        x[i] = c * x[i] - s * old;
    }
}

/* One implicit QL step on rows first..last. */
static void ql_step(double *d, double *e, int first, int last, double *q, int n)
{
    double g = (d[first + 1] - d[first]) / (2 * e[first]), r = hypot(g, 1);
    g = d[last] - d[first] + e[first] / (g + copysign(r, g));
    double s = 1, c = 1, p = 0;
    for (int i = last - 1; i >= first; i--) {
        double f = s * e[i], b = c * e[i];
        r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) { /* it splits here */
            d[i + 1] -= p;
            e[last] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        if (q)
            turn_columns(q, n, i, c, s);
    }
    d[first] -= p;
    e[first] = g;
    e[last] = 0;
}

/* What lies below the rounding of the largest entry is zero: the many eigenvalues near 0 of a covariance of few images
 * would else be refined for ever. */
static bool ql(double *d, double *e, double *q, int n)
{
    enum { STEPS_MAX = 60 };
    double largest = 0;
    e[n - 1] = 0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, fabs(d[i]) + fabs(e[i]));
    for (int first = 0; first < n; first++)
        for (int steps = 0;; steps++) {
            int last = first;
            while (last + 1 < n && fabs(e[last]) > DBL_EPSILON * largest)
                last++;
            if (last == first)
                break;
            if (steps == STEPS_MAX)
                return false;
            ql_step(d, e, first, last, q, n);
        }
    return true;
}

static void sort_ascending(double *d, double *q, int n, double *column)
{
    size_t bytes = (size_t)n * sizeof *q;
    for (int i = 0; i + 1 < n; i++) {
        int least = i;
        for (int j = i + 1; j < n; j++)
            least = d[j] < d[least] ? j : least;
        double value = d[i];
        d[i] = d[least];
        d[least] = value;
        if (q && least != i) {
            memcpy(column, &AT(q, 0, i), bytes);
            memcpy(&AT(q, 0, i), &AT(q, 0, least), bytes);
            memcpy(&AT(q, 0, least), column, bytes);
        }
    }
}

lapack_int LAPACKE_dsyevd(int order, char jobz, char uplo, lapack_int n, double *a, lapack_int lda, double *w)
{
    (void)order, (void)uplo, (void)lda;
    bool vectors = jobz == 'V';
    double *e = calloc((size_t)n * 3, sizeof *e), *q = vectors ? malloc((size_t)n * (size_t)n * sizeof *q) : NULL;
    lapack_int info = !e || (vectors && !q) ? LAPACK_WORK_MEMORY_ERROR : 0;
    if (info == 0 && n > 0) {
        double *tau = e + n, *work = e + 2 * n;
        to_tridiagonal(a, n, w, e, tau, work);
        if (vectors)
            join_reflections(a, n, tau, q);
        info = ql(w, e, q, n) ? 0 : 1;
        sort_ascending(w, q, n, work);
        if (vectors)
            memcpy(a, q, (size_t)n * (size_t)n * sizeof *q);
    }
    free(e);
    free(q);
    return info;
}
