/* From rows of features to figures. A metric is done completely or not at all; one that was stopped is measured again
 * by the next report. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/evaluate/evaluation.h"
#include "worker/evaluate/reference.h"
#include "worker/report/parts.h"

/* One pipeline of a job. */
typedef struct Pass {
    Reporting *r;
    Resize pipeline;
    const char *file;       /* its statistics */
    cJSON *json;            /* where its figures go */
    unsigned metrics;       /* of the job's, those that this pipeline has */
    Features rows, spatial; /* spatial: rows NULL where they are those of the other pipeline, or not needed */
    Statistics *stats;
    Reference reference;
    const IdentityInput *weights;
} Pass;

static const IdentityInput *input_of(const Run *run, const char *field)
{
    for (int i = 0; i < run->identity.count; i++)
        if (strcmp(run->identity.inputs[i].field, field) == 0)
            return &run->identity.inputs[i];
    return NULL;
}

static void on_note(void *ctx, const char *text)
{
    const Pass *pass = ctx;
    run_note(pass->r->run, pass->r->hooks, "%s", text);
}

/* --- statistics ------------------------------------------------------------------------------------- */

/* Written with what they are, so that they can be a reference themselves. */
static bool save_statistics(Pass *pass, Err *err)
{
    Reporting *r = pass->r;
    Reference own = {
        .path = r->run->spec->output, .images = pass->stats->count, .pipeline = pipeline_name(pass->pipeline)};
    own.stats = pass->stats;
    own.spatial = pass->stats->spatial;
    if (pass->weights)
        memcpy(own.weights, pass->weights->sha256, sizeof own.weights);
    char *path = reporting_path(r, pass->file);
    bool good = reference_save(path, &own, err);
    free(path);
    reporting_produced(r, pass->file);
    return good;
}

static bool make_statistics(Pass *pass, Err *err)
{
    if (!features_statistics(&pass->rows, &pass->stats, err))
        return false;
    free(pass->stats->pipeline);
    pass->stats->pipeline = xstrdup(pipeline_name(pass->pipeline));
    if (pass->spatial.rows && !features_statistics(&pass->spatial, &pass->stats->spatial, err))
        return false;
    return save_statistics(pass, err);
}

/* --- the reference ---------------------------------------------------------------------------------- */

/* Progress over images of the reference: all images of the job are done. */
static void on_reference_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    const Pass *pass = ctx;
    char text[32];
    snprintf(text, sizeof text, "%.10s %" PRId64, stage, upto);
    hooks_progress(pass->r->hooks, pass->r->run->images, rate, text);
}

static bool on_reference_stop(void *ctx)
{
    const Pass *pass = ctx;
    return hooks_stopped(pass->r->hooks);
}

/* How the measuring went: for the log, not for the report. */
static void on_reference_note(void *ctx, const char *text)
{
    const Pass *pass = ctx;
    hooks_note(pass->r->hooks, text);
}

static bool open_reference(Pass *pass, Err *err)
{
    const Reporting *r = pass->r;
    const JobSpec *spec = r->run->spec;
    Hooks hooks = {
        .ctx = pass, .progress = on_reference_progress, .stop = on_reference_stop, .note = on_reference_note};
    ReferenceOptions options = {
        .models = r->run->models, .inception = spec->inception, .precision = spec->precision, .hooks = &hooks};
    unsigned wants = evaluation_wants_of_reference(pass->metrics);
    return reference_open(spec->reference, pass->pipeline, wants, &options, &pass->reference, err);
}

/* The name of the reference in the job; without one that of the file. */
static const char *reference_name(const Run *run)
{
    const cJSON *asked = cJSON_GetObjectItemCaseSensitive(run->submitted, "spec");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(asked, "reference");
    const char *slash = strrchr(run->spec->reference, '/');
    return cJSON_IsString(name) ? name->valuestring : slash && slash[1] ? slash + 1 : run->spec->reference;
}

static void describe_reference(const Pass *pass)
{
    const Reference *reference = &pass->reference;
    cJSON *object = cJSON_AddObjectToObject(pass->json, "reference");
    cJSON_AddStringToObject(object, "name", reference_name(pass->r->run));
    cJSON_AddStringToObject(object, "path", reference->path);
    cJSON_AddStringToObject(object, "kind", reference_kind_name(reference->kind));
    cJSON_AddStringToObject(object, "sha256", reference->sha256);
    if (reference->images)
        cJSON_AddNumberToObject(object, "images", (double)reference->images);
    if (reference->left_out)
        cJSON_AddNumberToObject(object, "left_out", (double)reference->left_out);
    cJSON_AddNumberToObject(object, "width", reference->stats->dim);
    cJSON_AddStringToObject(object, "pipeline", reference->pipeline ? reference->pipeline : "not said");
    if (*reference->weights)
        cJSON_AddStringToObject(object, "weights_sha256", reference->weights);
}

/* --- caveats ---------------------------------------------------------------------------------------- */

static void warn_about_images(const Pass *pass)
{
    const Statistics *stats = pass->stats;
    if (stats->spatial && stats->count <= stats->spatial->dim)
        run_note(pass->r->run, pass->r->hooks,
                 "%" PRId64 " images for %d spatial features: the sFID is too high; take more than %d images",
                 stats->count, stats->spatial->dim, stats->spatial->dim);
    if (stats->count <= stats->dim)
        run_note(pass->r->run, pass->r->hooks,
                 "%" PRId64 " images for %d features: the covariance is singular and the FID too high; take more than "
                 "%d images, or metrics kid, which has no such bias",
                 stats->count, stats->dim, stats->dim);
}

static void warn_about_reference(const Pass *pass)
{
    const Reference *reference = &pass->reference;
    if (reference->image_caveat)
        run_note(pass->r->run, pass->r->hooks, "reference %s: %s", reference->path, reference->image_caveat);
    char *caveat = reference_caveat(reference, pass->pipeline);
    if (caveat)
        run_note(pass->r->run, pass->r->hooks, "%s", caveat);
    free(caveat);
    if (*reference->weights && pass->weights && strcmp(reference->weights, pass->weights->sha256) != 0)
        run_note(pass->r->run, pass->r->hooks,
                 "the reference was measured with another network (weights %.12s) than the images (%.12s): the numbers "
                 "do not mean what they seem to",
                 reference->weights, pass->weights->sha256);
}

/* --- one pipeline ----------------------------------------------------------------------------------- */

static bool evaluate(Pass *pass, Err *err)
{
    Run *run = pass->r->run;
    if (pass->metrics & METRICS_OF_LOGITS && !run_load(run, pass->r->hooks, err))
        return false;
    stopwatch_enter(&run->watch, STAGE_REPORT); /* loading ended another stage */
    Evaluation what = {.metrics = pass->metrics,
                       .like = run->spec->like,
                       .neighbours = run->spec->neighbours,
                       .rows = pass->rows,
                       .spatial = pass->spatial,
                       .stats = pass->stats,
                       .net = run->measure.net,
                       .models = run->models,
                       .reference = run->spec->reference ? &pass->reference : NULL,
                       .hooks = pass->r->hooks,
                       .upto = run->images,
                       .ctx = pass,
                       .note = on_note};
    return evaluation_measure(&what, pass->json, err);
}

static void pass_done(Pass *pass)
{
    if (pass->stats != pass->r->stats)
        statistics_free(pass->stats);
    reference_close(&pass->reference);
}

static bool run_pass(Pass *pass, Err *err)
{
    const JobSpec *spec = pass->r->run->spec;
    const bool alone = pass->rows.count < 2 && !spec->reference && !spec->register_as;
    if (alone)
        run_note(pass->r->run, pass->r->hooks, "one image has no covariance: %s was not written", pass->file);
    bool good = alone || make_statistics(pass, err);
    if (good && spec->reference) {
        good = open_reference(pass, err);
        if (good) {
            describe_reference(pass);
            warn_about_images(pass);
            warn_about_reference(pass);
        }
    }
    return good && (!pass->metrics || evaluate(pass, err));
}

/* --- all of it -------------------------------------------------------------------------------------- */

/* The first pipeline's figures stand at the top level, those of a second one in an object of its name. */
static bool measure_passes(Reporting *r, Err *err)
{
    const bool both = r->run->pipeline == PIPELINE_BOTH;
    const Features none = {NULL, 0, 0};
    Pass first = {
        .r = r, .pipeline = r->run->pipeline == PIPELINE_TF ? RESIZE_TF : RESIZE_PT, .file = "statistics.npz"};
    first.json = r->measured;
    first.rows = r->all.features;
    first.spatial = both ? none : r->all.spatial; /* with both they are those of tf */
    first.metrics = r->run->spec->metrics & ~(both ? METRICS_OF_SPATIAL : 0u);
    first.weights = input_of(r->run, "inception");
    bool good = run_pass(&first, err);
    r->stats = first.stats;
    pass_done(&first);
    if (!good || !both)
        return good;
    Pass second = {.r = r, .pipeline = RESIZE_TF, .file = "statistics_tf.npz", .rows = r->all.features_tf};
    second.json = cJSON_AddObjectToObject(r->measured, "tf");
    second.spatial = r->all.spatial;
    second.metrics = r->run->spec->metrics;
    second.weights = first.weights;
    good = run_pass(&second, err);
    pass_done(&second);
    return good;
}

static void describe_images(Reporting *r)
{
    const Run *run = r->run;
    const Merged *all = &r->all;
    const IdentityInput *weights = input_of(run, "inception");
    cJSON_AddNumberToObject(r->measured, "n", (double)all->count);
    cJSON_AddStringToObject(r->measured, "pipeline", run->pipeline == PIPELINE_TF ? "tf" : "pt");
    if (weights)
        cJSON_AddStringToObject(r->measured, "weights_sha256", weights->sha256);
    cJSON_AddStringToObject(r->measured, "images_sha256", all->sha256);
    cJSON_AddNumberToObject(r->measured, "duplicates", (double)all->duplicates);
    cJSON_AddNumberToObject(r->measured, "skipped", (double)(all->images - all->count));
    if (run->source)
        cJSON_AddNumberToObject(r->measured, "left_out", (double)image_source_left_out(run->source));
}

/* Rows are numbered without the images that were left out; the report numbers images. */
static void name_samples(const Merged *all, cJSON *measured)
{
    cJSON *list, *sample;
    cJSON_ArrayForEach(list, cJSON_GetObjectItemCaseSensitive(measured, "samples")) cJSON_ArrayForEach(sample, list)
    {
        cJSON *image = cJSON_GetObjectItemCaseSensitive(sample, "image");
        cJSON_SetNumberHelper(image, (double)merged_image(all, (int64_t)image->valuedouble));
    }
}

bool reporting_measure(Reporting *r, Err *err)
{
    if (!r->run->spec->inception)
        return true;
    describe_images(r);
    if (!measure_passes(r, err) || !run_register(r->run, r->stats, r->all.sha256, err))
        return false;
    name_samples(&r->all, r->measured);
    name_samples(&r->all, cJSON_GetObjectItemCaseSensitive(r->measured, "tf"));
    return true;
}
