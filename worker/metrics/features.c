#include "worker/metrics/features.h"

#include <math.h>

#include "worker/metrics/moments.h"

bool features_check(const Features *features, const char *which, Err *err)
{
    if (features->count < 1 || features->dim < 1)
        return err_set(err, ERR_USAGE, "%s features: %lld images of %d features; wanted at least one of each", which,
                       (long long)features->count, features->dim);
    for (int64_t i = 0; i < features->count; i++) {
        const float *row = features->rows + i * features->dim;
        float sum = 0; /* of x - x: 0, or NaN where one is not finite */
        for (int j = 0; j < features->dim; j++)
            sum += row[j] - row[j];
        for (int j = 0; sum != 0 && j < features->dim; j++)
            if (!isfinite(row[j]))
                return err_set(err, ERR_NUMERIC, "%s features: image %lld has %f at feature %d of %d", which,
                               (long long)i, (double)row[j], j, features->dim);
    }
    return true;
}

bool features_check_pair(const Features *fake, const Features *real, Err *err)
{
    if (fake->dim != real->dim)
        return err_set(err, ERR_FORMAT,
                       "generated images have %d features, the reference has %d; both must come from the same network",
                       fake->dim, real->dim);
    return features_check(fake, "generated", err) && features_check(real, "reference", err);
}

bool features_statistics(const Features *features, Statistics **ret_stats, Err *err)
{
    Moments *moments = moments_new(features->dim);
    bool ok = moments_add(moments, features->rows, features->count, err) && moments_finish(moments, ret_stats, err);
    moments_free(moments);
    return ok;
}

bool metric_step(const MetricHooks *hooks, const char *metric, double done, Err *err)
{
    if (hooks && hooks->progress)
        hooks->progress(hooks->ctx, done);
    if (hooks && hooks->stop && hooks->stop(hooks->ctx))
        return err_set(err, ERR_CANCELLED, "%s: stopped at %.0f%%", metric, 100 * done);
    return true;
}
