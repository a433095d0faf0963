/* Two buffers in turn, one thread per batch: starting one takes microseconds, a batch milliseconds. */
#include "worker/job/inputs_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"

typedef struct Buffer {
    InputsBatch batch;
    int32_t *labels; /* [B] of the batch's condition */
    bool good;       /* filled without a failure */
    Err err;
} Buffer;

struct InputsAhead {
    const Inputs *inputs;
    Buffer buffers[2];
    int current; /* the buffer that the caller uses */
    pthread_t thread;
    bool running; /* the thread fills the other one */
};

static void fill(const Inputs *inputs, Buffer *buffer)
{
    InputsBatch *batch = &buffer->batch;
    err_clear(&buffer->err);
    buffer->good =
        inputs_fill(inputs, batch->lo, batch->count, buffer->labels, batch->noise, batch->uniform, &buffer->err);
}

static void *fill_thread(void *ctx)
{
    InputsAhead *ahead = ctx;
    fill(ahead->inputs, &ahead->buffers[1 - ahead->current]);
    return NULL;
}

static void join(InputsAhead *ahead)
{
    if (ahead->running)
        pthread_join(ahead->thread, NULL);
    ahead->running = false;
}

InputsAhead *inputs_ahead_open(const Inputs *inputs, int most, bool uniform, Err *err)
{
    InputsAhead *ahead = xcalloc(1, sizeof *ahead);
    const size_t b = (size_t)most, tokens = b * (size_t)inputs->info.tokens;
    const size_t numbers = tokens * (size_t)inputs->info.channels;
    bool good = true;
    ahead->inputs = inputs;
    for (int i = 0; i < 2; i++) {
        InputsBatch *batch = &ahead->buffers[i].batch;
        int32_t *labels = malloc(b * sizeof *labels);
        ahead->buffers[i].labels = labels;
        batch->condition = (Condition){.kind = CONDITION_LABELS, .labels = labels};
        batch->noise = malloc(numbers * sizeof *batch->noise);
        batch->uniform = uniform ? malloc(tokens * sizeof *batch->uniform) : NULL;
        good = good && labels && batch->noise && (batch->uniform || !uniform);
    }
    if (good)
        return ahead;
    inputs_ahead_close(ahead);
    err_set(err, ERR_MEMORY, "no %zu MiB for the noise of two batches", 2 * numbers * sizeof(float) >> 20);
    return NULL;
}

void inputs_ahead_close(InputsAhead *ahead)
{
    if (!ahead)
        return;
    join(ahead);
    for (int i = 0; i < 2; i++) {
        free(ahead->buffers[i].labels);
        free(ahead->buffers[i].batch.noise);
        free(ahead->buffers[i].batch.uniform);
    }
    free(ahead);
}

static void begin(InputsAhead *ahead, int64_t lo, int count)
{
    Buffer *other = &ahead->buffers[1 - ahead->current];
    other->batch.lo = lo;
    other->batch.count = count;
    if (count > 0)
        ahead->running = pthread_create(&ahead->thread, NULL, fill_thread, ahead) == 0;
}

const InputsBatch *inputs_ahead_take(InputsAhead *ahead, int64_t lo, int count, int64_t next_lo, int next_count,
                                     Err *err)
{
    Buffer *other = &ahead->buffers[1 - ahead->current];
    bool ready = ahead->running && other->batch.lo == lo && other->batch.count == count;
    join(ahead);
    ahead->current = 1 - ahead->current;
    if (!ready) { /* the first batch, or not the one that was prepared */
        other->batch.lo = lo;
        other->batch.count = count;
        fill(ahead->inputs, other);
    }
    if (!other->good) {
        if (err)
            *err = other->err;
        return NULL;
    }
    begin(ahead, next_lo, next_count);
    return &other->batch;
}
