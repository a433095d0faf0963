/* Features of images that are there already: evaluate and statistics. The source is read in order, equal sizes are
 * batched, and features become pieces, so a run that is stopped goes on where it was; images of finished pieces are
 * read (their pixels are part of the hash) but not measured again. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/grid.h"
#include "worker/images.h"
#include "worker/run_parts.h"

enum { SHEET_BYTES = 64 << 20 }; /* first images kept for the contact sheet, at most so much of them */

typedef struct Measuring {
    Run *run;
    const RunHooks *hooks;
    ImageSource *source;
    Pieces pieces;
    Writer *writer;
    EVP_MD_CTX *hash;
    uint8_t *pixels; /* [batch,h,w,3]: what waits to be measured */
    int count, height, width;
    int64_t first; /* index of the first of them */
    int64_t made;
    bool mixed; /* sizes differ */
    double start;
    Image sheet[GRID_MAX];
    int sheet_count;
    size_t sheet_bytes;
} Measuring;

static bool flush(Measuring *m, Err *err)
{
    if (m->count == 0)
        return true;
    Run *run = m->run;
    WriterBatch *batch = xcalloc(1, sizeof *batch);
    batch->lo = m->first;
    batch->count = m->count;
    batch->arrays[ARRAY_FEATURES] = xmalloc((size_t)m->count * (size_t)inception_width(run->inception) * sizeof(float));
    stopwatch_enter(&run->watch, PHASE_FEATURES);
    if (!run_features(run, m->hooks, m->pixels, m->count, m->height, m->width, m->first, batch->arrays[ARRAY_FEATURES],
                      err)) {
        writer_batch_free(batch);
        return false;
    }
    run_take_times(run, batch);
    m->made += m->count;
    m->count = 0;
    bool good = writer_add(m->writer, batch, err);
    double seconds = mono_seconds() - m->start;
    run_progress(m->hooks, pieces_reach(&m->pieces, writer_safe(m->writer, pieces_reach(&m->pieces, 0))),
                 seconds > 0 ? (double)m->made / seconds : 0, phase_name(PHASE_FEATURES));
    return good;
}

/* Room for a batch of this size of image. */
static bool resize(Measuring *m, const Image *image, Err *err)
{
    if (m->pixels && (m->height != image->height || m->width != image->width))
        m->mixed = true;
    free(m->pixels);
    m->height = image->height;
    m->width = image->width;
    size_t bytes = (size_t)m->run->batch * (size_t)m->height * (size_t)m->width * 3;
    m->pixels = malloc(bytes);
    return m->pixels || err_set(err, ERR_MEMORY, "no %zu MiB for %d images of %dx%d", bytes >> 20, m->run->batch,
                                m->width, m->height);
}

static bool queue_image(Measuring *m, const Image *image, int64_t index, Err *err)
{
    bool fits = m->pixels && m->height == image->height && m->width == image->width;
    if (!fits && (!flush(m, err) || !resize(m, image, err)))
        return false;
    size_t bytes = (size_t)m->height * (size_t)m->width * 3;
    if (m->count == 0)
        m->first = index;
    memcpy(m->pixels + (size_t)m->count++ * bytes, image->rgb, bytes);
    return m->count < m->run->batch || flush(m, err);
}

static void hash_image(Measuring *m, const Image *image)
{
    char size[48];
    int len = snprintf(size, sizeof size, "%d %d\n", image->height, image->width);
    EVP_DigestUpdate(m->hash, size, (size_t)len);
    EVP_DigestUpdate(m->hash, image->rgb, (size_t)image->height * (size_t)image->width * 3);
}

/* Takes the image over. */
static void keep_or_free(Measuring *m, Image *image)
{
    size_t bytes = (size_t)image->height * (size_t)image->width * 3;
    if (m->sheet_count < GRID_MAX && m->sheet_bytes + bytes <= SHEET_BYTES) {
        m->sheet[m->sheet_count++] = *image;
        m->sheet_bytes += bytes;
    } else {
        image_free(image);
    }
}

static bool measure_all(Measuring *m, Err *err)
{
    for (int64_t index = 0;; index++) {
        Image image = {0};
        if (run_stopped(m->hooks))
            return err_set(err, ERR_CANCELLED, "stopped before image %" PRId64, index);
        if (!image_source_next(m->source, &image, err))
            return false;
        if (!image.rgb)
            return flush(m, err);
        hash_image(m, &image);
        bool done = pieces_reach(&m->pieces, index) > index;
        bool good = done ? flush(m, err) : queue_image(m, &image, index, err); /* a batch has no holes */
        keep_or_free(m, &image);
        if (!good)
            return false;
    }
}

static bool write_sheet(const Measuring *m, Err *err)
{
    char *path = folder_path(m->run->spec->output, "grid.png");
    bool good = grid_write(path, m->sheet, m->sheet_count, err);
    free(path);
    return good;
}

static void finish_hash(Measuring *m, char ret_sha256[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_DigestFinal_ex(m->hash, digest, &len);
    for (unsigned int i = 0; i < len && i < 32; i++)
        snprintf(ret_sha256 + 2 * i, 3, "%02x", digest[i]);
}

static void measuring_done(Measuring *m)
{
    writer_close(m->writer);
    pieces_done(&m->pieces);
    image_source_close(m->source);
    EVP_MD_CTX_free(m->hash);
    for (int i = 0; i < m->sheet_count; i++)
        image_free(&m->sheet[i]);
    free(m->pixels);
}

bool run_measure(Run *run, const RunHooks *hooks, char ret_sha256[65], Err *err)
{
    Measuring m = {.run = run, .hooks = hooks, .start = mono_seconds(), .hash = EVP_MD_CTX_new()};
    EVP_DigestInit_ex(m.hash, EVP_sha256(), NULL);
    PieceNeeds needs = run_needs(run);
    m.source = image_source_open(run->spec->source, err);
    bool good = m.source != NULL;
    if (good) {
        run->images = image_source_count(m.source);
        good = pieces_scan(run->spec->output, &needs, 0, run->images, &m.pieces, err) && run_load(run, hooks, err) &&
               folder_claim(run->spec->output, run->spec, &run->identity, run->submitted, err) &&
               (m.writer = run_writer(run, 0, err)) && measure_all(&m, err);
    }
    Err late = {0};
    if (m.writer && !writer_finish(m.writer, &late)) {
        if (good || (err && err->kind == ERR_CANCELLED))
            *err = late;
        good = false;
    }
    stopwatch_enter(&run->watch, PHASE_NONE);
    if (good && m.mixed)
        run_note(run, hooks, "the images differ in size; each is resized to 299x299 on its own, as pytorch-fid does");
    good = good && write_sheet(&m, err);
    if (good)
        finish_hash(&m, ret_sha256);
    measuring_done(&m);
    return good;
}

bool run_survey(Run *run, int64_t *ret_images, Err *err)
{
    if (run->spec->kind == KIND_SAMPLE)
        return err_set(err, ERR_PROTOCOL, "a sample job has no survey: its spec says how many images it has");
    ImageSource *source = image_source_open(run->spec->source, err);
    if (source)
        *ret_images = image_source_count(source);
    image_source_close(source);
    return source != NULL;
}
