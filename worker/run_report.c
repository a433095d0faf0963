/* Everything that needs all images, in this order, so that report.json appears last and means "all of it is there":
 *
 *   1 the pieces      made if any is missing, then read with their checksums
 *   2 the arrays      codes.npy, vectors.npy, samples.npz, in index order; rows of features as arrays for what follows
 *   3 the statistics  statistics.npz, and the FID against the reference
 *   4 the sheet       grid.png
 *   5 the report      fid.txt, report.html, report.json
 *   6 the sweep       what a crash left behind, and pixels that samples.npz holds now
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/figure.h"
#include "core/mem.h"
#include "worker/fid.h"
#include "worker/file.h"
#include "worker/grid.h"
#include "worker/report.h"
#include "worker/run_parts.h"

typedef struct Reporting {
    Run *run;
    const RunHooks *hooks;
    Pieces pieces;
    Gathered all; /* the rows, where the job has features */
    cJSON *outputs, *made;
    Statistics *stats, *reference;
    Frechet frechet;
    bool has_fid;
} Reporting;

static char *path_of(const Reporting *r, const char *name)
{
    return folder_path(r->run->spec->output, name);
}

static void produced(Reporting *r, const char *name)
{
    cJSON_AddItemToArray(r->outputs, cJSON_CreateString(name));
}

/* --- 1 the pieces ---------------------------------------------------------------------------------- */

static bool all_pieces(Reporting *r, Err *err)
{
    Run *run = r->run;
    int64_t upto = 0;
    bool good = run_images(run, 0, run->images, r->hooks, &upto, err) &&
                (run->spec->kind == KIND_SAMPLE || run_close_source(run, r->hooks, err));
    stopwatch_enter(&run->watch, PHASE_REPORT);
    run_progress(r->hooks, run->images, 0, phase_name(PHASE_REPORT));
    PieceNeeds needs = run_needs(run);
    needs.contents = false; /* compared a moment ago */
    good = good && pieces_scan(run->spec->output, &needs, 0, run->images, &r->pieces, err);
    if (good && (upto = pieces_reach(&r->pieces, 0)) < run->images)
        return err_set(err, ERR_IO,
                       "output %s: image %" PRId64
                       " was there a moment ago and is gone; does somebody else write here?",
                       run->spec->output, upto);
    return good;
}

/* --- 2 the arrays ---------------------------------------------------------------------------------- */

typedef struct Gather {
    const Run *run;
    const char *path;
    NpyWriter *npy;
    NpzWriter *npz;
    PieceArray array;
} Gather;

static void whole_shape(const Run *run, const PieceRow *row, int64_t ret_shape[8])
{
    ret_shape[0] = run->images;
    memcpy(ret_shape + 1, row->shape, sizeof row->shape);
}

static bool gather_npy(const void *rows, int64_t count, const PieceRow *row, void *ctx, Err *err)
{
    Gather *gather = ctx;
    int64_t shape[8];
    whole_shape(gather->run, row, shape);
    if (!gather->npy)
        gather->npy = npy_writer_open(gather->path, piece_array_dtype(gather->array), row->ndim + 1, shape, err);
    return gather->npy && npy_writer_add(gather->npy, rows, (size_t)count * row->bytes, err);
}

static bool gather_npz(const void *rows, int64_t count, const PieceRow *row, void *ctx, Err *err)
{
    Gather *gather = ctx;
    int64_t shape[8];
    whole_shape(gather->run, row, shape);
    if (!gather->npz) {
        gather->npz = npz_writer_open(gather->path, err);
        if (!gather->npz || !npz_writer_begin(gather->npz, "arr_0", DTYPE_U8, row->ndim + 1, shape, err))
            return false;
    }
    return npz_writer_add(gather->npz, rows, (size_t)count * row->bytes, err);
}

static bool write_npy(Reporting *r, PieceArray array, const char *name, Err *err)
{
    char *path = path_of(r, name);
    Gather gather = {.run = r->run, .path = path, .array = array};
    bool good = pieces_read(&r->pieces, array, 0, r->run->images, gather_npy, &gather, err);
    if (good)
        good = npy_writer_finish(gather.npy, err);
    else
        npy_writer_abort(gather.npy);
    free(path);
    produced(r, name);
    return good;
}

static bool write_npz(Reporting *r, Err *err)
{
    produced(r, "samples.npz");
    if (!run_needs(r->run).arrays[ARRAY_PIXELS])
        return true; /* written by an earlier report of this job, and it did not change */
    char *path = path_of(r, "samples.npz");
    Gather gather = {.run = r->run, .path = path, .array = ARRAY_PIXELS};
    bool good = pieces_read(&r->pieces, ARRAY_PIXELS, 0, r->run->images, gather_npz, &gather, err);
    if (good)
        good = npz_writer_finish(gather.npz, err);
    else
        npz_writer_abort(gather.npz);
    free(path);
    return good;
}

static bool write_arrays(Reporting *r, Err *err)
{
    unsigned save = r->run->spec->save;
    return (!(save & SAVE_CODES) || write_npy(r, ARRAY_CODES, "codes.npy", err)) &&
           (!(save & SAVE_VECTORS) || write_npy(r, ARRAY_VECTORS, "vectors.npy", err));
}

static bool write_features(Reporting *r, const Features *features, const char *name, Err *err)
{
    char *path = path_of(r, name);
    bool good = gather_save(features, path, err);
    free(path);
    produced(r, name);
    return good;
}

/* What the images themselves give reason to say. */
static void note_images(Reporting *r)
{
    const Gathered *all = &r->all;
    if (memcmp(all->least, all->most, sizeof all->least) != 0)
        run_note(
            r->run, r->hooks,
            "the images differ in size, from %dx%d to %dx%d; each is resized to 299x299 on its own, as pytorch-fid "
            "does",
            all->least[1], all->least[0], all->most[1], all->most[0]);
    for (int i = 0; i < all->bad_count; i++)
        run_note(r->run, r->hooks, "left out: %s", all->bad[i].why);
    if (all->images > all->count)
        run_note(r->run, r->hooks, "%" PRId64 " of the %" PRId64 " images cannot be read and were left out",
                 all->images - all->count, all->images);
    if (!all->duplicates)
        return;
    char *copy = run_image_name(r->run, all->pairs[0].image), *of = run_image_name(r->run, all->pairs[0].same_as);
    run_note(r->run, r->hooks, "%" PRId64 " image%s the same pixels as an earlier one; the first is %s, a copy of %s",
             all->duplicates, all->duplicates == 1 ? " has" : "s have", copy, of);
    free(copy);
    free(of);
}

static bool gather(Reporting *r, Err *err)
{
    const Run *run = r->run;
    if (!run->keeps.arrays[ARRAY_FEATURES])
        return true;
    if (!gather_open(run->spec->output, &r->pieces, run->images, &run->keeps, &r->all, err))
        return false;
    note_images(r);
    bool save = run->spec->save & SAVE_FEATURES;
    return (!save || write_features(r, &r->all.features, "features.npy", err)) &&
           (!save || !r->all.features_tf.rows || write_features(r, &r->all.features_tf, "features_tf.npy", err));
}

/* --- 3 the statistics ------------------------------------------------------------------------------ */

static bool make_statistics(Reporting *r, Err *err)
{
    if (!features_statistics(&r->all.features, &r->stats, err))
        return false;
    free(r->stats->pipeline);
    r->stats->pipeline = xstrdup(r->run->pipeline == PIPELINE_TF ? "tf" : "pt");
    char *path = path_of(r, "statistics.npz");
    bool good = statistics_save(path, r->stats, err);
    free(path);
    produced(r, "statistics.npz");
    return good;
}

static void warn_about(Reporting *r)
{
    const Statistics *stats = r->stats, *reference = r->reference;
    if (stats->count <= stats->dim)
        run_note(r->run, r->hooks,
                 "%" PRId64
                 " images for %d features: the covariance is singular and the FID too high; take more than %d images",
                 stats->count, stats->dim, stats->dim);
    if (reference->count && reference->count <= reference->dim)
        run_note(r->run, r->hooks, "the reference has %" PRId64 " images for %d features: its covariance is singular",
                 reference->count, reference->dim);
    if (!reference->pipeline)
        run_note(r->run, r->hooks,
                 "the reference does not say how its images were resized; the FID holds if it was as pytorch-fid does");
    else if (strcmp(reference->pipeline, "pt") != 0)
        run_note(
            r->run, r->hooks,
            "the reference was made with the %s pipeline and the images with pt: the FID is off by some hundredths",
            reference->pipeline);
}

static bool measure_fid(Reporting *r, Err *err)
{
    if (!statistics_load(r->run->spec->reference, &r->reference, err))
        return err_wrap(err, "reference");
    if (!frechet_distance(r->stats, r->reference, &r->frechet, err))
        return err_wrap(err, "FID against %s", r->run->spec->reference);
    r->has_fid = true;
    warn_about(r);
    char number[32], *path = path_of(r, "fid.txt");
    report_number(r->frechet.fid, number);
    char *line = xasprintf("FID: %s\n", number);
    bool good = file_write(path, line, strlen(line), err);
    free(line);
    free(path);
    produced(r, "fid.txt");
    return good;
}

static bool write_statistics(Reporting *r, Err *err)
{
    const JobSpec *spec = r->run->spec;
    if (!spec->inception)
        return true;
    if (r->all.count < 2 && !spec->reference) {
        run_note(r->run, r->hooks, "one image has no covariance: statistics.npz was not written");
        return true;
    }
    return make_statistics(r, err) && (!spec->reference || measure_fid(r, err)) &&
           run_register(r->run, r->stats, r->all.sha256, err);
}

/* --- 4 the sheet ----------------------------------------------------------------------------------- */

typedef struct Sheet {
    Image images[GRID_MAX];
    int count;
} Sheet;

static bool add_to_sheet(const void *rows, int64_t count, const PieceRow *row, void *ctx, Err *err)
{
    (void)err;
    Sheet *sheet = ctx;
    for (int64_t i = 0; i < count; i++) {
        Image *image = &sheet->images[sheet->count++];
        *image = (Image){(int)row->shape[1], (int)row->shape[0], xmalloc(row->bytes)};
        memcpy(image->rgb, (const uint8_t *)rows + (size_t)i * row->bytes, row->bytes);
    }
    return true;
}

static bool sheet_from_pixels(const Reporting *r, const char *path, int count, Err *err)
{
    Sheet sheet = {.count = 0};
    bool good = pieces_read(&r->pieces, ARRAY_PIXELS, 0, count, add_to_sheet, &sheet, err) &&
                grid_write(path, sheet.images, sheet.count, err);
    for (int i = 0; i < sheet.count; i++)
        image_free(&sheet.images[i]);
    return good;
}

static bool sheet_from_files(const Reporting *r, const char *path, int count, Err *err)
{
    char *files[GRID_MAX];
    for (int i = 0; i < count; i++)
        files[i] = piece_image_path(r->run->spec->output, i);
    bool good = grid_write_files(path, (const char *const *)files, count, err);
    for (int i = 0; i < count; i++)
        free(files[i]);
    return good;
}

static bool write_sheet(Reporting *r, Err *err)
{
    const Run *run = r->run;
    produced(r, "grid.png");
    if (run->spec->kind != KIND_SAMPLE || folder_has(run->spec->output, "grid.png"))
        return true; /* of measured images it was made while they were read */
    int count = run->images < GRID_MAX ? (int)run->images : GRID_MAX;
    char *path = path_of(r, "grid.png");
    bool good = run->keeps.png ? sheet_from_files(r, path, count, err) : sheet_from_pixels(r, path, count, err);
    free(path);
    return good;
}

/* --- 5 the report ---------------------------------------------------------------------------------- */

static bool same_maker(const cJSON *a, const cJSON *b)
{
    cJSON *copy = cJSON_Duplicate(a, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "images");
    bool same = cJSON_Compare(copy, b, true);
    cJSON_Delete(copy);
    return same;
}

/* Who made how many, and how long it took. */
static void sum_up_pieces(Reporting *r, double seconds[PHASES])
{
    for (int i = 0; i < r->pieces.count; i++) {
        const Piece *piece = &r->pieces.items[i];
        phases_add_json(seconds, cJSON_GetObjectItemCaseSensitive(piece->manifest, "seconds"));
        const cJSON *made = cJSON_GetObjectItemCaseSensitive(piece->manifest, "made");
        cJSON *row = NULL, *one;
        cJSON_ArrayForEach(one, r->made) if (!row && same_maker(one, made)) row = one;
        if (!row) {
            row = cJSON_Duplicate(made, true);
            cJSON_AddNumberToObject(row, "images", 0);
            cJSON_AddItemToArray(r->made, row);
        }
        cJSON *images = cJSON_GetObjectItemCaseSensitive(row, "images");
        cJSON_SetNumberHelper(images, images->valuedouble + (double)(piece->hi - piece->lo));
    }
}

static bool write_page(const Reporting *r, const cJSON *json, Err *err)
{
    char *sheet_path = path_of(r, "grid.png"), *path = path_of(r, "report.html");
    FileMap sheet = {0};
    bool good = file_map(sheet_path, &sheet, err);
    if (good) {
        char *page = report_html(json, sheet.data, sheet.size);
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
    produced(r, "report.html");
    stopwatch_enter(&run->watch, PHASE_NONE);
    Report report = {.spec = run->spec, .identity = &run->identity, .images = run->images, .warnings = run->warnings};
    sum_up_pieces(r, report.seconds);
    for (int phase = 0; phase < PHASES; phase++)
        report.seconds[phase] += run->watch.seconds[phase];
    report.made = r->made;
    report.outputs = r->outputs;
    report.stats = r->stats;
    report.reference = r->reference;
    report.frechet = r->has_fid ? &r->frechet : NULL;
    if (r->all.count) {
        report.pixels_sha256 = r->all.sha256;
        report.images = r->all.count;
    }
    char *text = report_json(&report), *path = path_of(r, "report.json");
    cJSON *json = cJSON_Parse(text);
    bool good = write_page(r, json, err) && file_write(path, text, strlen(text), err);
    cJSON_Delete(json);
    free(text);
    free(path);
    return good;
}

/* --- the phase ------------------------------------------------------------------------------------- */

static void remove_old_report(const char *output)
{
    static const char *const names[] = {"report.json", "report.html", "fid.txt", "statistics.npz"};
    for (size_t i = 0; i < countof(names); i++)
        folder_remove(output, names[i]);
}

static bool write_all(Reporting *r, Err *err)
{
    const JobSpec *spec = r->run->spec;
    return write_arrays(r, err) && gather(r, err) && (!(spec->save & SAVE_NPZ) || write_npz(r, err)) &&
           write_statistics(r, err) && write_sheet(r, err) && write_report(r, err);
}

bool run_report(Run *run, const RunHooks *hooks, double *ret_fid, Err *err)
{
    if (run_finished(run, ret_fid))
        return true;
    *ret_fid = NAN;
    Reporting r = {.run = run, .hooks = hooks, .outputs = cJSON_CreateArray(), .made = cJSON_CreateArray()};
    bool good = all_pieces(&r, err);
    if (good) {
        remove_old_report(run->spec->output);
        good = write_all(&r, err);
    }
    stopwatch_enter(&run->watch, PHASE_NONE);
    if (good) {
        pieces_sweep(&r.pieces);
        pieces_drop_array(&r.pieces, ARRAY_PIXELS);
        if (r.has_fid)
            *ret_fid = r.frechet.fid;
    }
    gather_close(&r.all);
    pieces_done(&r.pieces);
    statistics_free(r.stats);
    statistics_free(r.reference);
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
        PieceNeeds needs = run_needs(run);
        needs.contents = false;
        int64_t count = (int64_t)images->valuedouble;
        Pieces pieces = {0};
        done = pieces_scan(run->spec->output, &needs, 0, count, &pieces, NULL) && pieces_reach(&pieces, 0) >= count;
        pieces_done(&pieces);
    }
    if (done)
        *ret_fid = cJSON_IsNumber(fid) ? fid->valuedouble : NAN;
    cJSON_Delete(json);
    return done;
}
