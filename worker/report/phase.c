/* Everything that needs all images, in this order, so that report.json appears last and means that everything is there:
 *
 *   1 the shards      made if any is missing, then read with their checksums
 *   2 the arrays      codes.npy, vectors.npy, samples.npz, in index order; rows of features as arrays for what follows
 *   3 the metrics     statistics.npz, and the figures that `metrics` asks for
 *   4 the sheet       grid.png
 *   5 the report      fid.txt, report.html, report.json
 *   6 the sweep       what a crash left behind, and pixels that samples.npz holds now
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"
#include "worker/files/map.h"
#include "worker/images/grid.h"
#include "worker/report/parts.h"

/* --- 1 the shards ---------------------------------------------------------------------------------- */

static bool all_shards(Reporting *r, Err *err)
{
    Run *run = r->run;
    int64_t upto = 0;
    bool good = run_images(run, 0, run->images, r->hooks, &upto, err) &&
                (!jobkind_of(run->spec->kind)->reads_source || run_close_source(run, r->hooks, err));
    stopwatch_enter(&run->watch, STAGE_REPORT);
    hooks_progress(r->hooks, run->images, 0, stage_name(STAGE_REPORT));
    ShardNeeds needs = run_needs(run);
    needs.contents = false; /* compared a moment ago */
    good = good && shards_scan(run->spec->output, &needs, 0, run->images, &r->shards, err);
    if (good && (upto = shards_reach(&r->shards, 0)) < run->images)
        return err_set(err, ERR_IO,
                       "output %s: image %" PRId64
                       " was there a moment ago and is gone; does another process write here?",
                       run->spec->output, upto);
    return good;
}

/* --- 4 the sheet ----------------------------------------------------------------------------------- */

typedef struct Sheet {
    Image images[GRID_MAX];
    int count;
} Sheet;

static bool add_to_sheet(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    (void)err;
    Sheet *sheet = ctx;
    for (int64_t i = 0; i < count; i++) {
        Image *image = &sheet->images[sheet->count++];
        *image = (Image){(int)row->shape[1], (int)row->shape[0], xmalloc(row->bytes), 0};
        memcpy(image->rgb, (const uint8_t *)rows + (size_t)i * row->bytes, row->bytes);
    }
    return true;
}

static bool sheet_from_pixels(const Reporting *r, const char *path, int count, Err *err)
{
    Sheet sheet = {.count = 0};
    bool good = shards_read(&r->shards, ARRAY_PIXELS, 0, count, add_to_sheet, &sheet, err) &&
                grid_write(path, sheet.images, sheet.count, err);
    for (int i = 0; i < sheet.count; i++)
        image_free(&sheet.images[i]);
    return good;
}

static bool sheet_from_files(const Reporting *r, const char *path, int count, Err *err)
{
    char *files[GRID_MAX];
    for (int i = 0; i < count; i++)
        files[i] = shard_image_path(r->run->spec->output, i);
    bool good = grid_write_files(path, (const char *const *)files, count, err);
    for (int i = 0; i < count; i++)
        free(files[i]);
    return good;
}

static bool write_sheet(Reporting *r, Err *err)
{
    const Run *run = r->run;
    reporting_produced(r, "grid.png");
    if (!jobkind_of(run->spec->kind)->makes_images || folder_has(run->spec->output, "grid.png"))
        return true; /* of measured images it was made while they were read */
    int count = run->images < GRID_MAX ? (int)run->images : GRID_MAX;
    char *path = reporting_path(r, "grid.png");
    bool good = run->keeps.png ? sheet_from_files(r, path, count, err) : sheet_from_pixels(r, path, count, err);
    free(path);
    return good;
}

/* --- 5 the report ---------------------------------------------------------------------------------- */

/* With all of its bits; NaN when none was measured. */
static double fid_of(const Reporting *r)
{
    const cJSON *fid = cJSON_GetObjectItemCaseSensitive(r->measured, "fid");
    return cJSON_IsRaw(fid) ? strtod(fid->valuestring, NULL) : NAN;
}

static bool write_fid(Reporting *r, Err *err)
{
    double fid = fid_of(r);
    if (!isfinite(fid))
        return true;
    char number[32], *path = reporting_path(r, "fid.txt");
    json_number_text(fid, number);
    char *line = xasprintf("FID: %s\n", number);
    bool good = file_write(path, line, strlen(line), err);
    free(line);
    free(path);
    reporting_produced(r, "fid.txt");
    return good;
}

static bool same_maker(const cJSON *a, const cJSON *b)
{
    cJSON *copy = cJSON_Duplicate(a, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "images");
    bool same = cJSON_Compare(copy, b, true);
    cJSON_Delete(copy);
    return same;
}

/* Which devices made how many images, and how long it took. */
static void sum_up_shards(Reporting *r, double seconds[STAGES])
{
    for (int i = 0; i < r->shards.count; i++) {
        const Shard *shard = &r->shards.items[i];
        stages_add_json(seconds, cJSON_GetObjectItemCaseSensitive(shard->manifest, "seconds"));
        const cJSON *made = cJSON_GetObjectItemCaseSensitive(shard->manifest, "made");
        cJSON *row = NULL, *one;
        cJSON_ArrayForEach(one, r->made) if (!row && same_maker(one, made)) row = one;
        if (!row) {
            row = cJSON_Duplicate(made, true);
            cJSON_AddNumberToObject(row, "images", 0);
            cJSON_AddItemToArray(r->made, row);
        }
        cJSON *images = cJSON_GetObjectItemCaseSensitive(row, "images");
        cJSON_SetNumberHelper(images, images->valuedouble + (double)(shard->hi - shard->lo));
    }
}

/* Images that were not made in the precision that was asked for. */
static void warn_about_precision(Reporting *r)
{
    const cJSON *row;
    double images = 0;
    cJSON_ArrayForEach(row, r->made) if (cJSON_HasObjectItem(row, "instead_of")) images +=
        cJSON_GetObjectItemCaseSensitive(row, "images")->valuedouble;
    if (images > 0)
        run_note(r->run, r->hooks,
                 "%.0f of %" PRId64 " images were made in bf16 instead of fp16, which has no room for some numbers of "
                 "this model; with precision bf16 all of them would be made alike",
                 images, r->run->images);
}

/* What was said when the networks were loaded, by whichever process loaded them. */
static void repeat_notes(Reporting *r)
{
    const cJSON *row, *note;
    cJSON_ArrayForEach(row, r->made)
        cJSON_ArrayForEach(note, cJSON_GetObjectItemCaseSensitive(row, "notes")) if (cJSON_IsString(note))
            run_note(r->run, r->hooks, "%s", note->valuestring);
}

static bool write_page(const Reporting *r, const cJSON *json, Err *err)
{
    char *sheet_path = reporting_path(r, "grid.png"), *path = reporting_path(r, "report.html");
    FileMap sheet = {0};
    bool good = file_map(sheet_path, &sheet, err);
    if (good) {
        Gallery galleries[REPORTING_GALLERIES];
        Page with = {.sheet = sheet.data, .sheet_size = sheet.size, .galleries = galleries};
        with.gallery_count = reporting_galleries(r, json, galleries);
        char *page = report_html(json, &with);
        for (int i = 0; i < with.gallery_count; i++)
            gallery_done(&galleries[i]);
        file_unmap(&sheet);
        good = file_write(path, page, strlen(page), err);
        free(page);
    }
    free(sheet_path);
    free(path);
    return good;
}

static bool write_report(Reporting *r, Err *err)
{
    Run *run = r->run;
    reporting_produced(r, "report.html");
    stopwatch_enter(&run->watch, STAGE_NONE);
    Report report = {.spec = run->spec, .identity = &run->identity, .images = run->images, .warnings = run->warnings};
    sum_up_shards(r, report.seconds);
    repeat_notes(r);
    warn_about_precision(r);
    for (int stage = 0; stage < STAGES; stage++)
        report.seconds[stage] += run->watch.seconds[stage];
    report.made = r->made;
    report.outputs = r->outputs;
    report.stats = r->stats;
    report.measured = r->measured;
    char *labels = reporting_labels(r);
    report.labels = labels;
    char *text = report_json(&report), *path = reporting_path(r, "report.json");
    cJSON *json = cJSON_Parse(text);
    bool good = write_page(r, json, err) && file_write(path, text, strlen(text), err);
    cJSON_Delete(json);
    free(labels);
    free(text);
    free(path);
    return good;
}

/* --- the phase ------------------------------------------------------------------------------------- */

static void remove_old_report(const char *output)
{
    static const char *const names[] = {"report.json", "report.html", "fid.txt", "statistics.npz", "statistics_tf.npz"};
    for (size_t i = 0; i < countof(names); i++)
        folder_remove(output, names[i]);
}

static bool write_all(Reporting *r, Err *err)
{
    return reporting_arrays(r, err) && reporting_merge(r, err) && reporting_measure(r, err) && write_sheet(r, err) &&
           write_fid(r, err) && write_report(r, err);
}

bool run_report(Run *run, const Hooks *hooks, double *ret_fid, Err *err)
{
    if (run_finished(run, ret_fid))
        return true;
    *ret_fid = NAN;
    Reporting r = {.run = run, .hooks = hooks, .outputs = cJSON_CreateArray(), .made = cJSON_CreateArray()};
    r.measured = cJSON_CreateObject();
    bool good = all_shards(&r, err);
    if (good) {
        remove_old_report(run->spec->output);
        good = write_all(&r, err);
    }
    stopwatch_enter(&run->watch, STAGE_NONE);
    if (good) {
        shards_sweep(&r.shards);
        shards_drop_array(&r.shards, ARRAY_PIXELS);
        *ret_fid = fid_of(&r);
    }
    merge_close(&r.all);
    shards_done(&r.shards);
    statistics_free(r.stats);
    cJSON_Delete(r.measured);
    cJSON_Delete(r.outputs);
    cJSON_Delete(r.made);
    return good;
}

cJSON *run_figures(const Run *run)
{
    cJSON *json = folder_read_json(run->spec->output, "report.json"), *figures = cJSON_CreateObject();
    figures_copy(figures, "", json);
    figures_copy(figures, "tf_", cJSON_GetObjectItemCaseSensitive(json, "tf"));
    cJSON_Delete(json);
    if (figures->child)
        return figures;
    cJSON_Delete(figures);
    return NULL;
}

static bool outputs_there(const char *output, const cJSON *names)
{
    const cJSON *name;
    cJSON_ArrayForEach(name, names) if (!cJSON_IsString(name) || !folder_has(output, name->valuestring)) return false;
    return cJSON_IsArray(names);
}

bool run_finished(const Run *run, double *ret_fid)
{
    cJSON *json = folder_read_json(run->spec->output, "report.json");
    const cJSON *identity = cJSON_GetObjectItemCaseSensitive(json, "job_identity");
    const cJSON *images = cJSON_GetObjectItemCaseSensitive(json, "images"),
                *fid = cJSON_GetObjectItemCaseSensitive(json, "fid");
    bool done = cJSON_IsString(identity) && strcmp(identity->valuestring, run->identity.job) == 0 &&
                cJSON_IsNumber(images) &&
                outputs_there(run->spec->output, cJSON_GetObjectItemCaseSensitive(json, "outputs"));
    if (done) {
        ShardNeeds needs = run_needs(run);
        needs.contents = false;
        int64_t count = (int64_t)images->valuedouble;
        Shards shards = {0};
        done = shards_scan(run->spec->output, &needs, 0, count, &shards, NULL) && shards_reach(&shards, 0) >= count;
        shards_done(&shards);
    }
    if (done)
        *ret_fid = cJSON_IsNumber(fid) ? fid->valuedouble : NAN;
    cJSON_Delete(json);
    return done;
}
