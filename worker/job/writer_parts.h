/* What writer.c (threads, order of writing) and writer_shard.c (one shard to disk) share; no other file includes it. */
#ifndef WORKER_JOB_WRITER_PARTS_H
#define WORKER_JOB_WRITER_PARTS_H

#include <pthread.h>

#include "worker/job/writer.h"

enum { WRITER_THREADS_MAX = 16 };

typedef struct OpenShard OpenShard;
struct OpenShard {
    OpenShard *next;
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
    OpenShard *shard;
    int64_t index;
    const uint8_t *rgb;
};

struct Writer {
    WriterPlan plan;
    char *output, identity[65];
    cJSON *made;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[WRITER_THREADS_MAX], closer;
    int thread_count;
    bool closer_runs, ending;
    OpenShard *first, *last; /* oldest to newest; the newest may still be open */
    int shards;
    PngTask *task, *last_task;
    bool any_safe;
    int64_t safe;
    Err err; /* the first failure */
};

/* Flushes a shard's images and writes its arrays and manifest. Runs without the lock: a cut shard belongs to the
 * closing thread. */
bool writer_shard_close(const Writer *writer, const OpenShard *shard, Err *err);

#endif
