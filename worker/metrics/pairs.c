/* Margins. With u = 2^-24 and d features, a float32 product of two rows, whatever the order of its sum, is within
 * d u |a||b| of the true one; centring rounds each entry, which moves a squared distance by at most 2u(|a|+|b|)^2.
 * Constants below are those, doubled where they are small, so the rounding of the test itself is inside. */
#include "worker/metrics/pairs.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define ROUNDING 0x1p-24
#define TINY     1e-30 /* products that underflow */

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) /* TSan runs no resolvers */
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

struct Pairs {
    Backend *be;
    bool own;
    int dim;
    float *centre;   /* [dim] */
    float *staging;  /* [PAIRS_TILE,dim] centred rows */
    float *x, *y;    /* the backend's: [PAIRS_TILE,dim], [PAIRS_TILE,PAIRS_TILE] */
    float *products; /* the host's, where y is not */
    Linear *packed;
    int64_t columns;
};

/* --- opening ------------------------------------------------------------------------------------- */

Pairs *pairs_open(Backend *be, int dim, Err *err)
{
    if (be && backend_precision(be) != PREC_F32) {
        err_set(err, ERR_INTERNAL, "nearest neighbours: the backend computes below float32");
        return NULL;
    }
    Pairs *pairs = xcalloc(1, sizeof *pairs);
    *pairs = (Pairs){.be = be ? be : backend_open("cpu", PREC_F32, 0, err), .own = !be, .dim = dim};
    size_t rows = (size_t)PAIRS_TILE * (size_t)dim * sizeof(float), tile = sizeof(float) * PAIRS_TILE * PAIRS_TILE;
    bool ok = pairs->be && (pairs->x = be_alloc(pairs->be, rows, err)) && (pairs->y = be_alloc(pairs->be, tile, err));
    if (!ok) {
        pairs_close(pairs);
        return NULL;
    }
    pairs->centre = xcalloc((size_t)dim, sizeof(float));
    pairs->staging = xmalloc(rows);
    pairs->products = backend_is_host(pairs->be) ? NULL : xmalloc(tile);
    return pairs;
}

void pairs_close(Pairs *pairs)
{
    if (!pairs)
        return;
    if (pairs->be) {
        be_linear_free(pairs->be, pairs->packed);
        be_free(pairs->be, pairs->x);
        be_free(pairs->be, pairs->y);
    }
    if (pairs->own)
        backend_close(pairs->be);
    free(pairs->centre);
    free(pairs->staging);
    free(pairs->products);
    free(pairs);
}

void pairs_centre(Pairs *pairs, const Features *set)
{
    double *sum = xcalloc((size_t)pairs->dim, sizeof *sum);
    for (int64_t r = 0; r < set->count; r++)
        for (int j = 0; j < pairs->dim; j++)
            sum[j] += (double)set->rows[r * pairs->dim + j];
    for (int j = 0; j < pairs->dim; j++)
        pairs->centre[j] = (float)(sum[j] / (double)set->count);
    free(sum);
}

/* --- points -------------------------------------------------------------------------------------- */

bool points_init(Points *points, const Pairs *pairs, const Features *set, Err *err)
{
    size_t count = (size_t)set->count;
    *points = (Points){set, xmalloc(count * sizeof(double)), xmalloc(count * sizeof(float))};
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < set->count; r++) {
        const float *row = set->rows + r * set->dim;
        double sum = 0;
        for (int j = 0; j < set->dim; j++) {
            double centred = (double)(row[j] - pairs->centre[j]);
            sum += centred * centred;
        }
        points->norm2[r] = sum;
        points->norm[r] = (float)sqrt(sum);
    }
    for (int64_t r = 0; r < set->count; r++)
        if (!(points->norm2[r] < 1e36))
            return err_set(err, ERR_NUMERIC, "features: image %lld has a norm of %g, too large for float32 products",
                           (long long)r, sqrt(points->norm2[r]));
    return true;
}

void points_done(Points *points)
{
    free(points->norm2);
    free(points->norm);
    *points = (Points){0};
}

/* --- products ------------------------------------------------------------------------------------ */

static void stage(Pairs *pairs, const Points *points, int64_t first, int64_t count)
{
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < count; r++)
        for (int j = 0; j < pairs->dim; j++)
            pairs->staging[r * pairs->dim + j] = points->set->rows[(first + r) * pairs->dim + j] - pairs->centre[j];
}

bool pairs_pack(Pairs *pairs, const Points *columns, int64_t first, int64_t count, Err *err)
{
    stage(pairs, columns, first, count);
    be_linear_free(pairs->be, pairs->packed);
    pairs->packed = be_linear_pack(pairs->be, pairs->staging, NULL, count, pairs->dim, err);
    pairs->columns = count;
    return pairs->packed != NULL;
}

const float *pairs_products(Pairs *pairs, const Points *rows, int64_t first, int64_t count, Err *err)
{
    Backend *be = pairs->be;
    Tensor x = tensor_f32(pairs->x, 2, count, pairs->dim, 0, 0),
           y = tensor_f32(pairs->y, 2, count, pairs->columns, 0, 0);
    stage(pairs, rows, first, count);
    be_upload(be, x, pairs->staging);
    be_linear(be, pairs->packed, x, y, false);
    if (pairs->products)
        be_download(be, pairs->products, y);
    if (!be_check(be, err))
        return NULL;
    return pairs->products ? pairs->products : pairs->y;
}

double pairs_margin(int dim, double norm_a, double norm_b)
{
    double sum = norm_a + norm_b;
    return ROUNDING * (2 * (1.01 * dim + 8) * norm_a * norm_b + 4 * sum * sum) + TINY;
}

/* --- the distance -------------------------------------------------------------------------------- */

enum { LANES = 8, CHAINS = 4 };
typedef double Doubles __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double))));
typedef float Floats __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));

WIDE double distance2(const float *a, const float *b, int dim)
{
    Doubles sums[CHAINS] = {0}; /* several, or each addition would wait for the one before */
    int i = 0;
    for (; i + LANES * CHAINS <= dim; i += LANES * CHAINS)
        for (int c = 0; c < CHAINS; c++) {
            Doubles d = __builtin_convertvector(*(const Floats *)(a + i + c * LANES), Doubles) -
                        __builtin_convertvector(*(const Floats *)(b + i + c * LANES), Doubles);
            sums[c] += d * d;
        }
    Doubles all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double sum = 0;
    for (int l = 0; l < LANES; l++)
        sum += all[l];
    for (; i < dim; i++) {
        double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    return sum;
}

/* --- searching ----------------------------------------------------------------------------------- */

/* d^2 <= reach  means  p + margin/2 >= (norm2 of a + norm2 of b - reach)/2. */
static float half(double norm2, double reach)
{
    return (float)((norm2 - reach) / 2 - 16 * ROUNDING * (norm2 + reach) - TINY);
}

float search_offset(double norm2, double reach)
{
    return half(norm2, reach);
}

float search_limit(double norm2, double reach)
{
    return half(norm2, reach);
}

float search_scale(int dim, double norm)
{
    return (float)((1.01 * dim + 24) * ROUNDING * norm);
}

enum { STEP_LANES = 16 };
typedef float Row __attribute__((vector_size(STEP_LANES * sizeof(float)), aligned(sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(STEP_LANES * sizeof(int32_t))));

WIDE int64_t search_next(const float *products, SearchColumns columns, float limit, float scale, int64_t from,
                         int64_t count)
{
    int64_t j = from;
    for (; j + SEARCH_STEP <= count; j += SEARCH_STEP) {
        Mask any = {0};
        for (int l = 0; l < SEARCH_STEP; l += STEP_LANES) {
            Row p = *(const Row *)(products + j + l), slope = *(const Row *)(columns.slope + j + l),
                offset = *(const Row *)(columns.offset + j + l);
            any |= p + scale * slope >= offset + limit;
        }
        int32_t found = 0;
        for (int l = 0; l < STEP_LANES; l++)
            found |= any[l];
        if (found)
            return j;
    }
    for (int64_t l = j; l < count; l++)
        if (products[l] + scale * columns.slope[l] >= columns.offset[l] + limit)
            return j;
    return count;
}
