/* Threads and order of writing.
 *
 *   main thread     writer_add: batch -> the open shard; its images -> the queue of PNG tasks
 *   png threads     encode and write one image each (unflushed), count down the shard
 *   closing thread  takes shards in order; when a shard is cut and its images are written: flush the images, write the
 *                   arrays, write the manifest, move `safe` on
 *
 * One lock guards everything; `changed` is signalled at every change, which is a few times a batch. A flushed image
 * needs no flush of its own folder entry until the manifest, so the folder is flushed once a shard. */
#include "worker/job/writer.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "worker/images/images.h"
#include "worker/job/writer_parts.h"

enum { SHARDS_IN_FLIGHT = 3 };

void writer_batch_free(WriterBatch *batch)
{
    for (int i = 0; batch && i < SHARD_ARRAYS; i++)
        free(batch->arrays[i]);
    if (batch)
        free(batch->bad);
    free(batch);
}

static void shard_free(OpenShard *shard)
{
    for (int i = 0; i < shard->batch_count; i++)
        writer_batch_free(shard->batches[i]);
    free(shard->batches);
    free(shard);
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
            char *path = shard_image_path(writer->output, task->index);
            image_write_png(path, task->rgb, writer->plan.side, writer->plan.side, false, &err);
            free(path);
        }
        pthread_mutex_lock(&writer->lock);
        if (err.kind != ERR_NONE)
            keep_failure(writer, &err);
        task->shard->images_left--;
        free(task);
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static void queue_images(Writer *writer, OpenShard *shard, const WriterBatch *batch)
{
    size_t bytes = (size_t)writer->plan.side * (size_t)writer->plan.side * 3;
    for (int i = 0; i < batch->count; i++) {
        PngTask *task = xmalloc(sizeof *task);
        *task = (PngTask){NULL, shard, batch->lo + i, (const uint8_t *)batch->arrays[ARRAY_PIXELS] + (size_t)i * bytes};
        if (writer->last_task)
            writer->last_task->next = task;
        else
            writer->task = task;
        writer->last_task = task;
        shard->images_left++;
    }
}

/* --- closing shards -------------------------------------------------------------------------------- */

static OpenShard *ripe_shard(Writer *writer)
{
    for (;;) {
        OpenShard *shard = writer->first;
        if (shard && shard->cut && shard->images_left == 0)
            return shard;
        if (writer->ending)
            return NULL;
        pthread_cond_wait(&writer->changed, &writer->lock);
    }
}

static void *closing_thread(void *ctx)
{
    Writer *writer = ctx;
    pthread_mutex_lock(&writer->lock);
    for (OpenShard *shard; (shard = ripe_shard(writer));) {
        bool good = writer->err.kind == ERR_NONE;
        pthread_mutex_unlock(&writer->lock);
        Err err = {0};
        if (good)
            good = writer_shard_close(writer, shard, &err);
        pthread_mutex_lock(&writer->lock);
        if (err.kind != ERR_NONE)
            keep_failure(writer, &err);
        if (good) {
            writer->safe = shard->hi;
            writer->any_safe = true;
        }
        writer->first = shard->next;
        if (!writer->first)
            writer->last = NULL;
        writer->shards--;
        shard_free(shard);
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
    if (writer->plan.shard_seconds <= 0)
        writer->plan.shard_seconds = SHARD_SECONDS;
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

static OpenShard *shard_for(Writer *writer, const WriterBatch *batch)
{
    int64_t lo = batch->lo;
    OpenShard *shard = writer->last;
    if (shard && !shard->cut && shard->hi == lo && shard->precision == batch->precision)
        return shard;
    if (shard)
        shard->cut = true;
    shard = xcalloc(1, sizeof *shard);
    shard->lo = shard->hi = lo;
    shard->precision = batch->precision;
    shard->born = mono_seconds();
    if (writer->last)
        writer->last->next = shard;
    else
        writer->first = shard;
    writer->last = shard;
    writer->shards++;
    return shard;
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
    while (writer->shards >= SHARDS_IN_FLIGHT && writer->last->cut && writer->err.kind == ERR_NONE)
        pthread_cond_wait(&writer->changed, &writer->lock);
    bool good = reported(writer, err);
    if (good) {
        OpenShard *shard = shard_for(writer, batch);
        shard->batches = xrealloc(shard->batches, (size_t)(shard->batch_count + 1) * sizeof *shard->batches);
        shard->batches[shard->batch_count++] = batch;
        shard->hi += batch->count;
        if (writer->plan.keeps.png)
            queue_images(writer, shard, batch);
        double made = 0;
        for (int stage = 0; stage < STAGES; stage++)
            made += shard->batch_count == 1 ? batch->seconds[stage] : 0;
        shard->born -= made; /* it began when its first batch did */
        if (shard->hi - shard->lo >= SHARD_IMAGES || mono_seconds() - shard->born >= writer->plan.shard_seconds)
            shard->cut = true;
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
    while (writer->first) /* after a failure, shards are dropped unwritten */
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
    for (int i = 0; i < writer->thread_count; i++) /* waiting tasks are done first */
        pthread_join(writer->threads[i], NULL);
    if (writer->closer_runs)
        pthread_join(writer->closer, NULL);
    while (writer->first) {
        OpenShard *shard = writer->first;
        writer->first = shard->next;
        shard_free(shard);
    }
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    cJSON_Delete(writer->made);
    free(writer->output);
    free(writer);
}
