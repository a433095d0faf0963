/* Made-up feature sets, and watching a metric, for the tests of metrics. */
#ifndef TESTS_METRICS_SETS_H
#define TESTS_METRICS_SETS_H

#include <math.h>
#include <omp.h>

#include "tests/procedural.h"
#include "worker/metrics/metrics.h"

static inline double normal_at(uint64_t stream, uint64_t i)
{
    double u = stream_at(stream, 2 * i) + 1e-9, v = stream_at(stream, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* Independent normals; free the rows with set_free. */
static inline Features normal_set(const char *key, int64_t count, int dim, double mean, double deviation)
{
    float *rows = xmalloc(sizeof(float) * (size_t)(count * dim));
    uint64_t stream = stream_open(key);
    for (int64_t i = 0; i < count * dim; i++)
        rows[i] = (float)(mean + deviation * normal_at(stream, (uint64_t)i));
    return (Features){rows, count, dim};
}

static inline void set_free(Features *set)
{
    free((void *)set->rows);
    *set = (Features){0};
}

/* A copy without the rows of one jackknife block. */
static inline Features set_without(const Features *set, int block)
{
    float *rows = xmalloc(sizeof(float) * (size_t)(set->count * set->dim));
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++)
        if (interval_block(i) != block)
            memcpy(rows + count++ * set->dim, set->rows + i * set->dim, sizeof(float) * (size_t)set->dim);
    return (Features){rows, count, set->dim};
}

/* MMD^2 of `size` rows of each set alone: kid_measure without subsets. */
static inline double kid_of_rows(const Features *fake, const Features *real, const int64_t *fake_index,
                                 const int64_t *real_index, int64_t size)
{
    const Features *sets[] = {fake, real};
    const int64_t *index[] = {fake_index, real_index};
    Features rows[2];
    for (int k = 0; k < 2; k++) {
        float *copy = xmalloc(sizeof(float) * (size_t)(size * sets[k]->dim));
        for (int64_t i = 0; i < size; i++)
            memcpy(copy + i * sets[k]->dim, sets[k]->rows + index[k][i] * sets[k]->dim,
                   sizeof(float) * (size_t)sets[k]->dim);
        rows[k] = (Features){copy, size, sets[k]->dim};
    }
    Err err = {0};
    Kid kid;
    KidPlan plan = {.subsets = 1, .subset_size = size + 1};
    assert_ok(kid_measure(&rows[0], &rows[1], &plan, &kid, &err), err);
    set_free(&rows[0]);
    set_free(&rows[1]);
    return kid.all_pairs;
}

/* --- watching ------------------------------------------------------------------------------------ */

typedef struct Watch {
    int steps, stop_after; /* 0: never */
    double done;
} Watch;

static inline bool watch_stop(void *ctx)
{
    const Watch *watch = ctx;
    return watch->stop_after && watch->steps >= watch->stop_after;
}

static inline void watch_progress(void *ctx, double done)
{
    Watch *watch = ctx;
    if (!(done >= watch->done && done <= 1))
        fail_msg("progress went from %g to %g", watch->done, done);
    watch->done = done;
    watch->steps++;
}

static inline MetricHooks watch_hooks(Watch *watch)
{
    return (MetricHooks){watch, watch_stop, watch_progress};
}

#endif
