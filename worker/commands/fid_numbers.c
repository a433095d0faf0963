/* One row a metric. The interval of the FID takes seconds and wants the features of the generated images, so it is
 * there for the JSON when another metric had them measured. */
#include "worker/commands/fid_numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

typedef struct Numbers {
    const FidOptions *options;
    const Reference *fake, *real;
    Inception *net;
    const MetricHooks *hooks;
    FidNumbers out;
} Numbers;

static void put(Numbers *n, const char *label, const char *key, double value)
{
    FidNumber *number = &n->out.items[n->out.count++];
    *number = (FidNumber){.label = label, .value = value};
    snprintf(number->key, sizeof number->key, "%s", key);
}

/* KEY, KEY_low, KEY_high. */
static void put_interval(Numbers *n, const char *label, const char *key, const Interval *interval)
{
    char bound[24];
    put(n, label, key, interval->value);
    snprintf(bound, sizeof bound, "%s_low", key);
    put(n, NULL, bound, interval->low);
    snprintf(bound, sizeof bound, "%s_high", key);
    put(n, NULL, bound, interval->high);
}

static bool distance(const Numbers *n, const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err)
{
    bool like = n->options->like == LIKE_PYTORCH_FID;
    return (like ? frechet_like_pytorch_fid : frechet_distance)(a, b, ret_frechet, err) ||
           err_wrap(err, "%s and %s", n->fake->path, n->real->path);
}

static bool fid(Numbers *n, Err *err)
{
    Frechet frechet;
    Interval interval = {NAN, NAN, NAN};
    if (!distance(n, n->fake->stats, n->real->stats, &frechet, err))
        return false;
    bool asked = n->options->json && n->fake->features.rows;
    if (asked && !fid_interval(&n->fake->features, n->real->stats, frechet.raw, n->hooks, &interval, err))
        return false;
    interval.value = frechet.fid;
    put_interval(n, "FID", "fid", &interval);
    put(n, NULL, "fid_raw", frechet.raw);
    return true;
}

static bool sfid(Numbers *n, Err *err)
{
    Frechet frechet;
    if (!distance(n, n->fake->spatial, n->real->spatial, &frechet, err))
        return false;
    put(n, "sFID", "sfid", frechet.fid);
    return true;
}

/* Logits are not kept: they are the features times the classifier. */
static bool read_logits(void *ctx, int64_t first, int64_t count, float *ret_logits, Err *err)
{
    const Numbers *n = ctx;
    const Features *features = &n->fake->features;
    return inception_logits(n->net, features->rows + first * features->dim, count, ret_logits, err);
}

static bool inception_score(Numbers *n, Err *err)
{
    Logits logits = {
        .count = n->fake->features.count, .classes = inception_classes(n->net), .read = read_logits, .ctx = n};
    Score score;
    if (!score_measure(&logits, SCORE_PARTS, n->hooks, &score, err))
        return false;
    put_interval(n, "IS", "is_mean", &score.score);
    put(n, NULL, "is_std", score.std);
    return true;
}

static bool kid(Numbers *n, Err *err)
{
    KidPlan plan = {.subsets = KID_SUBSETS, .subset_size = KID_SUBSET_SIZE, .hooks = n->hooks};
    Kid measured;
    if (!kid_measure(&n->fake->features, &n->real->features, &plan, &measured, err))
        return false;
    put_interval(n, "KID", "kid", &measured.kid);
    put(n, NULL, "kid_std", measured.std);
    return true;
}

static bool prdc(Numbers *n, Err *err)
{
    Neighbours found = {.k = 0};
    if (!neighbours_measure(NULL, &n->fake->features, &n->real->features, NEIGHBOURS_DEFAULT, n->hooks, &found, err))
        return false;
    put_interval(n, "precision", "precision", &found.precision);
    put_interval(n, "recall", "recall", &found.recall);
    put_interval(n, "density", "density", &found.density);
    put_interval(n, "coverage", "coverage", &found.coverage);
    neighbours_free(&found);
    return true;
}

static bool fid_inf(Numbers *n, Err *err)
{
    FidCurve curve;
    if (!fid_infinity(&n->fake->features, n->real->stats, n->hooks, &curve, err))
        return false;
    put(n, "FID-infinity", "fid_inf", curve.infinity);
    return true;
}

static const struct {
    unsigned metric, fake_wants, real_wants;
    bool (*measure)(Numbers *n, Err *err);
} rows[] = {
    {METRIC_FID, 0, 0, fid},
    {METRIC_SFID, REFERENCE_SPATIAL, REFERENCE_SPATIAL, sfid},
    {METRIC_IS, REFERENCE_FEATURES, 0, inception_score},
    {METRIC_KID, REFERENCE_FEATURES, REFERENCE_FEATURES, kid},
    {METRIC_PRDC, REFERENCE_FEATURES, REFERENCE_FEATURES, prdc},
    {METRIC_FID_INF, REFERENCE_FEATURES, 0, fid_inf},
};

unsigned fid_numbers_want(const FidOptions *options, int side)
{
    unsigned wants = 0;
    for (size_t i = 0; i < countof(rows); i++)
        if (options->metrics & rows[i].metric)
            wants |= side == 0 ? rows[i].fake_wants : rows[i].real_wants;
    return wants;
}

bool fid_numbers(const FidOptions *options, const Reference sides[2], Inception *net, const MetricHooks *hooks,
                 FidNumbers *ret_numbers, Err *err)
{
    Numbers n = {.options = options, .fake = &sides[0], .real = &sides[1], .net = net, .hooks = hooks};
    for (size_t i = 0; i < countof(rows); i++)
        if (options->metrics & rows[i].metric && !rows[i].measure(&n, err))
            return false;
    *ret_numbers = n.out;
    return true;
}
