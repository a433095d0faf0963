/* A run from open to close. Order of checks: the files that the spec names, the folder, then the models, so that the
 * cheap checks come first and nothing is written before all of them passed. */
#include "worker/job/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/evaluate/pipeline.h"
#include "worker/job/parts.h"

enum { BATCH_CPU = 4, BATCH_CUDA = 128, GRID_IMAGES = 64 };

void run_note(Run *run, const Hooks *hooks, const char *format, ...)
{
    char text[768];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const cJSON *said;
    cJSON_ArrayForEach(said, run->warnings) if (strcmp(said->valuestring, text) == 0) return;
    cJSON_AddItemToArray(run->warnings, cJSON_CreateString(text));
    hooks_note(hooks, text);
}

/* --- opening --------------------------------------------------------------------------------------- */

/* Pixels are kept where no PNG is there to make the contact sheet from. */
static ShardNeeds keeps_of(const JobSpec *spec, JobPipeline pipeline, const char *identity)
{
    bool sample = jobkind_of(spec->kind)->makes_images, npz = spec->save & SAVE_NPZ;
    ShardNeeds keeps = {.identity = identity, .contents = true, .readable = !spec->skip_bad};
    keeps.png = sample && spec->save & SAVE_PNG;
    keeps.arrays[ARRAY_CODES] = sample && spec->save & SAVE_CODES;
    keeps.arrays[ARRAY_VECTORS] = sample && spec->save & SAVE_VECTORS;
    if (spec->inception) {
        keeps.arrays[ARRAY_FEATURES] = keeps.arrays[ARRAY_HASHES] = true;
        keeps.arrays[ARRAY_FEATURES_TF] = pipeline == PIPELINE_BOTH;
        keeps.arrays[ARRAY_SPATIAL] = spec->metrics & METRICS_OF_SPATIAL;
    }
    keeps.arrays[ARRAY_PIXELS] = sample && (npz || !keeps.png);
    keeps.pixels_below = npz ? INT64_MAX : GRID_IMAGES;
    return keeps;
}

ShardNeeds run_needs(const Run *run)
{
    ShardNeeds needs = run->keeps;
    bool npz = run->spec->save & SAVE_NPZ;
    if (folder_has(run->spec->output, "grid.png") && (!npz || folder_has(run->spec->output, "samples.npz")))
        needs.arrays[ARRAY_PIXELS] = false;
    return needs;
}

/* Before the identity is made of its files, so that a change in between is found when they are read. */
static bool open_source(Run *run, Err *err)
{
    if (!jobkind_of(run->spec->kind)->reads_source)
        return true;
    run->source = model_cache_source(run->models, run->spec->output, run->spec->source, err);
    run->images = run->source ? image_source_count(run->source) : 0;
    return run->source != NULL;
}

Run *run_open(ModelCache *models, const JobSpec *spec, Err *err)
{
    Run *run = xcalloc(1, sizeof *run);
    *run = (Run){.models = models,
                 .spec = spec,
                 .images = spec->images,
                 .watch = {.now = STAGE_NONE},
                 .warnings = cJSON_CreateArray()};
    bool good = model_cache_serves(models, spec->device, err) && pipeline_choose(spec, &run->pipeline, err) &&
                open_source(run, err) && identity_make(spec, run->pipeline, run->source, &run->identity, err) &&
                (!jobkind_of(spec->kind)->uses_model ||
                 ((run->family = family_find(spec->family, err)) && inputs_open(spec, &run->inputs, err))) &&
                folder_check(spec->output, &run->identity, err);
    if (!good) {
        run_close(run);
        return NULL;
    }
    run->keeps = keeps_of(spec, run->pipeline, run->identity.images);
    return run;
}

void run_submitted(Run *run, const cJSON *submitted)
{
    run->submitted = submitted;
}

cJSON *run_files(const Run *run)
{
    return identity_files(&run->identity, run->spec);
}

void run_close(Run *run)
{
    if (!run)
        return;
    inputs_close(&run->inputs);
    identity_free(&run->identity);
    cJSON_Delete(run->warnings);
    free(run);
}

/* --- loading --------------------------------------------------------------------------------------- */

static int wanted_batch(const Run *run)
{
    int wanted = run->spec->batch ? run->spec->batch : model_cache_is_host(run->models) ? BATCH_CPU : BATCH_CUDA;
    return wanted > run->images ? (int)run->images : wanted;
}

bool run_reserve(Run *run, int wanted, const Hooks *hooks, Err *err)
{
    for (run->batch = wanted;; run->batch /= 2) {
        if (run->family->reserve(run->model, run->batch, err))
            break;
        if (!err || err->kind != ERR_MEMORY)
            return false;
        if (run->batch == 1)
            return err_wrap(err, "not even one image fits beside the model on the device %s; end what else is on it%s",
                            model_cache_device_name(run->models),
                            model_cache_is_host(run->models) ? "" : " (nvidia-smi shows who)");
    }
    if (run->batch < wanted) {
        run_note(run, hooks, "a batch of %d does not fit in memory (%s); went on with %d", wanted, err->text,
                 run->batch);
        err_clear(err);
    }
    return true;
}

/* Weights that fp16 cannot hold are taken in bf16, as batches are (sample.c). */
static bool take_model(Run *run, const Hooks *hooks, bool *ret_warm, Err *err)
{
    Err why = {0};
    run->precision = model_cache_precision(run->models, run->spec->precision);
    run->model = model_cache_model(run->models, run->family, &run->files, run->precision, ret_warm, &why);
    if (!run->model && why.kind == ERR_NUMERIC && run->precision == PREC_F16) {
        run_note(run, hooks, "%s; the model is taken in bf16", why.text);
        run->precision = PREC_BF16;
        run->model = model_cache_model(run->models, run->family, &run->files, run->precision, ret_warm, &why);
    }
    return run->model || err_set(err, why.kind, "%s", why.text);
}

static bool load_model(Run *run, const Hooks *hooks, bool *ret_warm, Err *err)
{
    const JobSpec *spec = run->spec;
    run->files = family_files(spec, inputs_grid(&run->inputs));
    if (!take_model(run, hooks, ret_warm, err))
        return false;
    return run->family->check(run->model, spec, err) && inputs_fit(&run->inputs, &run->model->info, err) &&
           run_reserve(run, wanted_batch(run), hooks, err);
}

/* What was loaded, for the log, and what a person should know of it, once per load and as warnings of this job. */
static void report_built(Run *run, const Hooks *hooks, const Built *built, bool warm)
{
    const cJSON *note;
    char *line;
    for (int i = 0; !warm && (line = built_line(built->networks, i)); i++) {
        hooks_built(hooks, line);
        free(line);
    }
    cJSON_ArrayForEach(note, built->notes) run_note(run, hooks, "%s", note->valuestring);
}

bool run_load(Run *run, const Hooks *hooks, Err *err)
{
    if (run->loaded)
        return true;
    double start = mono_seconds();
    bool warm = true, warm_features = true;
    stopwatch_enter(&run->watch, STAGE_LOAD);
    bool good = !jobkind_of(run->spec->kind)->uses_model || load_model(run, hooks, &warm, err);
    if (good && run->spec->inception) {
        Precision precision = model_cache_feature_precision(run->models, run->spec->precision);
        run->measure.net = model_cache_inception(run->models, run->spec->inception, precision, &warm_features, err);
        good = run->measure.net != NULL;
    }
    stopwatch_enter(&run->watch, STAGE_NONE);
    if (!good)
        return false;
    if (run->model)
        report_built(run, hooks, run->model->built, warm);
    if (run->measure.net)
        report_built(run, hooks, inception_built(run->measure.net), warm_features);
    if (!jobkind_of(run->spec->kind)->uses_model)
        run->batch = run->spec->batch ? run->spec->batch : model_cache_is_host(run->models) ? BATCH_CPU : BATCH_CUDA;
    run->measure.pipeline = run->pipeline;
    run->measure.level = INCEPTION_2048;
    run->measure.spatial = run->keeps.arrays[ARRAY_SPATIAL];
    run->measure.batch = run->batch;
    run->measure.skip_bad = run->spec->skip_bad;
    run->loaded = true;
    if (!(warm && warm_features))
        hooks_loaded(hooks, mono_seconds() - start);
    return true;
}

/* --- shared by the phases -------------------------------------------------------------------------- */

/* Networks and notes, for the report, which another process may write. */
static void add_built(cJSON *made, const Built *built)
{
    const cJSON *one;
    cJSON *networks = cJSON_GetObjectItemCaseSensitive(made, "networks");
    cJSON *notes = cJSON_GetObjectItemCaseSensitive(made, "notes");
    if (!networks)
        networks = cJSON_AddObjectToObject(made, "networks");
    if (!notes && built->notes)
        notes = cJSON_AddArrayToObject(made, "notes");
    cJSON_ArrayForEach(one, built->networks) cJSON_AddItemToObject(networks, one->string, cJSON_Duplicate(one, true));
    cJSON_ArrayForEach(one, built->notes) cJSON_AddItemToArray(notes, cJSON_Duplicate(one, true));
}

static cJSON *made_by(const Run *run)
{
    cJSON *made = cJSON_CreateObject();
    cJSON_AddStringToObject(made, "version", DDQ_VERSION);
    cJSON_AddStringToObject(made, "device", model_cache_device(run->models));
    cJSON_AddStringToObject(made, "device_name", model_cache_device_name(run->models));
    if (jobkind_of(run->spec->kind)->uses_model) {
        Precision meant = model_cache_precision(run->models, run->spec->precision);
        cJSON_AddStringToObject(made, "precision", precision_name(run->precision));
        if (run->precision != meant)
            cJSON_AddStringToObject(made, "instead_of", precision_name(meant));
    }
    if (run->model)
        cJSON_AddNumberToObject(made, "classes", run->model->info.classes);
    if (run->model)
        add_built(made, run->model->built);
    if (run->measure.net)
        add_built(made, inception_built(run->measure.net));
    if (run->measure.net)
        cJSON_AddStringToObject(made, "feature_precision",
                                precision_name(model_cache_feature_precision(run->models, run->spec->precision)));
    cJSON_AddNumberToObject(made, "batch", run->batch);
    return made;
}

static ShardRow row(size_t element, int ndim, int64_t a, int64_t b, int64_t c)
{
    ShardRow made = {.ndim = ndim, .shape = {a, b, c}, .bytes = element};
    for (int i = 0; i < ndim; i++)
        made.bytes *= (size_t)made.shape[i];
    return made;
}

static int png_threads(const Run *run)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (model_cache_is_host(run->models)) /* the cores are busy with the model */
        return 1;
    return cores > 16 ? 8 : cores > 2 ? (int)(cores / 2) : 1;
}

Writer *run_writer(Run *run, int side, Err *err)
{
    WriterPlan plan = {.output = run->spec->output, .keeps = run->keeps, .side = side, .threads = png_threads(run)};
    if (run->model) {
        const ModelInfo *info = &run->model->info;
        plan.rows[ARRAY_CODES] = row(sizeof(int32_t), 1, info->tokens, 0, 0);
        plan.rows[ARRAY_VECTORS] = row(sizeof(float), 2, info->tokens, info->channels, 0);
        plan.rows[ARRAY_PIXELS] = row(1, 3, side, side, 3);
    }
    if (run->measure.net) {
        plan.rows[ARRAY_FEATURES] = row(sizeof(float), 1, inception_width(run->measure.net), 0, 0);
        plan.rows[ARRAY_FEATURES_TF] = plan.rows[ARRAY_FEATURES];
        plan.rows[ARRAY_SPATIAL] = row(sizeof(float), 1, INCEPTION_SPATIAL, 0, 0);
        plan.rows[ARRAY_HASHES] = row(1, 1, IMAGE_HASH, 0, 0);
    }
    cJSON *made = made_by(run);
    plan.made = made;
    Writer *writer = writer_open(&plan, err);
    cJSON_Delete(made);
    return writer;
}

void run_take_times(Run *run, WriterBatch *batch)
{
    stopwatch_enter(&run->watch, run->watch.now); /* up to now */
    memcpy(batch->seconds, run->watch.seconds, sizeof batch->seconds);
    memset(run->watch.seconds, 0, sizeof run->watch.seconds);
}

void run_take_rows(MeasureRows *rows, WriterBatch *batch)
{
    batch->arrays[ARRAY_FEATURES] = rows->features;
    batch->arrays[ARRAY_FEATURES_TF] = rows->features_tf;
    batch->arrays[ARRAY_SPATIAL] = rows->spatial;
    batch->arrays[ARRAY_HASHES] = rows->hashes;
    batch->tally = rows->tally;
    *rows = (MeasureRows){0};
}

char *run_image_name(const Run *run, int64_t i)
{
    return run->source ? image_source_name(run->source, i) : xasprintf("image %" PRId64, i);
}
