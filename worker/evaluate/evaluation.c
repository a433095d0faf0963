/* One function per metric and the table that runs them. To add a metric: its rows in spec/metric.h, a function and a
 * row here. */
#include "worker/evaluate/evaluation.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "worker/evaluate/evaluation_parts.h"

typedef struct Measuring {
    const Evaluation *what;
    cJSON *json, *seconds;
    const char *stage; /* the metric in work */
    MetricHooks hooks;
} Measuring;

/* --- watching -------------------------------------------------------------------------------------- */

static void note(const Measuring *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const Measuring *m, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (m->what->note)
        m->what->note(m->what->ctx, text);
}

static bool on_stop(void *ctx)
{
    const Measuring *m = ctx;
    const Hooks *hooks = m->what->hooks;
    return hooks_stopped(hooks);
}

static void on_progress(void *ctx, double done)
{
    const Measuring *m = ctx;
    const Hooks *hooks = m->what->hooks;
    char stage[48];
    snprintf(stage, sizeof stage, "%s %.0f%%", m->stage, 100 * done);
    hooks_progress(hooks, m->what->upto, 0, stage);
}

/* --- what every metric does ------------------------------------------------------------------------ */

static void add_interval(cJSON *json, const char *key, const Interval *interval)
{
    char name[48];
    json_add_number(json, key, interval->value);
    if (!isfinite(interval->low) || !isfinite(interval->high))
        return;
    snprintf(name, sizeof name, "%s_low", key);
    json_add_number(json, name, interval->low);
    snprintf(name, sizeof name, "%s_high", key);
    json_add_number(json, name, interval->high);
}

static void add_terms(cJSON *json, const char *name, const Frechet *f)
{
    cJSON *terms = cJSON_AddObjectToObject(json, name);
    json_add_number(terms, "raw", f->raw);
    json_add_number(terms, "mean_term", f->mean_term);
    json_add_number(terms, "trace_images", f->trace1);
    json_add_number(terms, "trace_reference", f->trace2);
    json_add_number(terms, "trace_sqrt", f->trace_sqrt);
}

/* --- the metrics ----------------------------------------------------------------------------------- */

/* An interval and a curve resample the rows, so they belong to the statistics of just these rows. ADM's .npz has
 * statistics of more images than it holds. */
static bool rows_made(const Features *rows, const Statistics *stats)
{
    return rows->rows && rows->count == stats->count;
}

/* A Frechet distance with its interval: FID and sFID. */
static bool measure_distance(Measuring *m, const char *key, const Features *rows, const Statistics *ours,
                             const Statistics *theirs, Err *err)
{
    Frechet f;
    bool like = m->what->like == LIKE_PYTORCH_FID;
    if (!(like ? frechet_like_pytorch_fid : frechet_distance)(ours, theirs, &f, err))
        return err_wrap(err, "%s against %s", key, m->what->reference->path);
    Interval interval = {f.fid, NAN, NAN};
    bool has_interval = !m->what->values_only && rows_made(rows, ours) && interval_blocks(rows->count);
    if (has_interval && !fid_interval(rows, theirs, f.raw, &m->hooks, &interval, err))
        return false;
    interval.value = f.fid; /* clamped at 0; raw is among the terms */
    add_interval(m->json, key, &interval);
    char *terms = xasprintf("%s_terms", key);
    add_terms(m->json, terms, &f);
    free(terms);
    if (f.eps)
        note(m, "%s: the product of the covariances is singular; 1e-6 was added to both diagonals, as pytorch-fid does",
             key);
    return true;
}

static bool measure_fid(Measuring *m, Err *err)
{
    return measure_distance(m, "fid", &m->what->rows, m->what->stats, m->what->reference->stats, err);
}

static bool measure_sfid(Measuring *m, Err *err)
{
    return measure_distance(m, "sfid", &m->what->spatial, m->what->stats->spatial, m->what->reference->spatial, err);
}

/* Logits are not kept: they are the features times the classifier. */
static bool read_logits(void *ctx, int64_t first, int64_t count, float *ret_logits, Err *err)
{
    const Evaluation *what = ctx;
    return inception_logits(what->net, what->rows.rows + first * what->rows.dim, count, ret_logits, err);
}

static bool measure_score(Measuring *m, Err *err)
{
    Logits logits = {.count = m->what->rows.count, .read = read_logits, .ctx = (void *)m->what};
    Score score;
    if (m->what->rows.count < SCORE_PARTS) {
        note(m, "the Inception score takes %d parts and there are %" PRId64 " images: left out", SCORE_PARTS,
             m->what->rows.count);
        return true;
    }
    logits.classes = inception_classes(m->what->net);
    if (!score_measure(&logits, SCORE_PARTS, &m->hooks, &score, err))
        return false;
    add_interval(m->json, "is_mean", &score.score);
    json_add_number(m->json, "is_std", score.std);
    cJSON_AddItemToObject(m->json, "is_parts", json_numbers(score.part, score.parts));
    return true;
}

static bool measure_kid(Measuring *m, Err *err)
{
    const Features *fake = &m->what->rows, *real = &m->what->reference->features;
    KidPlan plan = {
        .subsets = KID_SUBSETS, .subset_size = KID_SUBSET_SIZE, .seed = EVALUATION_KID_SEED, .hooks = &m->hooks};
    Kid kid;
    if (!kid_measure(fake, real, &plan, &kid, err))
        return false;
    add_interval(m->json, "kid", &kid.kid);
    if (isfinite(kid.std))
        json_add_number(m->json, "kid_std", kid.std);
    json_add_number(m->json, "kid_subsets", kid.subsets);
    return true;
}

static bool measure_neighbours(Measuring *m, Err *err)
{
    const Features *fake = &m->what->rows, *real = &m->what->reference->features;
    int64_t fewest = fake->count < real->count ? fake->count : real->count;
    if (m->what->neighbours >= fewest) {
        note(m,
             "precision, recall, density and coverage look at %d neighbours and a set has %" PRId64 " images: left out",
             m->what->neighbours, fewest);
        return true;
    }
    Backend *be = model_cache_backend(m->what->models, PREC_F32, err);
    Neighbours n;
    if (!be || !neighbours_measure(be, fake, real, m->what->neighbours, &m->hooks, &n, err))
        return false;
    add_interval(m->json, "precision", &n.precision);
    add_interval(m->json, "recall", &n.recall);
    add_interval(m->json, "density", &n.density);
    add_interval(m->json, "coverage", &n.coverage);
    evaluation_neighbours(m->json, &n);
    neighbours_free(&n);
    return true;
}

/* The curve is part of every FID that has enough images; what it tends to is a figure when that was asked for. */
static bool measure_curve(Measuring *m, Err *err)
{
    bool asked = m->what->metrics & METRIC_FID_INF;
    if (!asked && (m->what->values_only || !rows_made(&m->what->rows, m->what->stats)))
        return true;
    if (m->what->rows.count < FID_CURVE_MIN) {
        if (asked)
            note(m, "FID-infinity needs at least %d images and there are %" PRId64 ": left out", FID_CURVE_MIN,
                 m->what->rows.count);
        return true;
    }
    FidCurve curve;
    Err why = {0};
    if (!fid_infinity(&m->what->rows, m->what->reference->stats, &m->hooks, &curve, &why)) {
        if (asked || why.kind == ERR_CANCELLED)
            return err_set(err, why.kind, "%s", why.text);
        note(m, "the curve of FID against the number of images was left out: %s", why.text);
        return true;
    }
    if (asked)
        json_add_number(m->json, "fid_inf", curve.infinity);
    cJSON *object = cJSON_AddObjectToObject(m->json, "curve"), *images = cJSON_AddArrayToObject(object, "images");
    for (int i = 0; i < curve.points; i++)
        cJSON_AddItemToArray(images, cJSON_CreateNumber((double)curve.count[i]));
    cJSON_AddItemToObject(object, "fid", json_numbers(curve.fid, curve.points));
    json_add_number(object, "infinity", curve.infinity);
    json_add_number(object, "slope", curve.slope);
    return true;
}

static const struct {
    unsigned metrics; /* any of these */
    const char *name;
    bool (*measure)(Measuring *m, Err *err);
} table[] = {
    {METRIC_FID, "fid", measure_fid},          {METRIC_SFID, "sfid", measure_sfid},
    {METRIC_IS, "is", measure_score},          {METRIC_KID, "kid", measure_kid},
    {METRIC_PRDC, "prdc", measure_neighbours}, {METRIC_FID | METRIC_FID_INF, "curve", measure_curve},
};

/* --- all of them ----------------------------------------------------------------------------------- */

unsigned evaluation_wants_of_reference(unsigned metrics)
{
    return (metrics & METRICS_OF_BOTH_ROWS ? REFERENCE_FEATURES : 0u) |
           (metrics & METRICS_OF_SPATIAL ? REFERENCE_SPATIAL : 0u);
}

unsigned evaluation_wants_of_images(unsigned metrics)
{
    return (metrics & METRICS_OF_ROWS ? REFERENCE_FEATURES : 0u) |
           (metrics & METRICS_OF_SPATIAL ? REFERENCE_SPATIAL : 0u);
}

bool evaluation_measure(const Evaluation *what, cJSON *json, Err *err)
{
    Measuring m = {.what = what, .json = json, .seconds = cJSON_CreateObject()};
    m.hooks = (MetricHooks){.ctx = &m, .stop = on_stop, .progress = on_progress};
    bool good = true;
    for (size_t i = 0; good && i < countof(table); i++) {
        if (!(what->metrics & table[i].metrics))
            continue;
        double start = mono_seconds();
        m.stage = table[i].name;
        good = metric_step(&m.hooks, m.stage, 0, err) && table[i].measure(&m, err);
        cJSON_AddNumberToObject(m.seconds, m.stage, round((mono_seconds() - start) * 1e6) / 1e6);
    }
    if (m.seconds->child)
        cJSON_AddItemToObject(json, "seconds_by_metric", m.seconds);
    else
        cJSON_Delete(m.seconds);
    return good;
}
