/* Threads and order of writing.
 *
 *   main thread     writer_add: batch -> the open piece; its images -> the queue of PNG tasks
 *   png threads     encode and write one image each (unflushed), count down the piece
 *   closing thread  takes pieces in order; when a piece is cut and its images are written: flush the images, write the
 *                   arrays, write the manifest, move `safe` on
 *
 * One lock guards everything; `changed` is signalled at every change, which is a few times a batch. A flushed image
 * needs no flush of its own folder entry until the manifest, so the folder is flushed once a piece. */
#include "worker/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/file.h"
#include "worker/images.h"
#include "worker/npy.h"
#include "worker/stall.h"

enum { THREADS_MAX = 16, PIECES_IN_FLIGHT = 3 };

typedef struct OpenPiece OpenPiece;
struct OpenPiece {
    OpenPiece *next;
    int64_t lo, hi;
    double born;
    bool cut;
    const char *precision; /* as its batches' */
    int images_left;       /* PNG tasks that are not done */
    WriterBatch **batches;
    int batch_count;
};

typedef struct PngTask PngTask;
struct PngTask {
    PngTask *next;
    OpenPiece *piece;
    int64_t index;
    const uint8_t *rgb;
};

struct Writer {
    WriterPlan plan;
    char *output, identity[65];
    cJSON *made;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[THREADS_MAX], closer;
    int thread_count;
    bool closer_runs, ending;
    OpenPiece *first, *last; /* oldest to newest; the newest may still be open */
    int pieces;
    PngTask *task, *last_task;
    bool any_safe;
    int64_t safe;
    Err err; /* the first failure */
};

void writer_batch_free(WriterBatch *batch)
{
    for (int i = 0; batch && i < PIECE_ARRAYS; i++)
        free(batch->arrays[i]);
    if (batch)
        free(batch->bad);
    free(batch);
}

static void piece_free(OpenPiece *piece)
{
    for (int i = 0; i < piece->batch_count; i++)
        writer_batch_free(piece->batches[i]);
    free(piece->batches);
    free(piece);
}

static void keep_failure(Writer *writer, const Err *err)
{
    if (writer->err.kind == ERR_NONE)
        writer->err = *err;
}

/* --- PNG threads ----------------------------------------------------------------------------------- */

static PngTask *next_task(Writer *writer)
{
    while (!writer->task && !writer->ending)
        pthread_cond_wait(&writer->changed, &writer->lock);
    PngTask *task = writer->task;
    if (task) {
        writer->task = task->next;
        if (!writer->task)
            writer->last_task = NULL;
    }
    return task;
}

static void *png_thread(void *ctx)
{
    Writer *writer = ctx;
    pthread_mutex_lock(&writer->lock);
    for (PngTask *task; (task = next_task(writer));) {
        bool skip = writer->err.kind != ERR_NONE;
        pthread_mutex_unlock(&writer->lock);
        Err err = {0};
        if (!skip) {
            char *path = piece_image_path(writer->output, task->index);
            image_write_png(path, task->rgb, writer->plan.side, writer->plan.side, false, &err);
            free(path);
        }
        pthread_mutex_lock(&writer->lock);
        if (err.kind != ERR_NONE)
            keep_failure(writer, &err);
        task->piece->images_left--;
        free(task);
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static void queue_images(Writer *writer, OpenPiece *piece, const WriterBatch *batch)
{
    size_t bytes = (size_t)writer->plan.side * (size_t)writer->plan.side * 3;
    for (int i = 0; i < batch->count; i++) {
        PngTask *task = xmalloc(sizeof *task);
        *task = (PngTask){NULL, piece, batch->lo + i, (const uint8_t *)batch->arrays[ARRAY_PIXELS] + (size_t)i * bytes};
        if (writer->last_task)
            writer->last_task->next = task;
        else
            writer->task = task;
        writer->last_task = task;
        piece->images_left++;
    }
}

/* --- closing a piece ------------------------------------------------------------------------------- */

static bool flush_path(const char *path, int flags, int64_t *ret_bytes, Err *err)
{
    stall_enter(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    struct stat st = {0};
    bool good = fd >= 0 && fsync(fd) == 0 && fstat(fd, &st) == 0;
    if (!good)
        err_errno(err, "cannot flush %s", path);
    if (fd >= 0)
        close(fd);
    stall_leave();
    *ret_bytes = st.st_size;
    return good || file_not_written(err);
}

static bool flush_images(const Writer *writer, const OpenPiece *piece, cJSON *sizes, Err *err)
{
    int64_t bytes = 0;
    for (int64_t index = piece->lo; index < piece->hi; index++) {
        char *path = piece_image_path(writer->output, index);
        bool good = flush_path(path, 0, &bytes, err);
        free(path);
        if (!good)
            return false;
        cJSON_AddItemToArray(sizes, cJSON_CreateNumber((double)bytes));
    }
    char *folder = xasprintf("%s/images", writer->output);
    bool good = flush_path(folder, O_DIRECTORY, &bytes, err);
    free(folder);
    return good;
}

static bool write_rows(const OpenPiece *piece, PieceArray array, const PieceRow *row, const char *path,
                       uint32_t *ret_crc, Err *err)
{
    int64_t shape[8] = {piece->hi - piece->lo};
    memcpy(shape + 1, row->shape, sizeof row->shape);
    NpyWriter *out = npy_writer_open(path, piece_array_dtype(array), row->ndim + 1, shape, err);
    if (!out)
        return false;
    for (int i = 0; i < piece->batch_count; i++) {
        const WriterBatch *batch = piece->batches[i];
        size_t bytes = (size_t)batch->count * row->bytes;
        *ret_crc = piece_crc32(*ret_crc, batch->arrays[array], bytes);
        if (!npy_writer_add(out, batch->arrays[array], bytes, err)) {
            npy_writer_abort(out);
            return false;
        }
    }
    return npy_writer_finish(out, err);
}

static bool write_array(const Writer *writer, const OpenPiece *piece, PieceArray array, cJSON *entries, Err *err)
{
    char *path = piece_array_path(writer->output, piece->lo, piece->hi, array);
    uint32_t crc = 0;
    struct stat st = {0};
    bool good = write_rows(piece, array, &writer->plan.rows[array], path, &crc, err) &&
                (stat(path, &st) == 0 || err_errno(err, "cannot see %s", path) || file_not_written(err));
    free(path);
    if (good) {
        cJSON *entry = cJSON_AddObjectToObject(entries, piece_array_name(array));
        cJSON_AddNumberToObject(entry, "bytes", (double)st.st_size);
        cJSON_AddNumberToObject(entry, "crc32", crc);
    }
    return good;
}

static bool write_arrays(const Writer *writer, const OpenPiece *piece, cJSON *entries, Err *err)
{
    const PieceNeeds *keeps = &writer->plan.keeps;
    for (int array = 0; array < PIECE_ARRAYS; array++)
        if (keeps->arrays[array] && (array != ARRAY_PIXELS || piece->lo < keeps->pixels_below) &&
            !write_array(writer, piece, (PieceArray)array, entries, err))
            return false;
    return true;
}

static void add_times(const OpenPiece *piece, cJSON *manifest)
{
    double seconds[PHASES] = {0};
    for (int i = 0; i < piece->batch_count; i++)
        for (int phase = 0; phase < PHASES; phase++)
            seconds[phase] += piece->batches[i]->seconds[phase];
    cJSON_AddItemToObject(manifest, "seconds", phases_to_json(seconds));
}

static cJSON *size_json(const WriterBatch *batch)
{
    return cJSON_CreateIntArray((const int[]){batch->height, batch->width}, 2);
}

static bool smaller(const WriterBatch *a, const WriterBatch *b)
{
    int64_t left = (int64_t)a->height * a->width, right = (int64_t)b->height * b->width;
    return left != right ? left < right : a->height < b->height;
}

static void add_sizes(const OpenPiece *piece, cJSON *manifest)
{
    const WriterBatch *least = NULL, *most = NULL;
    for (int i = 0; i < piece->batch_count; i++) {
        const WriterBatch *batch = piece->batches[i];
        if (!batch->height)
            continue;
        least = !least || smaller(batch, least) ? batch : least;
        most = !most || smaller(most, batch) ? batch : most;
    }
    if (!least)
        return;
    cJSON *sizes = cJSON_AddArrayToObject(manifest, "sizes");
    cJSON_AddItemToArray(sizes, size_json(least));
    cJSON_AddItemToArray(sizes, size_json(most));
}

static void add_bad(const OpenPiece *piece, cJSON *manifest)
{
    cJSON *list = NULL;
    for (int i = 0; i < piece->batch_count; i++) {
        const WriterBatch *batch = piece->batches[i];
        if (!batch->bad)
            continue;
        list = list ? list : cJSON_AddArrayToObject(manifest, "bad");
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, "image", (double)batch->lo);
        cJSON_AddStringToObject(one, "why", batch->bad);
        cJSON_AddItemToArray(list, one);
    }
}

static void add_made(const Writer *writer, const OpenPiece *piece, cJSON *manifest)
{
    cJSON *made = cJSON_Duplicate(writer->made, true);
    if (piece->precision) {
        cJSON *meant = cJSON_DetachItemFromObjectCaseSensitive(made, "precision");
        cJSON_AddStringToObject(made, "precision", piece->precision);
        cJSON_AddItemToObject(made, "instead_of", meant);
    }
    cJSON_AddItemToObject(manifest, "made", made);
}

/* All of a piece is written; now make it safe. Runs without the lock: a cut piece belongs to the closing thread. */
static bool close_piece(const Writer *writer, const OpenPiece *piece, Err *err)
{
    cJSON *manifest = cJSON_CreateObject();
    cJSON_AddNumberToObject(manifest, "lo", (double)piece->lo);
    cJSON_AddNumberToObject(manifest, "hi", (double)piece->hi);
    cJSON_AddStringToObject(manifest, "identity", writer->identity);
    add_made(writer, piece, manifest);
    add_times(piece, manifest);
    add_sizes(piece, manifest);
    add_bad(piece, manifest);
    bool good = true;
    if (writer->plan.keeps.png)
        good = flush_images(writer, piece, cJSON_AddArrayToObject(manifest, "png"), err);
    good = good && write_arrays(writer, piece, cJSON_AddObjectToObject(manifest, "arrays"), err);
    if (good) {
        char *path = piece_manifest_path(writer->output, piece->lo, piece->hi),
             *text = cJSON_PrintUnformatted(manifest);
        good = file_write(path, text, strlen(text), err);
        cJSON_free(text);
        free(path);
    }
    cJSON_Delete(manifest);
    return good;
}

static OpenPiece *ripe_piece(Writer *writer)
{
    for (;;) {
        OpenPiece *piece = writer->first;
        if (piece && piece->cut && piece->images_left == 0)
            return piece;
        if (writer->ending)
            return NULL;
        pthread_cond_wait(&writer->changed, &writer->lock);
    }
}

static void *closing_thread(void *ctx)
{
    Writer *writer = ctx;
    pthread_mutex_lock(&writer->lock);
    for (OpenPiece *piece; (piece = ripe_piece(writer));) {
        bool good = writer->err.kind == ERR_NONE;
        pthread_mutex_unlock(&writer->lock);
        Err err = {0};
        if (good)
            good = close_piece(writer, piece, &err);
        pthread_mutex_lock(&writer->lock);
        if (err.kind != ERR_NONE)
            keep_failure(writer, &err);
        if (good) {
            writer->safe = piece->hi;
            writer->any_safe = true;
        }
        writer->first = piece->next;
        if (!writer->first)
            writer->last = NULL;
        writer->pieces--;
        piece_free(piece);
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* --- what the caller does -------------------------------------------------------------------------- */

Writer *writer_open(const WriterPlan *plan, Err *err)
{
    Writer *writer = xcalloc(1, sizeof *writer);
    writer->plan = *plan;
    if (writer->plan.piece_seconds <= 0)
        writer->plan.piece_seconds = PIECE_SECONDS;
    writer->output = xstrdup(plan->output);
    memcpy(writer->identity, plan->keeps.identity, sizeof writer->identity);
    writer->made = cJSON_Duplicate(plan->made, true);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
    int threads = plan->threads < THREADS_MAX ? plan->threads : THREADS_MAX;
    for (int i = 0; plan->keeps.png && i < threads; i++)
        if (pthread_create(&writer->threads[writer->thread_count], NULL, png_thread, writer) == 0)
            writer->thread_count++;
    writer->closer_runs = pthread_create(&writer->closer, NULL, closing_thread, writer) == 0;
    if (!writer->closer_runs || (plan->keeps.png && writer->thread_count == 0)) {
        err_set(err, ERR_MEMORY, "cannot start threads for writing; is the limit of processes reached?");
        writer_close(writer);
        return NULL;
    }
    return writer;
}

static OpenPiece *piece_for(Writer *writer, const WriterBatch *batch)
{
    int64_t lo = batch->lo;
    OpenPiece *piece = writer->last;
    if (piece && !piece->cut && piece->hi == lo && piece->precision == batch->precision)
        return piece;
    if (piece)
        piece->cut = true;
    piece = xcalloc(1, sizeof *piece);
    piece->lo = piece->hi = lo;
    piece->precision = batch->precision;
    piece->born = mono_seconds();
    if (writer->last)
        writer->last->next = piece;
    else
        writer->first = piece;
    writer->last = piece;
    writer->pieces++;
    return piece;
}

static bool reported(const Writer *writer, Err *err)
{
    if (writer->err.kind != ERR_NONE && err)
        *err = writer->err;
    return writer->err.kind == ERR_NONE;
}

bool writer_add(Writer *writer, WriterBatch *batch, Err *err)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->pieces >= PIECES_IN_FLIGHT && writer->last->cut && writer->err.kind == ERR_NONE)
        pthread_cond_wait(&writer->changed, &writer->lock);
    bool good = reported(writer, err);
    if (good) {
        OpenPiece *piece = piece_for(writer, batch);
        piece->batches = xrealloc(piece->batches, (size_t)(piece->batch_count + 1) * sizeof *piece->batches);
        piece->batches[piece->batch_count++] = batch;
        piece->hi += batch->count;
        if (writer->plan.keeps.png)
            queue_images(writer, piece, batch);
        double made = 0;
        for (int phase = 0; phase < PHASES; phase++)
            made += piece->batch_count == 1 ? batch->seconds[phase] : 0;
        piece->born -= made; /* it began when its first batch did */
        if (piece->hi - piece->lo >= PIECE_IMAGES || mono_seconds() - piece->born >= writer->plan.piece_seconds)
            piece->cut = true;
        pthread_cond_broadcast(&writer->changed);
    } else {
        writer_batch_free(batch);
    }
    pthread_mutex_unlock(&writer->lock);
    return good;
}

int64_t writer_safe(Writer *writer, int64_t fallback)
{
    pthread_mutex_lock(&writer->lock);
    int64_t safe = writer->any_safe ? writer->safe : fallback;
    pthread_mutex_unlock(&writer->lock);
    return safe;
}

bool writer_finish(Writer *writer, Err *err)
{
    pthread_mutex_lock(&writer->lock);
    if (writer->last)
        writer->last->cut = true;
    pthread_cond_broadcast(&writer->changed);
    while (writer->first) /* after a failure pieces still leave, unwritten */
        pthread_cond_wait(&writer->changed, &writer->lock);
    bool good = reported(writer, err);
    pthread_mutex_unlock(&writer->lock);
    return good;
}

void writer_close(Writer *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->ending = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    for (int i = 0; i < writer->thread_count; i++) /* the tasks that wait are done first */
        pthread_join(writer->threads[i], NULL);
    if (writer->closer_runs)
        pthread_join(writer->closer, NULL);
    while (writer->first) {
        OpenPiece *piece = writer->first;
        writer->first = piece->next;
        piece_free(piece);
    }
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    cJSON_Delete(writer->made);
    free(writer->output);
    free(writer);
}
