/* Weights: where a model's numbers come from. Three functions (does it exist, its shape, read it as f32) with a
 * checkpoint or a generator behind them.
 *
 * The loaders below hold one tensor in host memory at a time: read, fold, hand to the backend, drop. */
#ifndef WORKER_WEIGHTS_WEIGHTS_H
#define WORKER_WEIGHTS_WEIGHTS_H

#include "kernels/backend.h"
#include "worker/checkpoints/checkpoint.h"

typedef struct Weights {
    const char *path; /* for messages */
    const void *ctx;
    bool (*has)(const void *ctx, const char *name);
    /* as ckpt_shape and ckpt_read */
    bool (*shape)(const void *ctx, const char *name, int ndim, int64_t *want_and_ret_shape, Err *err);
    bool (*read)(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst, Err *err);
    const char *(*name)(const void *ctx, int i); /* the i-th of its names, NULL past the last; or NULL: not listed */
} Weights;

Weights weights_of_ckpt(const Ckpt *ckpt); /* valid while ckpt is open */

bool weights_has(const Weights *weights, const char *name);
/* False when there is a name PREFIX.N.* with N >= count: layers.3.wo.weight, but nothing of layers.1. */
bool weights_no_gap(const Weights *weights, const char *role, const char *prefix, int count, Err *err);
bool weights_shape(const Weights *weights, const char *name, int ndim, int64_t *want_and_ret_shape, Err *err);

/* Host memory for `count` floats, or an error with the size; free() it. */
float *weights_room(const Weights *weights, int64_t count, Err *err);
/* A whole tensor in host memory; free() it. Unused axes 0. NULL on failure. */
float *weights_take(const Weights *weights, const char *name, int64_t a, int64_t b, int64_t c, int64_t d, Err *err);
/* Into memory the caller has. */
bool weights_read(const Weights *weights, const char *name, float *dst, int64_t a, int64_t b, int64_t c, int64_t d,
                  Err *err);

/* Host numbers into backend memory of their own (be_free(be, t.data)). */
bool weights_place(Backend *be, const float *host, int64_t a, int64_t b, Tensor *ret_tensor, Err *err);
/* A vector [n] or matrix [a,b] as it is in the file, in backend memory. */
bool weights_tensor(const Weights *weights, Backend *be, const char *name, int64_t a, int64_t b, Tensor *ret_tensor,
                    Err *err);

#endif
