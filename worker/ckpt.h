/* Checkpoints as people have them: torch.save zip and legacy files, safetensors. The file is memory-mapped and nothing
 * in it is executed: the pickle is read by a restricted machine that builds inert data (worker/pickle.h).
 *
 *     Ckpt *ckpt = ckpt_open("llamagen-L.pt", err);
 *     ckpt_read(ckpt, "norm.weight", 1, (int64_t[]){1024}, dst, err);
 *
 * Weights are looked for under ema, model, module, state_dict, then at the top level. Only the exact name, a
 * floating dtype and the exact shape are accepted; an error names file, tensor, found and wanted. */
#ifndef WORKER_CKPT_H
#define WORKER_CKPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "kernels/tensor.h"

typedef struct Ckpt Ckpt;

typedef struct CkptTensor { /* a view into the mapped file */
    const char *name;
    Dtype dtype;
    int ndim;
    int64_t shape[8], stride[8]; /* in elements */
    const void *data;            /* first element; every element was checked to lie inside its storage */
} CkptTensor;

Ckpt *ckpt_open(const char *path, Err *err);
void ckpt_close(Ckpt *ckpt); /* NULL is fine */

const char *ckpt_path(const Ckpt *ckpt);
const char *ckpt_root(const Ckpt *ckpt); /* "ema", "model", ... or "" for the top level */
int ckpt_count(const Ckpt *ckpt);
const CkptTensor *ckpt_at(const Ckpt *ckpt, int i);
const CkptTensor *ckpt_find(const Ckpt *ckpt, const char *name); /* NULL if there is none */

/* The shape of a tensor whose size is read off the file; a missing one is an error with the nearest names.
 * A shape entry of -1 in `want` accepts any size and is filled in. */
bool ckpt_shape(const Ckpt *ckpt, const char *name, int ndim, int64_t *want_and_ret_shape, Err *err);

/* Copies a tensor to dst as float32 (double where asked), whatever its dtype and strides. NaN or infinity is an
 * error that names the first bad element. */
bool ckpt_read(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, float *dst, Err *err);
bool ckpt_read_f64(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, double *dst, Err *err);

#endif
