#include "worker/metrics/fid_curve.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/philox.h"
#include "worker/metrics/moments.h"

enum { TOGETHER = 8 /* solves at once at most: each holds 100 MiB at 2048 features */ };

/* --- solving side by side ------------------------------------------------------------------------ */

/* Statistics that wait until there are as many as threads. */
typedef struct Solver {
    FrechetRoot *root;
    Statistics *waiting[TOGETHER];
    int count, together, solved;
    double *values; /* in the order they were added; the caller's */
} Solver;

static bool solver_open(Solver *solver, const Statistics *reference, double *values, Err *err)
{
    int threads = omp_get_max_threads();
    *solver = (Solver){.together = threads < TOGETHER ? threads : TOGETHER, .values = values};
    solver->root = frechet_root(reference, err);
    return solver->root != NULL;
}

static void drop_waiting(Solver *solver)
{
    for (int i = 0; i < solver->count; i++)
        statistics_free(solver->waiting[i]);
    solver->count = 0;
}

static void solver_close(Solver *solver)
{
    drop_waiting(solver);
    frechet_root_free(solver->root);
}

static bool solver_flush(Solver *solver, Err *err)
{
    bool solved[TOGETHER];
    Err errs[TOGETHER] = {0};
#pragma omp parallel for schedule(dynamic) num_threads(solver->together)
    for (int i = 0; i < solver->count; i++) {
        Frechet f = {0};
        solved[i] = frechet_from_root(solver->root, solver->waiting[i], &f, &errs[i]);
        solver->values[solver->solved + i] = f.raw;
    }
    bool ok = true;
    for (int i = 0; ok && i < solver->count; i++)
        if (!solved[i])
            ok = err_set(err, errs[i].kind, "%s", errs[i].text);
    solver->solved += solver->count;
    drop_waiting(solver);
    return ok;
}

/* Consumes the statistics. */
static bool solver_add(Solver *solver, Statistics *stats, Err *err)
{
    solver->waiting[solver->count++] = stats;
    return solver->count < solver->together || solver_flush(solver, err);
}

/* --- rows in another order ----------------------------------------------------------------------- */

/* Adds rows order[first..end-1] to the moments, a group at a time through `buffer` [MOMENTS_GROUP,dim]. */
static bool add_rows(Moments *moments, const Features *features, const int64_t *order, int64_t first, int64_t end,
                     float *buffer, Err *err)
{
    size_t row = sizeof(float) * (size_t)features->dim;
    while (first < end) {
        int64_t take = end - first < MOMENTS_GROUP ? end - first : MOMENTS_GROUP;
        for (int64_t i = 0; i < take; i++)
            memcpy(buffer + i * features->dim, features->rows + order[first + i] * features->dim, row);
        if (!moments_add(moments, buffer, take, err))
            return false;
        first += take;
    }
    return true;
}

/* All rows, shuffled the same way everywhere. */
static int64_t *shuffled(int64_t count)
{
    static const uint32_t key[2] = {0x43555256, 0x45464944};
    int64_t *order = xmalloc(sizeof(int64_t) * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), 0, 0};
        uint32_t words[4];
        philox4x32(counter, key, words);
        uint64_t draw = (uint64_t)words[0] << 32 | words[1];
        int64_t other = (int64_t)((unsigned __int128)draw * (uint64_t)(i + 1) >> 64), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    return order;
}

static bool check(const Features *fake, const Statistics *reference, Err *err)
{
    if (fake->dim != reference->dim)
        return err_set(err, ERR_FORMAT,
                       "generated images have %d features, the reference has %d; both must come from the same network",
                       fake->dim, reference->dim);
    return features_check(fake, "generated", err);
}

/* --- the curve ----------------------------------------------------------------------------------- */

static void fit(FidCurve *curve)
{
    double x_mean = 0, y_mean = 0, xx = 0, xy = 0;
    for (int i = 0; i < curve->points; i++) {
        x_mean += 1.0 / (double)curve->count[i] / curve->points;
        y_mean += curve->fid[i] / curve->points;
    }
    for (int i = 0; i < curve->points; i++) {
        double x = 1.0 / (double)curve->count[i] - x_mean;
        xx += x * x;
        xy += x * (curve->fid[i] - y_mean);
    }
    curve->slope = xy / xx;
    curve->infinity = y_mean - curve->slope * x_mean;
}

static bool points(const Features *fake, const int64_t *order, Solver *solver, const MetricHooks *hooks,
                   FidCurve *curve, Err *err)
{
    Moments *moments = moments_new(fake->dim);
    float *buffer = xmalloc(sizeof(float) * MOMENTS_GROUP * (size_t)fake->dim);
    bool ok = true;
    for (int i = 0; ok && i < curve->points; i++) {
        Statistics *stats;
        ok = add_rows(moments, fake, order, i ? curve->count[i - 1] : 0, curve->count[i], buffer, err) &&
             moments_finish(moments, &stats, err) && solver_add(solver, stats, err) &&
             metric_step(hooks, "FID-infinity", (double)solver->solved / curve->points, err);
    }
    ok = ok && solver_flush(solver, err);
    free(buffer);
    moments_free(moments);
    return ok;
}

bool fid_infinity(const Features *fake, const Statistics *reference, const MetricHooks *hooks, FidCurve *ret_curve,
                  Err *err)
{
    int64_t n = fake->count, least = n / 10 < 5000 ? n / 10 : 5000;
    if (n < FID_CURVE_MIN)
        return err_set(err, ERR_USAGE, "FID-infinity: %lld images; a line through smaller sets needs at least %d",
                       (long long)n, FID_CURVE_MIN);
    FidCurve curve = {.points = FID_CURVE_POINTS};
    for (int i = 0; i < curve.points; i++)
        curve.count[i] = least + (n - least) * i / (curve.points - 1);
    Solver solver = {0};
    int64_t *order = shuffled(n);
    bool ok = check(fake, reference, err) && solver_open(&solver, reference, curve.fid, err) &&
              points(fake, order, &solver, hooks, &curve, err);
    if (ok) {
        fit(&curve);
        *ret_curve = curve;
    }
    solver_close(&solver);
    free(order);
    return ok;
}

/* --- the interval -------------------------------------------------------------------------------- */

/* Row numbers block by block; ret_first [INTERVAL_BLOCKS + 1] says where each begins. */
static int64_t *by_block(int64_t count, int64_t *ret_first)
{
    int64_t *order = xmalloc(sizeof(int64_t) * (size_t)count), at[INTERVAL_BLOCKS];
    ret_first[0] = 0;
    for (int b = 0; b < INTERVAL_BLOCKS; b++) {
        at[b] = ret_first[b];
        ret_first[b + 1] = ret_first[b] + interval_block_rows(count, b);
    }
    for (int64_t i = 0; i < count; i++)
        order[at[interval_block(i)]++] = i;
    return order;
}

/* The sums of all rows are those of the blocks, in order; then each block is summed again and taken out. That is twice
 * the sums, which cost a tenth of the solving, and two matrices in memory instead of twenty. */
static bool without_blocks(const Features *fake, const int64_t *order, const int64_t *first, Solver *solver,
                           const MetricHooks *hooks, Err *err)
{
    float *buffer = xmalloc(sizeof(float) * MOMENTS_GROUP * (size_t)fake->dim);
    Moments *all = moments_new(fake->dim);
    bool ok = true;
    for (int b = 0; ok && b < INTERVAL_BLOCKS; b++)
        ok = add_rows(all, fake, order, first[b], first[b + 1], buffer, err) &&
             metric_step(hooks, "the interval of FID", 0.05 * (b + 1) / INTERVAL_BLOCKS, err);
    for (int b = 0; ok && b < INTERVAL_BLOCKS; b++) {
        Moments *block = moments_new(fake->dim);
        Statistics *stats;
        ok = add_rows(block, fake, order, first[b], first[b + 1], buffer, err) &&
             moments_finish_without(all, block, &stats, err) && solver_add(solver, stats, err) &&
             metric_step(hooks, "the interval of FID", 0.05 + 0.95 * solver->solved / INTERVAL_BLOCKS, err);
        moments_free(block);
    }
    moments_free(all);
    free(buffer);
    return ok && solver_flush(solver, err);
}

bool fid_interval(const Features *fake, const Statistics *reference, double value, const MetricHooks *hooks,
                  Interval *ret_interval, Err *err)
{
    double without[INTERVAL_BLOCKS];
    int64_t first[INTERVAL_BLOCKS + 1];
    if (!check(fake, reference, err))
        return false;
    int blocks = interval_blocks(fake->count);
    if (blocks == 0) {
        *ret_interval = interval_of(value, NULL, 0, 0, INFINITY);
        return true;
    }
    Solver solver = {0};
    int64_t *order = by_block(fake->count, first);
    bool ok = solver_open(&solver, reference, without, err) && without_blocks(fake, order, first, &solver, hooks, err);
    if (ok)
        *ret_interval = interval_of(value, without, blocks, 0, INFINITY);
    solver_close(&solver);
    free(order);
    return ok;
}
