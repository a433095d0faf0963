/* Images of a reference through the network, one pass (measure.h), into sums: rows are not kept, so memory is flat but
 * for 32 bytes of hash an image; features that somebody wants go to a file as they come. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/image_reader.h"
#include "worker/measure.h"
#include "worker/moments.h"
#include "worker/reference_parts.h"
#include "worker/workshop.h"

enum { BATCH_CPU = 4, BATCH_CUDA = 64 };

static void tell(const RunHooks *hooks, int64_t upto, Mono start, const char *stage)
{
    double seconds = (double)(mono_ms() - start) / 1000;
    if (hooks && hooks->progress)
        hooks->progress(hooks->ctx, upto, seconds > 0 ? (double)upto / seconds : 0, stage);
}

/* --- one pass --------------------------------------------------------------------------------------- */

typedef struct Sums {
    const RunHooks *hooks;
    int width;                   /* of the features */
    Moments *features, *spatial; /* spatial NULL: not wanted */
    NpyWriter *writer;           /* of features; NULL: not wanted */
    Buf hashes;                  /* [images,32] */
    int64_t images;
    Mono start;
} Sums;

static bool add_rows(void *ctx, MeasureRows *rows, Err *err)
{
    Sums *sums = ctx;
    size_t bytes = (size_t)rows->count * (size_t)sums->width * sizeof(float);
    if (!moments_add(sums->features, rows->features, rows->count, err) ||
        (sums->spatial && !moments_add(sums->spatial, rows->spatial, rows->count, err)) ||
        (sums->writer && !npy_writer_add(sums->writer, rows->features, bytes, err)))
        return false;
    buf_add(&sums->hashes, rows->hashes, (size_t)rows->count * IMAGE_HASH);
    sums->images += rows->count;
    tell(sums->hooks, sums->images, sums->start, "reference");
    return true;
}

static bool sums_open(Sums *sums, int width, int64_t images, bool spatial, const char *features_path, Err *err)
{
    const int64_t shape[2] = {images, width};
    sums->width = width;
    sums->features = moments_new(width);
    sums->spatial = spatial ? moments_new(INCEPTION_SPATIAL) : NULL;
    if (features_path)
        sums->writer = npy_writer_open(features_path, DTYPE_F32, 2, shape, err);
    return !features_path || sums->writer;
}

static void sums_close(Sums *sums)
{
    npy_writer_abort(sums->writer);
    moments_free(sums->features);
    moments_free(sums->spatial);
    buf_free(&sums->hashes);
}

static bool sums_finish(Sums *sums, const char *path, Resize pipeline, Measured *measured, Err *err)
{
    measured->images = sums->images;
    if (sums->images < 2)
        return err_set(err, ERR_FORMAT, "images %s: one image has no covariance; statistics need at least 2", path);
    image_set_hash((const uint8_t *)sums->hashes.data, sums->images, measured->sha256);
    if (!moments_finish(sums->features, &measured->stats, err) ||
        (sums->spatial && !moments_finish(sums->spatial, &measured->stats->spatial, err)))
        return false;
    measured->stats->pipeline = xstrdup(pipeline_name(pipeline));
    NpyWriter *writer = sums->writer;
    sums->writer = NULL;
    return !writer || npy_writer_finish(writer, err);
}

static bool measure(ImageSource *source, Sums *sums, MeasurePlan *plan, const RunHooks *hooks, Err *err)
{
    const MeasureSink sink = {.ctx = sums, .rows = add_rows};
    return measure_source(source, 0, image_source_count(source), plan, &sink, hooks, err) &&
           image_source_check(source, err);
}

bool reference_measure(const char *path, Resize pipeline, bool spatial, const char *features_path,
                       const ReferenceMaker *maker, Measured *ret_measured, Err *err)
{
    Precision precision = workshop_feature_precision(maker->shop, maker->precision);
    MeasurePlan plan = {.pipeline = pipeline == RESIZE_TF ? PIPELINE_TF : PIPELINE_PT,
                        .level = maker->level,
                        .spatial = spatial,
                        .batch = maker->batch                    ? maker->batch
                                 : workshop_is_host(maker->shop) ? BATCH_CPU
                                                                 : BATCH_CUDA};
    Sums sums = {.hooks = maker->hooks, .start = mono_ms()};
    Measured measured = {.images = 0};
    ImageSource *source = image_source_open(path, err);
    plan.net = source ? workshop_inception(maker->shop, maker->inception, precision, NULL, err) : NULL;
    bool good = plan.net &&
                sums_open(&sums, inception_level_width(plan.net, maker->level), image_source_count(source), spatial,
                          features_path, err) &&
                measure(source, &sums, &plan, maker->hooks, err) && sums_finish(&sums, path, pipeline, &measured, err);
    sums_close(&sums);
    image_source_close(source);
    if (good)
        *ret_measured = measured;
    else
        statistics_free(measured.stats);
    return good;
}

/* --- the pixels alone ------------------------------------------------------------------------------- */

static bool hash_images(ImageReader *reader, int64_t count, const RunHooks *hooks, uint8_t *hashes, Err *err)
{
    Mono start = mono_ms();
    for (int64_t i = 0; i < count; i++) {
        Image image = {0};
        if (hooks && hooks->stop && hooks->stop(hooks->ctx))
            return err_set(err, ERR_CANCELLED, "stopped before image %" PRId64 " of the reference", i);
        if (!image_reader_next(reader, &image, hashes + i * IMAGE_HASH, err))
            return false;
        image_free(&image);
        if (i % 64 == 63)
            tell(hooks, i + 1, start, "reading");
    }
    return true;
}

bool reference_hash(const char *path, const RunHooks *hooks, char ret_hex[65], int64_t *ret_images, Err *err)
{
    ImageSource *source = image_source_open(path, err);
    if (!source)
        return false;
    int64_t count = image_source_count(source);
    uint8_t *hashes = xcalloc((size_t)count, IMAGE_HASH);
    ImageReader *reader = image_reader_open(source, 0, count, err);
    bool good = reader && hash_images(reader, count, hooks, hashes, err) && image_source_check(source, err);
    if (good) {
        image_set_hash(hashes, count, ret_hex);
        *ret_images = count;
    }
    image_reader_close(reader);
    image_source_close(source);
    free(hashes);
    return good;
}
