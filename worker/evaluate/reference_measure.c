/* Images of a reference through the network, one pass (measure.h), into sums: rows are not kept, so memory is flat but
 * for 32 bytes of hash an image; features that are needed go into a mapped file as they come, or into memory where no
 * file can be. Full shards of rows are kept until it is done (reference_shards.c); read again they are added as they
 * were, so a resumed pass gives the same bits.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/evaluate/reference_parts.h"
#include "worker/images/reader.h"
#include "worker/metrics/moments.h"
#include "worker/models/model_cache.h"

enum { BATCH_CPU = 4, BATCH_CUDA = 64 };

/* made: since start. */
static void report(const Hooks *hooks, int64_t upto, int64_t made, Mono start, const char *stage)
{
    double seconds = (double)(mono_ms() - start) / 1000;
    hooks_progress(hooks, upto, seconds > 0 ? (double)made / seconds : 0, stage);
}

/* --- one pass --------------------------------------------------------------------------------------- */

typedef struct Sums {
    const Hooks *hooks;
    Moments *features, *spatial; /* spatial NULL: not wanted */
    NpyArray array;              /* of features; data NULL: not wanted */
    bool filed;
    ReferenceShards shards;
    bool keeps;             /* shards */
    Err unkept;             /* the first reason why something is not kept */
    Buf hashes;             /* [images,32] */
    int64_t images, before; /* before: of an earlier attempt */
    Mono start;
} Sums;

static bool sum_rows(Sums *sums, const MeasureRows *rows, Err *err)
{
    size_t bytes = (size_t)rows->count * (size_t)sums->shards.width * sizeof(float);
    if (!moments_add(sums->features, rows->features, rows->count, err) ||
        (sums->spatial && !moments_add(sums->spatial, rows->spatial, rows->count, err)))
        return false;
    if (sums->array.data)
        memcpy((float *)sums->array.data + sums->images * sums->shards.width, rows->features, bytes);
    buf_add(&sums->hashes, rows->hashes, (size_t)rows->count * IMAGE_HASH);
    sums->images += rows->count;
    return true;
}

static bool add_rows(void *ctx, MeasureRows *rows, Err *err)
{
    Sums *sums = ctx;
    bool good = sum_rows(sums, rows, err);
    if (good && sums->keeps)
        sums->keeps = reference_shards_add(&sums->shards, rows, &sums->unkept);
    report(sums->hooks, sums->images, sums->images - sums->before, sums->start, "reference");
    return good;
}

static bool add_earlier(Sums *sums, int64_t images, Err *err)
{
    const MeasureRows *rows;
    while (sums->keeps && sums->images + REFERENCE_SHARD <= images &&
           (rows = reference_shards_read(&sums->shards, sums->images)))
        if (!sum_rows(sums, rows, err))
            return false;
    sums->before = sums->images;
    sums->shards.rows.count = 0;
    return true;
}

static bool sums_open(Sums *sums, const MeasureTask *task, int width, int64_t images, Err *err)
{
    const int64_t shape[2] = {images, width};
    sums->start = mono_ms();
    sums->features = moments_new(width);
    sums->spatial = task->spatial ? moments_new(INCEPTION_SPATIAL) : NULL;
    sums->keeps = task->work;
    reference_shards_open(&sums->shards, task->work ? task->work : "", width, task->spatial);
    if (!task->features)
        return true;
    sums->filed = task->file && npy_create(task->file, DTYPE_F32, 2, shape, &sums->array, &sums->unkept);
    return sums->filed || npy_create(NULL, DTYPE_F32, 2, shape, &sums->array, err);
}

static void sums_close(Sums *sums)
{
    if (sums->array.data)
        npy_free(&sums->array);
    moments_free(sums->features);
    moments_free(sums->spatial);
    reference_shards_close(&sums->shards);
    buf_free(&sums->hashes);
}

static bool sums_finish(Sums *sums, const MeasureTask *task, Measured *measured, Err *err)
{
    measured->images = sums->images;
    if (sums->images < 2)
        return err_set(err, ERR_FORMAT, "images %s: one image has no covariance; statistics need at least 2",
                       task->path);
    image_set_hash((const uint8_t *)sums->hashes.data, sums->images, measured->sha256);
    if (!moments_finish(sums->features, &measured->stats, err) ||
        (sums->spatial && !moments_finish(sums->spatial, &measured->stats->spatial, err)))
        return false;
    measured->stats->pipeline = xstrdup(pipeline_name(task->pipeline));
    measured->features = sums->array;
    measured->filed = sums->filed;
    measured->unkept = sums->unkept;
    sums->array = (NpyArray){0};
    return true;
}

static bool measure(ImageSource *source, const MeasureTask *task, MeasurePlan *plan, Sums *sums, Err *err)
{
    const MeasureSink sink = {.ctx = sums, .rows = add_rows};
    int64_t images = image_source_count(source);
    return sums_open(sums, task, inception_level_width(plan->net, plan->level), images, err) &&
           add_earlier(sums, images, err) &&
           measure_source(source, sums->images, images, plan, &sink, sums->hooks, err) &&
           image_source_check(source, err);
}

bool reference_measure(const MeasureTask *task, const ReferenceOptions *options, Measured *ret_measured, Err *err)
{
    Precision precision = model_cache_feature_precision(options->models, options->precision);
    MeasurePlan plan = {.pipeline = task->pipeline == RESIZE_TF ? PIPELINE_TF : PIPELINE_PT,
                        .level = options->level,
                        .spatial = task->spatial,
                        .batch = options->batch                         ? options->batch
                                 : model_cache_is_host(options->models) ? BATCH_CPU
                                                                        : BATCH_CUDA};
    Sums sums = {.hooks = options->hooks};
    Measured measured = {.images = 0};
    ImageSource *source = image_source_open(task->path, err);
    plan.net = source ? model_cache_inception(options->models, options->inception, precision, NULL, err) : NULL;
    bool good = plan.net && measure(source, task, &plan, &sums, err) && sums_finish(&sums, task, &measured, err);
    if (!good && sums.filed)
        unlink(task->file);
    sums_close(&sums);
    image_source_close(source);
    if (good)
        *ret_measured = measured;
    else
        statistics_free(measured.stats);
    return good;
}

/* --- the pixels alone ------------------------------------------------------------------------------- */

static bool hash_images(ImageReader *reader, int64_t count, const Hooks *hooks, uint8_t *hashes, ImageTally *tally,
                        Err *err)
{
    Mono start = mono_ms();
    for (int64_t i = 0; i < count; i++) {
        Image image = {0};
        if (hooks_stopped(hooks))
            return err_set(err, ERR_CANCELLED, "stopped before image %" PRId64 " of the reference", i);
        if (!image_reader_next(reader, &image, hashes + i * IMAGE_HASH, err))
            return false;
        image_tally_add(tally, image.traits);
        image_free(&image);
        if (i % 64 == 63)
            report(hooks, i + 1, i + 1, start, "reading");
    }
    return true;
}

bool reference_hash(const char *path, const Hooks *hooks, char ret_hex[65], int64_t *ret_images, ImageTally *ret_tally,
                    Err *err)
{
    ImageSource *source = image_source_open(path, err);
    if (!source)
        return false;
    int64_t count = image_source_count(source);
    uint8_t *hashes = xcalloc((size_t)count, IMAGE_HASH);
    ImageReader *reader = image_reader_open(source, 0, count, err);
    ImageTally tally = {0};
    bool good = reader && hash_images(reader, count, hooks, hashes, &tally, err) && image_source_check(source, err);
    if (good) {
        image_set_hash(hashes, count, ret_hex);
        *ret_images = count;
        *ret_tally = tally;
    }
    image_reader_close(reader);
    image_source_close(source);
    free(hashes);
    return good;
}
