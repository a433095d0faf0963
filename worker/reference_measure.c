/* Images of a reference through the network, one pass, in order. Sums and not rows are kept, so memory is flat;
 * features that somebody wants go to a file as they come. The same images give the same bits whatever the batch. */
#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/moments.h"
#include "worker/reference_parts.h"
#include "worker/workshop.h"

enum { BATCH_CPU = 4, BATCH_CUDA = 64, HASH_BYTES = 32 };

/* --- the hash of a set: SHA-256 over the images' own, each of "H W\n" and the pixels --------------------- */

typedef struct PixelHash {
    EVP_MD_CTX *ctx;
} PixelHash;

static void hash_start(PixelHash *hash)
{
    hash->ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL);
}

static void hash_add(PixelHash *hash, const Image *image)
{
    char size[48];
    int len = snprintf(size, sizeof size, "%d %d\n", image->height, image->width);
    uint8_t one[HASH_BYTES];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(ctx, size, (size_t)len);
    EVP_DigestUpdate(ctx, image->rgb, (size_t)image->height * (size_t)image->width * 3);
    EVP_DigestFinal_ex(ctx, one, NULL);
    EVP_MD_CTX_free(ctx);
    EVP_DigestUpdate(hash->ctx, one, sizeof one);
}

static void hash_finish(PixelHash *hash, char ret_hex[65])
{
    uint8_t all[HASH_BYTES];
    EVP_DigestFinal_ex(hash->ctx, all, NULL);
    EVP_MD_CTX_free(hash->ctx);
    for (int i = 0; ret_hex && i < HASH_BYTES; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", all[i]);
}

/* --- one pass --------------------------------------------------------------------------------------- */

typedef struct Pass {
    const ReferenceMaker *maker;
    ImageSource *source;
    Inception *net;
    Resize pipeline;
    int batch, width; /* width: of the features */
    uint8_t *pixels;  /* [batch,h,w,3]: what waits to be measured */
    int count, height, image_width;
    int64_t first;          /* index of the first of them */
    float *features, *rows; /* [batch,width], [batch,2023] or NULL */
    Moments *moments, *spatial;
    NpyWriter *writer;
    PixelHash hash;
    Mono start;
} Pass;

static bool stopped(const RunHooks *hooks, int64_t at, Err *err)
{
    if (!hooks || !hooks->stop || !hooks->stop(hooks->ctx))
        return false;
    err_set(err, ERR_CANCELLED, "stopped at image %" PRId64 " of the reference", at);
    return true;
}

static void tell(const RunHooks *hooks, int64_t upto, Mono start)
{
    double seconds = (double)(mono_ms() - start) / 1000;
    if (hooks && hooks->progress)
        hooks->progress(hooks->ctx, upto, seconds > 0 ? (double)upto / seconds : 0, "reference");
}

static bool check_finite(const Pass *pass, Err *err)
{
    for (int64_t i = 0; i < (int64_t)pass->count * pass->width; i++)
        if (!isfinite(pass->features[i])) {
            char *name = image_source_name(pass->source, pass->first + i / pass->width);
            err_set(err, ERR_NUMERIC, "%s: feature %" PRId64 " is %g", name, i % pass->width,
                    (double)pass->features[i]);
            free(name);
            return false;
        }
    return true;
}

static bool run_network(Pass *pass, Err *err)
{
    if (pass->maker->level != INCEPTION_2048)
        return inception_run_level(pass->net, pass->pixels, pass->count, pass->height, pass->image_width,
                                   pass->pipeline, pass->maker->level, pass->features, err);
    return inception_run(pass->net, pass->pixels, pass->count, pass->height, pass->image_width, pass->pipeline,
                         pass->features, NULL, pass->rows, err);
}

static bool flush(Pass *pass, Err *err)
{
    if (pass->count == 0)
        return true;
    size_t bytes = (size_t)pass->count * (size_t)pass->width * sizeof(float);
    if (!run_network(pass, err) || !check_finite(pass, err) ||
        !moments_add(pass->moments, pass->features, pass->count, err) ||
        (pass->rows && !moments_add(pass->spatial, pass->rows, pass->count, err)) ||
        (pass->writer && !npy_writer_add(pass->writer, pass->features, bytes, err)))
        return false;
    pass->first += pass->count;
    pass->count = 0;
    tell(pass->maker->hooks, pass->first, pass->start);
    return true;
}

/* Images of one size are measured together. */
static bool add(Pass *pass, const Image *image, Err *err)
{
    if (!pass->pixels || pass->height != image->height || pass->image_width != image->width) {
        if (!flush(pass, err))
            return false;
        free(pass->pixels);
        pass->height = image->height;
        pass->image_width = image->width;
        size_t bytes = (size_t)pass->batch * (size_t)image->height * (size_t)image->width * 3;
        pass->pixels = malloc(bytes);
        if (!pass->pixels)
            return err_set(err, ERR_MEMORY, "no %zu MiB for %d images of %dx%d", bytes >> 20, pass->batch, image->width,
                           image->height);
    }
    size_t bytes = (size_t)image->height * (size_t)image->width * 3;
    memcpy(pass->pixels + (size_t)pass->count++ * bytes, image->rgb, bytes);
    return pass->count < pass->batch || flush(pass, err);
}

static bool measure_all(Pass *pass, Err *err)
{
    for (int64_t i = 0;; i++) {
        Image image = {0};
        if (stopped(pass->maker->hooks, i, err) || !image_source_next(pass->source, &image, err))
            return false;
        if (!image.rgb)
            return flush(pass, err);
        hash_add(&pass->hash, &image);
        bool good = add(pass, &image, err);
        image_free(&image);
        if (!good)
            return false;
    }
}

static bool pass_open(Pass *pass, const char *path, bool spatial, const char *features_path, Err *err)
{
    const ReferenceMaker *maker = pass->maker;
    Precision precision = workshop_feature_precision(maker->shop, maker->precision);
    pass->source = image_source_open(path, err);
    pass->net = pass->source ? workshop_inception(maker->shop, maker->inception, precision, NULL, err) : NULL;
    if (!pass->net)
        return false;
    pass->width = inception_level_width(pass->net, maker->level);
    pass->features = xmalloc((size_t)pass->batch * (size_t)pass->width * sizeof(float));
    pass->moments = moments_new(pass->width);
    if (spatial) {
        pass->rows = xmalloc((size_t)pass->batch * INCEPTION_SPATIAL * sizeof(float));
        pass->spatial = moments_new(INCEPTION_SPATIAL);
    }
    if (features_path) {
        int64_t shape[2] = {image_source_count(pass->source), pass->width};
        pass->writer = npy_writer_open(features_path, DTYPE_F32, 2, shape, err);
    }
    return !features_path || pass->writer;
}

static void pass_close(Pass *pass)
{
    npy_writer_abort(pass->writer);
    image_source_close(pass->source);
    moments_free(pass->moments);
    moments_free(pass->spatial);
    free(pass->features);
    free(pass->rows);
    free(pass->pixels);
}

static bool pass_finish(Pass *pass, const char *path, Measured *measured, Err *err)
{
    measured->images = pass->first;
    if (measured->images < 2)
        return err_set(err, ERR_FORMAT, "images %s: one image has no covariance; statistics need at least 2", path);
    if (!moments_finish(pass->moments, &measured->stats, err) ||
        (pass->spatial && !moments_finish(pass->spatial, &measured->stats->spatial, err)))
        return false;
    measured->stats->pipeline = xstrdup(pipeline_name(pass->pipeline));
    NpyWriter *writer = pass->writer;
    pass->writer = NULL;
    return !writer || npy_writer_finish(writer, err);
}

bool reference_measure(const char *path, Resize pipeline, bool spatial, const char *features_path,
                       const ReferenceMaker *maker, Measured *ret_measured, Err *err)
{
    int batch = maker->batch ? maker->batch : workshop_is_host(maker->shop) ? BATCH_CPU : BATCH_CUDA;
    Pass pass = {.maker = maker, .pipeline = pipeline, .batch = batch, .start = mono_ms()};
    Measured measured = {.images = 0};
    hash_start(&pass.hash);
    bool good = pass_open(&pass, path, spatial, features_path, err) && measure_all(&pass, err) &&
                pass_finish(&pass, path, &measured, err);
    hash_finish(&pass.hash, measured.sha256);
    pass_close(&pass);
    if (good)
        *ret_measured = measured;
    else
        statistics_free(measured.stats);
    return good;
}

bool reference_hash(const char *path, const RunHooks *hooks, char ret_hex[65], int64_t *ret_images, Err *err)
{
    ImageSource *source = image_source_open(path, err);
    if (!source)
        return false;
    PixelHash hash;
    hash_start(&hash);
    bool good = true, more = true;
    int64_t images = 0;
    while (good && more) {
        Image image = {0};
        good = !stopped(hooks, images, err) && image_source_next(source, &image, err);
        more = good && image.rgb;
        if (more) {
            hash_add(&hash, &image);
            images++;
        }
        image_free(&image);
    }
    hash_finish(&hash, good ? ret_hex : NULL);
    image_source_close(source);
    if (good)
        *ret_images = images;
    return good;
}
