/* Sums of rows and of outer products, float64, in an order that is part of the definition.
 *
 *   sum[D]       += sum over rows of x
 *   outer[D,D]   += sum over rows of x^T x      (tiles on and right of the diagonal)
 *   mu = sum/n,  sigma = (outer - n mu mu^T)/(n-1)
 *
 * Why not a BLAS syrk: its order of additions depends on the library's kernel, the CPU and the thread count, and then
 * two hosts that share a job report different FIDs in the last digits. Here each entry adds its products one row after
 * the other; only different entries are worked on side by side (vectors, threads), and no multiply-add is fused, so the
 * bits are those of the plain loop. It costs 0.13% of the network that makes the features.
 *
 * float32 moments are out of the question: they moved a rank-deficient FID of 100.04 by 0.14. */
#include "worker/metrics/moments.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { TILE_I = 4, TILE_J = 8 };
typedef double Lane __attribute__((vector_size(TILE_J * sizeof(double)), aligned(sizeof(double))));

struct Moments {
    int dim, padded; /* padded: dim up to a multiple of TILE_J */
    int64_t count;
    int pending;       /* rows of the group that is not full yet */
    float *group;      /* [MOMENTS_GROUP,dim] */
    double *sum;       /* [dim] of full groups */
    double *outer;     /* [padded,padded] of full groups */
    double *group_sum; /* [dim] of the group at hand */
    double *panels;    /* that group as doubles: [padded/TILE_J][MOMENTS_GROUP][TILE_J], padded with zeros */
};

Moments *moments_new(int dim)
{
    assert(dim > 0);
    Moments *m = xcalloc(1, sizeof *m);
    m->dim = dim;
    m->padded = (dim + TILE_J - 1) / TILE_J * TILE_J;
    m->group = xmalloc(sizeof(float) * MOMENTS_GROUP * (size_t)dim);
    m->sum = xcalloc((size_t)dim, sizeof(double));
    m->group_sum = xcalloc((size_t)dim, sizeof(double));
    m->outer = xcalloc((size_t)m->padded * (size_t)m->padded, sizeof(double));
    m->panels = xcalloc((size_t)m->padded * MOMENTS_GROUP, sizeof(double));
    return m;
}

void moments_free(Moments *m)
{
    if (!m)
        return;
    free(m->group);
    free(m->sum);
    free(m->group_sum);
    free(m->outer);
    free(m->panels);
    free(m);
}

int64_t moments_count(const Moments *m)
{
    return m->count;
}

/* --- one group ----------------------------------------------------------------------------------- */

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) /* TSan runs no resolvers */
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/* out[TILE_I,TILE_J] += a^T b over the rows; left holds 4 columns of 8, right 8. stride: doubles between rows of out.
 */
WIDE static void add_tile(const double *restrict left, const double *restrict right, int rows, double *restrict out,
                          size_t stride)
{
    Lane sum0 = {0}, sum1 = {0}, sum2 = {0}, sum3 = {0};
    for (int r = 0; r < rows; r++) {
        Lane x = *(const Lane *)(right + (size_t)r * TILE_J);
        const double *a = left + (size_t)r * TILE_J;
        sum0 += a[0] * x;
        sum1 += a[1] * x;
        sum2 += a[2] * x;
        sum3 += a[3] * x;
    }
    *(Lane *)out += sum0;
    *(Lane *)(out + stride) += sum1;
    *(Lane *)(out + 2 * stride) += sum2;
    *(Lane *)(out + 3 * stride) += sum3;
}

/* Adds the pending rows to sum and outer. */
static void add_group(const Moments *m, double *sum, double *outer)
{
    int tiles = m->padded / TILE_J, rows = m->pending;
    memset(m->group_sum, 0, (size_t)m->dim * sizeof(double));
    for (int r = 0; r < rows; r++) { /* row by row: columns would miss the cache at every step */
        const float *row = m->group + (size_t)r * (size_t)m->dim;
        for (int i = 0; i < m->dim; i++) {
            m->panels[((size_t)(i / TILE_J) * MOMENTS_GROUP + (size_t)r) * TILE_J + (size_t)(i % TILE_J)] = row[i];
            m->group_sum[i] += (double)row[i];
        }
    }
    for (int i = 0; i < m->dim; i++)
        sum[i] += m->group_sum[i];
    size_t panel_size = (size_t)MOMENTS_GROUP * TILE_J, stride = (size_t)m->padded;
#pragma omp parallel for schedule(dynamic)
    for (int ti = 0; ti < tiles; ti++)
        for (int tj = ti; tj < tiles; tj++)
            for (int half = 0; half < TILE_J; half += TILE_I)
                add_tile(m->panels + (size_t)ti * panel_size + half, m->panels + (size_t)tj * panel_size, rows,
                         outer + ((size_t)ti * TILE_J + (size_t)half) * stride + (size_t)tj * TILE_J, stride);
}

/* --- adding rows -------------------------------------------------------------------------------- */

static bool check_rows(const Moments *m, const float *rows, int64_t count, Err *err)
{
    for (int64_t r = 0; r < count; r++)
        for (int i = 0; i < m->dim; i++)
            if (!isfinite(rows[r * m->dim + i]))
                return err_set(err, ERR_NUMERIC, "features: image %lld has %f at feature %d of %d",
                               (long long)(m->count + r), (double)rows[r * m->dim + i], i, m->dim);
    return true;
}

bool moments_add(Moments *m, const float *rows, int64_t count, Err *err)
{
    if (!check_rows(m, rows, count, err))
        return false;
    while (count > 0) {
        int take = MOMENTS_GROUP - m->pending < count ? MOMENTS_GROUP - m->pending : (int)count;
        memcpy(m->group + (size_t)m->pending * (size_t)m->dim, rows, sizeof(float) * (size_t)take * (size_t)m->dim);
        m->pending += take;
        m->count += take;
        rows += (int64_t)take * m->dim;
        count -= take;
        if (m->pending == MOMENTS_GROUP) {
            add_group(m, m->sum, m->outer);
            m->pending = 0;
        }
    }
    return true;
}

/* Sums of all rows, the pending ones too, in new memory: [dim] and [padded,padded]. */
static void total(const Moments *m, double **ret_sum, double **ret_outer)
{
    size_t dim = (size_t)m->dim, padded = (size_t)m->padded;
    *ret_sum = xmalloc(dim * sizeof(double));
    *ret_outer = xmalloc(padded * padded * sizeof(double));
    memcpy(*ret_sum, m->sum, dim * sizeof(double));
    memcpy(*ret_outer, m->outer, padded * padded * sizeof(double));
    if (m->pending)
        add_group(m, *ret_sum, *ret_outer);
}

static bool statistics_of(const double *sum, const double *outer, int64_t count, int width, size_t stride,
                          Statistics **ret_stats, Err *err)
{
    if (count < 2)
        return err_set(err, ERR_USAGE, "statistics: %lld image%s; a covariance needs at least 2", (long long)count,
                       count == 1 ? "" : "s");
    Statistics *stats = statistics_new(width, err);
    if (!stats)
        return false;
    size_t dim = (size_t)width;
    double n = (double)count;
    for (size_t i = 0; i < dim; i++)
        stats->mu[i] = sum[i] / n;
    for (size_t i = 0; i < dim; i++)
        for (size_t j = i; j < dim; j++) {
            double covariance = (outer[i * stride + j] - n * stats->mu[i] * stats->mu[j]) / (n - 1);
            stats->sigma[i * dim + j] = stats->sigma[j * dim + i] = covariance;
        }
    for (size_t i = 0; i < dim; i++)
        if (stats->sigma[i * dim + i] < 0) /* a constant feature, less its rounding */
            stats->sigma[i * dim + i] = 0;
    stats->count = count;
    *ret_stats = stats;
    return true;
}

bool moments_finish(const Moments *m, Statistics **ret_stats, Err *err)
{
    double *sum, *outer;
    total(m, &sum, &outer);
    bool ok = statistics_of(sum, outer, m->count, m->dim, (size_t)m->padded, ret_stats, err);
    free(sum);
    free(outer);
    return ok;
}

bool moments_finish_without(const Moments *m, const Moments *part, Statistics **ret_stats, Err *err)
{
    assert(m->dim == part->dim && m->count >= part->count);
    double *sum, *outer, *part_sum, *part_outer;
    total(m, &sum, &outer);
    total(part, &part_sum, &part_outer);
    for (size_t i = 0; i < (size_t)m->dim; i++)
        sum[i] -= part_sum[i];
    for (size_t i = 0; i < (size_t)m->padded * (size_t)m->padded; i++)
        outer[i] -= part_outer[i];
    bool ok = statistics_of(sum, outer, m->count - part->count, m->dim, (size_t)m->padded, ret_stats, err);
    free(sum);
    free(outer);
    free(part_sum);
    free(part_outer);
    return ok;
}
