/* Threads and order of writing.
 *
 *   main thread     writer_add: batch -> the open piece; its images -> the queue of PNG tasks
 *   png threads     encode and write one image each (unflushed), count down the piece
 *   closing thread  takes pieces in order; when a piece is cut and its images are written: flush the images, write the
 *                   arrays, write the manifest, move `safe` on
 *
 * One lock guards everything; `changed` is signalled at every change, which is a few times a batch. A flushed image
 * needs no flush of its own folder entry until the manifest, so the folder is flushed once a piece. */
#include "worker/job/writer.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/images/images.h"
#include "worker/job/writer_parts.h"

enum { PIECES_IN_FLIGHT = 3 };

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

/* --- closing pieces -------------------------------------------------------------------------------- */

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
            good = writer_piece_close(writer, piece, &err);
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
    int threads = plan->threads < WRITER_THREADS_MAX ? plan->threads : WRITER_THREADS_MAX;
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
        for (int stage = 0; stage < STAGES; stage++)
            made += piece->batch_count == 1 ? batch->seconds[stage] : 0;
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
