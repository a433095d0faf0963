/* A set of features in memory: one row per image, float32, often a mapped file. What all metrics take, and how a metric
 * that runs for seconds reports progress and is stopped. */
#ifndef WORKER_METRICS_FEATURES_H
#define WORKER_METRICS_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "worker/metrics/statistics.h"

typedef struct Features {
    const float *rows; /* [count,dim], not owned */
    int64_t count;
    int dim;
} Features;

/* Finite, at least one row; a NaN or infinity is ERR_NUMERIC and names the first image that has one. `which`: the name
 * of the set in messages: "generated", "reference". The metrics check their input themselves.
 */
bool features_check(const Features *features, const char *which, Err *err);
/* Both as above, and equally wide. */
bool features_check_pair(const Features *fake, const Features *real, Err *err);

/* Mean and covariance of all rows: moments_add and moments_finish. */
bool features_statistics(const Features *features, Statistics **ret_stats, Err *err);

/* Called between steps of a second or two at most, at 2048 features, from the thread that called the metric.
 * `done` runs from 0 to 1. When stop returns true the metric returns false with ERR_CANCELLED. */
typedef struct MetricHooks {
    void *ctx;
    bool (*stop)(void *ctx);
    void (*progress)(void *ctx, double done);
} MetricHooks; /* a NULL pointer to it, or to a member, is fine */

/* Reports progress and asks whether to stop; then false with ERR_CANCELLED, naming `metric`. */
bool metric_step(const MetricHooks *hooks, const char *metric, double done, Err *err);

#endif
