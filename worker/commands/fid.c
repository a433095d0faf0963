/* In this order: options, configuration, both sides (images are measured once and kept in the cache, as any reference),
 * the evaluation, and what is printed.
 *
 * stdout has the result alone. stderr has warnings, and on a terminal a line of progress. */
#include "worker/commands/fid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"
#include "spec/references.h"
#include "worker/commands/fid_options.h"
#include "worker/commands/tool.h"
#include "worker/evaluate/evaluation.h"

#include "worker/models/model_cache.h"

typedef struct Fid {
    Tool tool;
    FidOptions options;
    char *device;
    const char *inception;
    ModelCache *models;
    Resize pipeline;
    char *paths[2];
    ReferenceProbe probes[2];
    Reference sides[2]; /* A, B */
    cJSON *notes;       /* array: what the evaluation noted */
} Fid;

static const char *pipeline_of(const char *text)
{
    return !text ? NULL : pipeline_name(strcmp(text, "tf") == 0 ? RESIZE_TF : RESIZE_PT);
}

/* --- what is compared, with what -------------------------------------------------------------------- */

/* One of ddq.conf's or a registered one; *ret_path stays NULL if there is none. */
static bool find_named(Fid *fid, const char *name, char **ret_path, const char **ret_pipeline, Err *err)
{
    if (!references_name_ok(name))
        return true;
    if (!tool_conf(&fid->tool, fid->options.conf, err))
        return false;
    const ConfReference *named = conf_reference(fid->tool.conf, name);
    if (named) {
        if (named->inception && !fid->inception)
            fid->inception = named->inception;
        *ret_path = xstrdup(conf_reference_path(named));
        *ret_pipeline = named->pipeline;
        return true;
    }
    char *folder = tool_references(fid->tool.conf);
    cJSON *entry = NULL;
    Err none = {0};
    if (references_read(folder, name, &entry, &none)) {
        *ret_path = xstrdup(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "path")));
        *ret_pipeline = pipeline_of(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "pipeline")));
    }
    cJSON_Delete(entry);
    free(folder);
    return *ret_path || none.kind == ERR_NOT_FOUND || err_set(err, none.kind, "%s", none.text);
}

/* A path, or the name of a reference if there is no such path. */
static bool find_side(Fid *fid, int side, Err *err)
{
    const char *word = fid->options.paths[side], *pipeline = NULL;
    if (access(word, F_OK) != 0 && !find_named(fid, word, &fid->paths[side], &pipeline, err))
        return false;
    if (!fid->paths[side])
        fid->paths[side] = xstrdup(word);
    if (!reference_probe(fid->paths[side], &fid->probes[side], err))
        return false;
    if (!fid->probes[side].pipeline)
        fid->probes[side].pipeline = pipeline;
    return true;
}

/* The pipeline of the command line, else the one that a file states, else pytorch-fid's. */
static Resize choose_pipeline(const Fid *fid)
{
    if (fid->options.pipeline != PIPELINE_AUTO)
        return fid->options.pipeline == PIPELINE_TF ? RESIZE_TF : RESIZE_PT;
    for (int side = 0; side < 2; side++)
        if (fid->probes[side].pipeline)
            return strcmp(fid->probes[side].pipeline, "tf") == 0 ? RESIZE_TF : RESIZE_PT;
    return RESIZE_PT;
}

/* What is measured of a side (REFERENCE_ bits). With --json the features of A are kept too, where A is images: they
 * give the interval and the curve. */
static unsigned wants_of(const Fid *fid, int side)
{
    if (side == 1)
        return evaluation_wants_of_reference(fid->options.metrics);
    bool images = fid->probes[0].kind != REFERENCE_STATISTICS;
    return evaluation_wants_of_images(fid->options.metrics) |
           (fid->options.json && images && !fid->options.save_stats ? REFERENCE_FEATURES : 0u);
}

static bool measure_side(Fid *fid, int side, Err *err)
{
    unsigned wants = wants_of(fid, side);
    ReferenceOptions options = {.models = fid->models,
                                .inception = fid->inception,
                                .precision = PRECISION_FP32,
                                .level = fid->options.level,
                                .batch = fid->options.batch,
                                .cache = fid->options.cache,
                                .hooks = &fid->tool.hooks};
    tool_measures(&fid->tool, fid->paths[side], fid->probes[side].images);
    bool good = reference_open(fid->paths[side], fid->pipeline, wants, &options, &fid->sides[side], err);
    tool_clear(&fid->tool);
    return good;
}

/* Statistics first: their faults show before an hour of measuring. */
static bool measure_sides(Fid *fid, Err *err)
{
    for (int images = 0; images < 2; images++)
        for (int side = 0; side < 2; side++)
            if ((fid->probes[side].kind != REFERENCE_STATISTICS) == images && !measure_side(fid, side, err))
                return false;
    return true;
}

static bool prepare(Fid *fid, int sides, Err *err)
{
    bool images = false;
    for (int side = 0; side < sides; side++) {
        if (!find_side(fid, side, err))
            return false;
        images = images || fid->probes[side].kind != REFERENCE_STATISTICS ||
                 (fid->probes[side].has_images && wants_of(fid, side) & REFERENCE_FEATURES);
    }
    images = images || fid->options.metrics & METRICS_OF_LOGITS;
    if (images && !tool_weights(&fid->tool, fid->options.conf, &fid->inception, err))
        return false;
    fid->pipeline = choose_pipeline(fid);
    fid->device = tool_device(fid->options.device);
    fid->models = model_cache_new(fid->device, fid->options.threads);
    return true;
}

/* --- warnings ---------------------------------------------------------------------------------------- */

/* With --pipeline the user states the pipeline of a file that does not. */
static void note_caveats(Fid *fid, int side)
{
    if (fid->options.pipeline == PIPELINE_AUTO || fid->sides[side].pipeline)
        tool_note(&fid->tool, reference_caveat(&fid->sides[side], fid->pipeline));
    if (fid->sides[side].image_caveat)
        tool_note(&fid->tool, xasprintf("%s: %s", fid->sides[side].path, fid->sides[side].image_caveat));
}

static void note_all(Fid *fid)
{
    const Reference *a = &fid->sides[0];
    if (fid->options.num_workers)
        tool_note(&fid->tool, xstrdup("--num-workers is ignored: images are read as fast as the network takes them"));
    for (int side = 0; side < 2; side++)
        note_caveats(fid, side);
    const Inception *net = model_cache_loaded_inception(fid->models);
    const cJSON *notes = net ? inception_built(net)->notes : NULL, *note;
    cJSON_ArrayForEach(note, notes) tool_note(&fid->tool, xstrdup(note->valuestring));
    if (a->weights[0] && fid->sides[1].weights[0] && strcmp(a->weights, fid->sides[1].weights) != 0)
        tool_note(&fid->tool, xasprintf("the two sides were measured with different Inception weights (%.12s and "
                                        "%.12s); the number means something only if they hold the same network",
                                        a->weights, fid->sides[1].weights));
}

/* --- what is printed -------------------------------------------------------------------------------- */

static cJSON *side_json(const Reference *side)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", side->path);
    cJSON_AddStringToObject(json, "kind", reference_kind_name(side->kind));
    cJSON_AddStringToObject(json, "sha256", side->sha256);
    if (side->images)
        cJSON_AddNumberToObject(json, "images", (double)side->images);
    if (side->kind != REFERENCE_STATISTICS)
        cJSON_AddNumberToObject(json, "left_out", (double)side->left_out);
    if (side->pipeline)
        cJSON_AddStringToObject(json, "pipeline", side->pipeline);
    if (side->weights[0])
        cJSON_AddStringToObject(json, "inception", side->weights);
    return json;
}

/* json: what evaluation_measure filled; the rest is added to it. */
static void print_json(const Fid *fid, cJSON *json)
{
    cJSON_AddStringToObject(json, "pipeline", pipeline_name(fid->pipeline));
    cJSON_AddNumberToObject(json, "dims", fid->sides[0].stats->dim);
    cJSON_AddItemToObject(json, "generated", side_json(&fid->sides[0]));
    cJSON_AddItemToObject(json, "reference", side_json(&fid->sides[1]));
    cJSON_AddItemToObject(json, "warnings", cJSON_Duplicate(fid->tool.notes, true));
    cJSON_AddStringToObject(json, "like", fid->options.like == LIKE_PYTORCH_FID ? "pytorch-fid" : "exact");
    cJSON_AddStringToObject(json, "device", fid->device);
    cJSON_AddStringToObject(json, "version", DDQ_VERSION);
    char *text = json_print(json, false);
    puts(text);
    free(text);
}

/* The figure's number with all of its bits; NULL where it was not computed. */
static const char *figure_text(const cJSON *json, const Figure *figure)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, figure->key);
    return cJSON_IsRaw(number) ? number->valuestring : NULL;
}

/* As Python prints a float: a whole number has its ".0". */
static void print_lines(const cJSON *json)
{
    const Figure *figure;
    for (int i = 0; (figure = figure_at(i)); i++) {
        const char *number = figure_text(json, figure);
        if (number)
            printf("%s:  %s%s\n", figure->label, number, strpbrk(number, ".en") ? "" : ".0");
    }
}

/* --- comparing, and saving statistics ----------------------------------------------------------------- */

static void on_note(void *ctx, const char *text)
{
    Fid *fid = ctx;
    cJSON_AddItemToArray(fid->notes, cJSON_CreateString(text));
}

static bool evaluate(Fid *fid, cJSON *json, Err *err)
{
    const Reference *ours = &fid->sides[0];
    Evaluation what = {.metrics = fid->options.metrics,
                       .like = fid->options.like,
                       .neighbours = NEIGHBOURS_DEFAULT,
                       .values_only = !fid->options.json,
                       .rows = ours->features,
                       .stats = ours->stats,
                       .models = fid->models,
                       .reference = &fid->sides[1],
                       .hooks = &fid->tool.comparing,
                       .ctx = fid,
                       .note = on_note};
    bool network = fid->options.metrics & METRICS_OF_LOGITS;
    return (!network || (what.net = model_cache_inception(fid->models, fid->inception, PREC_F32, NULL, err))) &&
           evaluation_measure(&what, json, err);
}

/* What the evaluation noted becomes warnings; where it left out all that was asked for, the first note is the error. */
static bool check_figures(Fid *fid, const cJSON *json, Err *err)
{
    const Figure *figure;
    for (int i = 0; (figure = figure_at(i)); i++)
        if (figure_text(json, figure)) {
            const cJSON *note;
            cJSON_ArrayForEach(note, fid->notes) tool_note(&fid->tool, xstrdup(note->valuestring));
            return true;
        }
    const cJSON *why = cJSON_GetArrayItem(fid->notes, 0);
    return err_set(err, ERR_USAGE, "%s", why ? why->valuestring : "nothing was computed");
}

static bool compare_sides(Fid *fid, Err *err)
{
    if (!prepare(fid, 2, err) || !measure_sides(fid, err))
        return false;
    cJSON *json = cJSON_CreateObject();
    bool good = evaluate(fid, json, err);
    tool_clear(&fid->tool);
    good = good && check_figures(fid, json, err);
    if (good) {
        note_all(fid);
        if (fid->options.json)
            print_json(fid, json);
        else
            print_lines(json);
    }
    cJSON_Delete(json);
    return good;
}

static bool check_folder(const char *file, Err *err)
{
    const char *slash = strrchr(file, '/');
    char *folder = !slash ? xstrdup(".") : slash == file ? xstrdup("/") : xasprintf("%.*s", (int)(slash - file), file);
    bool good = access(folder, W_OK) == 0 || err_errno(err, "%s cannot be written", file);
    free(folder);
    return good;
}

static bool save_stats(Fid *fid, Err *err)
{
    const char *to = fid->options.paths[1];
    size_t len = strlen(to);
    if (len < 5 || strcmp(to + len - 4, ".npz") != 0)
        return err_set(err, ERR_USAGE, "%s: statistics are written as .npz", to);
    if (access(to, F_OK) == 0)
        return err_set(err, ERR_REFUSED, "%s is there already; nothing is overwritten", to);
    if (!check_folder(to, err)) /* now, not after an hour of measuring */
        return false;
    if (!prepare(fid, 1, err) || !measure_side(fid, 0, err))
        return false;
    note_caveats(fid, 0);
    return reference_save(to, &fid->sides[0], err);
}

int fid_command(const CommandLine *line)
{
    Fid fid = {.notes = cJSON_CreateArray()};
    Err err = {0};
    tool_open(&fid.tool, "ddq fid");
    bool good = fid_options_read(line, &fid.options, &err);
    if (good) {
        fid.tool.quiet = fid.options.quiet;
        fid.inception = fid.options.inception;
        good = fid.options.save_stats ? save_stats(&fid, &err) : compare_sides(&fid, &err);
    }
    for (int side = 0; side < 2; side++) {
        reference_close(&fid.sides[side]);
        free(fid.paths[side]);
    }
    cJSON_Delete(fid.notes);
    model_cache_free(fid.models);
    free(fid.device);
    return tool_close(&fid.tool, good, &err);
}
