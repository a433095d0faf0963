/* One pass: the reader decodes ahead, images of one size wait here until they are a batch, the network takes the batch.
 * A batch has consecutive images, so an unreadable one and another size end it early. */
#include "worker/evaluate/measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/images/reader.h"

const char *pipeline_name(Resize pipeline)
{
    return pipeline == RESIZE_TF ? "tf" : "pt";
}

void measure_rows_free(MeasureRows *rows)
{
    free(rows->features);
    free(rows->features_tf);
    free(rows->spatial);
    free(rows->hashes);
    *rows = (MeasureRows){0};
}

/* --- the network ----------------------------------------------------------------------------------- */

/* What one run of the network is asked for. */
typedef struct Ask {
    Resize resize;
    float *features, *spatial; /* spatial NULL: not wanted */
} Ask;

static int asks_of(const MeasurePlan *plan, const MeasureRows *rows, Ask asks[2])
{
    const bool tf = plan->pipeline == PIPELINE_TF, both = plan->pipeline == PIPELINE_BOTH;
    asks[0] = (Ask){tf ? RESIZE_TF : RESIZE_PT, rows->features, both ? NULL : rows->spatial};
    asks[1] = (Ask){RESIZE_TF, rows->features_tf, rows->spatial};
    return both ? 2 : 1;
}

/* How images and rows of a batch are passed over in parts. */
typedef struct Part {
    const uint8_t *pixels;
    int at, count, h, w;
} Part;

static bool run_part(const MeasurePlan *plan, const Ask *ask, const Part *part, Err *err)
{
    const size_t width = (size_t)inception_level_width(plan->net, plan->level), at = (size_t)part->at;
    const uint8_t *pixels = part->pixels + at * (size_t)part->h * (size_t)part->w * 3;
    float *features = ask->features + at * width,
          *spatial = ask->spatial ? ask->spatial + at * INCEPTION_SPATIAL : NULL;
    if (plan->level != INCEPTION_2048)
        return inception_run_level(plan->net, pixels, part->count, part->h, part->w, ask->resize, plan->level, features,
                                   err);
    return inception_run(plan->net, pixels, part->count, part->h, part->w, ask->resize, features, NULL, spatial, err);
}

/* In as many calls as the memory requires. */
static bool run_network(MeasurePlan *plan, const MeasureRows *rows, const uint8_t *pixels, const Hooks *hooks, Err *err)
{
    Ask asks[2];
    int count = asks_of(plan, rows, asks);
    for (int i = 0; i < count; i++)
        for (Part part = {.pixels = pixels, .h = rows->height, .w = rows->width}; part.at < rows->count;) {
            int left = rows->count - part.at;
            part.count = left < plan->batch ? left : plan->batch;
            if (run_part(plan, &asks[i], &part, err)) {
                part.at += part.count;
                continue;
            }
            if (!err || err->kind != ERR_MEMORY || part.count == 1)
                return false;
            plan->batch = part.count / 2;
            char text[128];
            snprintf(text, sizeof text, "features of %d images at a time do not fit in memory; went on with %d",
                     part.count, plan->batch);
            hooks_note(hooks, text);
            err_clear(err);
        }
    return true;
}

/* --- checking --------------------------------------------------------------------------------------- */

static bool finite_row(const float *row, int width, int *ret_at)
{
    for (*ret_at = 0; *ret_at < width; ++*ret_at)
        if (!isfinite(row[*ret_at]))
            return false;
    return true;
}

/* source NULL: images have numbers alone. */
static bool check_finite(const MeasurePlan *plan, const MeasureRows *rows, const ImageSource *source, Err *err)
{
    const int width = inception_level_width(plan->net, plan->level);
    const struct {
        const char *what;
        const float *values;
        int width;
    } arrays[] = {{"feature", rows->features, width},
                  {"feature of the tf pipeline", rows->features_tf, width},
                  {"spatial feature", rows->spatial, INCEPTION_SPATIAL}};
    for (size_t k = 0; k < countof(arrays); k++)
        for (int i = 0; arrays[k].values && i < rows->count; i++) {
            const float *row = arrays[k].values + (size_t)i * (size_t)arrays[k].width;
            int at;
            if (finite_row(row, arrays[k].width, &at))
                continue;
            char *name = source ? image_source_name(source, rows->first + i) : xasprintf("%" PRId64, rows->first + i);
            err_set(err, ERR_NUMERIC, "image %s: %s %d is %g", name, arrays[k].what, at, (double)row[at]);
            free(name);
            return false;
        }
    return true;
}

/* --- a batch ---------------------------------------------------------------------------------------- */

static bool room(MeasureRows *rows, const MeasurePlan *plan, Err *err)
{
    const size_t n = (size_t)rows->count, row = n * (size_t)inception_level_width(plan->net, plan->level);
    rows->features = malloc(row * sizeof(float));
    rows->features_tf = plan->pipeline == PIPELINE_BOTH ? malloc(row * sizeof(float)) : NULL;
    rows->spatial = plan->spatial ? malloc(n * INCEPTION_SPATIAL * sizeof(float)) : NULL;
    rows->hashes = malloc(n * IMAGE_HASH);
    bool good = rows->features && rows->hashes && (rows->features_tf || plan->pipeline != PIPELINE_BOTH) &&
                (rows->spatial || !plan->spatial);
    return good || err_set(err, ERR_MEMORY, "no room for the features of %d images", rows->count);
}

/* hashes NULL: they are taken here. */
static bool measure_batch(const uint8_t *pixels, const uint8_t *hashes, const ImageSource *source, MeasurePlan *plan,
                          const Hooks *hooks, MeasureRows *rows, Err *err)
{
    if (!room(rows, plan, err) || !run_network(plan, rows, pixels, hooks, err) ||
        !check_finite(plan, rows, source, err))
        return false;
    size_t bytes = (size_t)rows->height * (size_t)rows->width * 3;
    for (int i = 0; i < rows->count; i++) {
        Image image = {rows->width, rows->height, (uint8_t *)pixels + (size_t)i * bytes, 0};
        if (hashes)
            memcpy(rows->hashes + i * IMAGE_HASH, hashes + i * IMAGE_HASH, IMAGE_HASH);
        else
            image_hash(&image, rows->hashes + i * IMAGE_HASH);
    }
    return true;
}

bool measure_pixels(const uint8_t *pixels, int64_t first, int count, int h, int w, MeasurePlan *plan,
                    const Hooks *hooks, MeasureRows *ret_rows, Err *err)
{
    MeasureRows rows = {.first = first, .count = count, .height = h, .width = w};
    bool good = measure_batch(pixels, NULL, NULL, plan, hooks, &rows, err);
    if (good)
        *ret_rows = rows;
    else
        measure_rows_free(&rows);
    return good;
}

/* --- a source --------------------------------------------------------------------------------------- */

typedef struct Pass {
    ImageSource *source;
    MeasurePlan *plan;
    const MeasureSink *sink;
    const Hooks *hooks;
    uint8_t *pixels, *hashes; /* [wanted,height,width,3] and [wanted,32]: what waits to be measured */
    int wanted;               /* images of a batch */
    MeasureRows waiting;      /* which images those are */
} Pass;

static bool flush(Pass *pass, Err *err)
{
    if (pass->waiting.count == 0)
        return true;
    MeasureRows rows = pass->waiting;
    pass->waiting.count = 0;
    pass->waiting.tally = (ImageTally){0};
    bool good = measure_batch(pass->pixels, pass->hashes, pass->source, pass->plan, pass->hooks, &rows, err) &&
                pass->sink->rows(pass->sink->ctx, &rows, err);
    measure_rows_free(&rows);
    return good;
}

/* Room for a batch of this size of image. */
static bool resize(Pass *pass, const Image *image, Err *err)
{
    free(pass->pixels);
    pass->waiting.height = image->height;
    pass->waiting.width = image->width;
    size_t bytes = (size_t)pass->wanted * (size_t)image->height * (size_t)image->width * 3;
    pass->pixels = malloc(bytes);
    return pass->pixels || err_set(err, ERR_MEMORY, "no %zu MiB for %d images of %dx%d", bytes >> 20, pass->wanted,
                                   image->width, image->height);
}

static bool add(Pass *pass, int64_t index, const Image *image, const uint8_t *hash, Err *err)
{
    MeasureRows *waiting = &pass->waiting;
    bool fits = pass->pixels && waiting->height == image->height && waiting->width == image->width;
    if (!fits && (!flush(pass, err) || !resize(pass, image, err)))
        return false;
    size_t bytes = (size_t)image->height * (size_t)image->width * 3;
    if (waiting->count == 0)
        waiting->first = index;
    image_tally_add(&waiting->tally, image->traits);
    memcpy(pass->hashes + waiting->count * IMAGE_HASH, hash, IMAGE_HASH);
    memcpy(pass->pixels + (size_t)waiting->count++ * bytes, image->rgb, bytes);
    return waiting->count < pass->wanted || flush(pass, err);
}

/* Only what is about this one image can be skipped: not a source that changed, nor a disk that fails. */
static bool skip(Pass *pass, int64_t index, Err *err)
{
    if (!pass->plan->skip_bad || (err->kind != ERR_FORMAT && err->kind != ERR_PERMISSION))
        return false;
    Err why = *err;
    err_clear(err);
    return flush(pass, err) && pass->sink->bad(pass->sink->ctx, index, why.text, err);
}

static bool take_images(Pass *pass, ImageReader *reader, int64_t lo, int64_t hi, Err *err)
{
    for (int64_t index = lo; index < hi; index++) {
        Image image = {0};
        uint8_t hash[IMAGE_HASH];
        if (hooks_stopped(pass->hooks))
            return err_set(err, ERR_CANCELLED, "stopped before image %" PRId64, index);
        bool good =
            image_reader_next(reader, &image, hash, err) ? add(pass, index, &image, hash, err) : skip(pass, index, err);
        image_free(&image);
        if (!good)
            return false;
    }
    return flush(pass, err);
}

bool measure_source(ImageSource *source, int64_t lo, int64_t hi, MeasurePlan *plan, const MeasureSink *sink,
                    const Hooks *hooks, Err *err)
{
    Pass pass = {.source = source, .plan = plan, .sink = sink, .hooks = hooks, .wanted = plan->batch};
    pass.hashes = xmalloc((size_t)pass.wanted * IMAGE_HASH);
    Err why = {0}; /* its kind is looked at */
    ImageReader *reader = image_reader_open(source, lo, hi, &why);
    bool good = reader && take_images(&pass, reader, lo, hi, &why);
    image_reader_close(reader);
    free(pass.pixels);
    free(pass.hashes);
    if (!good && err)
        *err = why;
    return good;
}
