/* Checkpoints as people have them: torch.save zip and legacy files, plain pickles of numpy arrays, safetensors. The
 * file is memory-mapped and nothing in it is executed: the pickle is read by a restricted machine that builds inert
 * data (worker/checkpoints/pickle.h).
 *
 *     Ckpt *ckpt = ckpt_open("llamagen-L.pt", err);
 *     ckpt_read(ckpt, "norm.weight", 1, (int64_t[]){1024}, dst, err);
 *
 * Weights are looked for under ema, model, module, state_dict, one inside another, then at the top level; a file with
 * neither gives what is one level down as "group.name". "module." and "_orig_mod." (DataParallel, torch.compile) in
 * front of every name are dropped. Numpy arrays inside the pickle are tensors like any other.
 * Only the exact name, a floating dtype and the exact shape are accepted; an error names file, tensor, found and
 * wanted. */
#ifndef WORKER_CHECKPOINTS_CHECKPOINT_H
#define WORKER_CHECKPOINTS_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "kernels/tensor.h"

typedef struct Ckpt Ckpt;

typedef struct CkptTensor { /* a view into the mapped file, or into memory of the Ckpt */
    const char *name;
    Dtype dtype;      /* DTYPES: a type that is listed but not read (int16, complex64, float8, ...) */
    const char *type; /* the name in the file: "float32", "bfloat16", "F32", "f8" */
    int ndim;
    int64_t shape[8], stride[8]; /* in elements; a numpy array in Fortran order has its first axis fastest */
    const void *data; /* first element, perhaps unaligned; every element was checked to lie inside its storage */
} CkptTensor;

Ckpt *ckpt_open(const char *path, Err *err);
/* The same for bytes in memory, which must outlive the Ckpt; path is for the messages. */
Ckpt *ckpt_open_memory(const void *data, size_t size, const char *path, Err *err);
void ckpt_close(Ckpt *ckpt); /* NULL is fine */

const char *ckpt_path(const Ckpt *ckpt);
const char *ckpt_root(const Ckpt *ckpt); /* "ema", "model", "state_dict.model", ... or "" for the top level */
int ckpt_count(const Ckpt *ckpt);
const CkptTensor *ckpt_at(const Ckpt *ckpt, int i);                       /* in the order of the file */
const CkptTensor *ckpt_find(const Ckpt *ckpt, const char *name);          /* NULL if there is none */
const CkptTensor *ckpt_find_prefix(const Ckpt *ckpt, const char *prefix); /* any whose name begins so: "AuxLogits." */

/* The shape of a tensor (of any type) whose size is read off the file; a missing one is an error with the nearest
 * names. A shape entry of -1 in `want` accepts any size and is filled in. */
bool ckpt_shape(const Ckpt *ckpt, const char *name, int ndim, int64_t *want_and_ret_shape, Err *err);

/* Copies a tensor to dst as float32 (double where asked), whatever its dtype and strides. NaN or infinity is an
 * error that names the first bad element. */
bool ckpt_read(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, float *dst, Err *err);
bool ckpt_read_f64(const Ckpt *ckpt, const char *name, int ndim, const int64_t *shape, double *dst, Err *err);

#endif
