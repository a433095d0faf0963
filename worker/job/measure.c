/* Features of existing images: evaluate and statistics. The images of every gap that no valid shard covers are measured
 * (measure.h) and become shards, so several workers can measure ranges of one source, and a stopped run resumes. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "worker/images/grid.h"
#include "worker/job/filling.h"

enum { SHEET_BYTES = 64 << 20 }; /* first images for the contact sheet, at most so much of them */

typedef struct Measuring {
    Run *run;
    const Hooks *hooks;
    Filling filling;
    int bad; /* unreadable images so far */
} Measuring;

/* --- what comes out of the network ------------------------------------------------------------------ */

static bool add(Measuring *m, WriterBatch *batch, Err *err)
{
    run_take_times(m->run, batch);
    m->filling.made += batch->count;
    bool good = writer_add(m->filling.writer, batch, err);
    filling_progress(&m->filling, stage_name(STAGE_FEATURES));
    return good;
}

static bool on_rows(void *ctx, MeasureRows *rows, Err *err)
{
    WriterBatch *batch = xcalloc(1, sizeof *batch);
    batch->lo = rows->first;
    batch->count = rows->count;
    batch->height = rows->height;
    batch->width = rows->width;
    run_take_rows(rows, batch);
    return add(ctx, batch, err);
}

static float *row_of_nan(int width)
{
    float *row = xmalloc((size_t)width * sizeof *row);
    for (int i = 0; i < width; i++)
        row[i] = NAN;
    return row;
}

/* Indices stay what they are, so an image that is left out has a row too; merge.c leaves it out. */
static bool on_bad(void *ctx, int64_t index, const char *why, Err *err)
{
    Measuring *m = ctx;
    const bool *keeps = m->run->keeps.arrays;
    const int width = inception_width(m->run->measure.net);
    WriterBatch *batch = xcalloc(1, sizeof *batch);
    batch->lo = index;
    batch->count = 1;
    batch->bad = xstrdup(why);
    batch->arrays[ARRAY_FEATURES] = row_of_nan(width);
    batch->arrays[ARRAY_FEATURES_TF] = keeps[ARRAY_FEATURES_TF] ? row_of_nan(width) : NULL;
    batch->arrays[ARRAY_SPATIAL] = keeps[ARRAY_SPATIAL] ? row_of_nan(INCEPTION_SPATIAL) : NULL;
    batch->arrays[ARRAY_HASHES] = xcalloc(1, IMAGE_HASH);
    if (m->bad++ < MERGE_NAMED) /* the manifests have all, the report the first */
        hooks_note(m->hooks, why);
    return add(m, batch, err);
}

/* --- all gaps --------------------------------------------------------------------------------------- */

static bool fill_gap(void *ctx, int64_t at, int64_t end, Err *err)
{
    Measuring *m = ctx;
    const MeasureSink sink = {.ctx = m, .rows = on_rows, .bad = on_bad};
    return measure_source(m->run->source, at, end, &m->run->measure, &sink, m->hooks, err);
}

static bool fill_gaps(Measuring *m, Err *err)
{
    Run *run = m->run;
    if (!filling_needed(&m->filling))
        return true;
    if (!run_load(run, m->hooks, err) ||
        !folder_claim(run->spec->output, run->spec, &run->identity, run->submitted, err) ||
        !(m->filling.writer = run_writer(run, 0, err)))
        return false;
    stopwatch_enter(&run->watch, STAGE_FEATURES);
    return filling_gaps(&m->filling, fill_gap, m, err);
}

bool run_measure(Run *run, int64_t lo, int64_t hi, const Hooks *hooks, int64_t *ret_upto, Err *err)
{
    Measuring m = {.run = run, .hooks = hooks};
    if (!filling_open(&m.filling, run, lo, hi, hooks, err))
        return false;
    bool good = fill_gaps(&m, err);
    return filling_close(&m.filling, good, stage_name(STAGE_FEATURES), ret_upto, err);
}

/* --- before and after ------------------------------------------------------------------------------- */

bool run_survey(Run *run, int64_t *ret_images, Err *err)
{
    if (!jobkind_of(run->spec->kind)->reads_source)
        return err_set(err, ERR_PROTOCOL, "a sample job has no survey: its spec says how many images it has");
    *ret_images = run->images;
    return image_source_check(run->source, err);
}

void run_expect(Run *run, int64_t images)
{
    run->expected = images;
}

/* Images that cannot be read are not on the sheet; their errors were reported while they were measured. */
static bool write_sheet(const Run *run, Err *err)
{
    Image images[GRID_MAX];
    int count = 0;
    size_t bytes = 0;
    bool good = true;
    for (int64_t i = 0; i < run->images && count < GRID_MAX && bytes < SHEET_BYTES; i++) {
        Err why = {0};
        if (image_source_read(run->source, i, &images[count], &why)) {
            bytes += (size_t)images[count].height * (size_t)images[count].width * 3;
            count++;
        } else if (!run->spec->skip_bad) {
            *err = why;
            good = false;
            break;
        }
    }
    char *path = folder_path(run->spec->output, "grid.png");
    good = good && (count == 0 || grid_write(path, images, count, err)); /* none: merge_open reports it */
    free(path);
    while (count > 0)
        image_free(&images[--count]);
    return good;
}

bool run_close_source(Run *run, const Hooks *hooks, Err *err)
{
    if (!image_source_same(run->source, err))
        return false;
    char *caveat = image_source_caveat(run->source);
    if (caveat)
        run_note(run, hooks, "%s", caveat);
    free(caveat);
    return folder_has(run->spec->output, "grid.png") || write_sheet(run, err);
}
