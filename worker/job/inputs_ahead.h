/* Inputs made ahead: a thread fills the next batch's while this one is sampled, so the device does not wait for noise.
 *
 *     InputsAhead *ahead = inputs_ahead_open(&inputs, most, draws, err);
 *     const InputsBatch *batch = inputs_ahead_take(ahead, lo, count, lo + count, next, err);     batch after batch
 *     inputs_ahead_close(ahead); */
#ifndef WORKER_JOB_INPUTS_AHEAD_H
#define WORKER_JOB_INPUTS_AHEAD_H

#include "worker/job/inputs.h"

typedef struct InputsBatch {
    int64_t lo;
    int count; /* B */
    Condition condition;
    float *noise;   /* [B,L,C] */
    float *uniform; /* [B,L]; NULL: not wanted */
} InputsBatch;

typedef struct InputsAhead InputsAhead;

/* For batches of up to `most` images. inputs (fitted) must live as long. NULL with ERR_MEMORY. */
InputsAhead *inputs_ahead_open(const Inputs *inputs, int most, bool uniform, Err *err);
void inputs_ahead_close(InputsAhead *ahead); /* NULL is fine */

/* The inputs of images lo..lo+count-1, valid until the next call; starts to prepare those of next_lo.. (next_count 0:
 * none). */
const InputsBatch *inputs_ahead_take(InputsAhead *ahead, int64_t lo, int count, int64_t next_lo, int next_count,
                                     Err *err);

#endif
