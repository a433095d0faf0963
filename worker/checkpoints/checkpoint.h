/* Checkpoints as people have them: torch.save zip and legacy files, plain pickles of numpy arrays, safetensors. The
 * file is memory-mapped and nothing in it is executed: the pickle is read by a restricted machine that builds inert
 * data (worker/checkpoints/pickle.h).
 *
 *     Ckpt *ckpt = ckpt_open("llamagen-L.pt", err);
 *     ckpt_read(ckpt, "norm.weight", 1, (int64_t[]){1024}, dst, err);
 *
 * The weights are one part of the file: the dict under ema, model, state_dict and the like (part.c has the words and
 * their order), one inside another, else the top level; or the part that the caller names. Words that wrappers put
 * into names (module, _orig_mod, _fsdp_wrapped_module, ...) are left out wherever they stand. Dicts inside the part
 * give names with dots. Numpy arrays inside the pickle are tensors like any other. Only the exact name, a floating
 * dtype and the exact shape are accepted; an error names file, tensor, found and wanted. A tensor that is of an unknown
 * type, or that was made in a way that is not honoured, is listed, and reading it is an error; so a file with such a
 * tensor beside good weights can be used. */
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
    const char *why;  /* not NULL: it cannot be read, and nothing above but its name is known; the reason */
} CkptTensor;

Ckpt *ckpt_open(const char *path, Err *err);
/* The same with the part that is named: "model", "state_dict.ema", or "." for the top level; the parts inside it are
 * looked at as without a name. A part that is not there is an error that lists those that are. NULL: as ckpt_open. */
Ckpt *ckpt_open_part(const char *path, const char *part, Err *err);
/* The same for bytes in memory, which must outlive the Ckpt; path is for the messages. */
Ckpt *ckpt_open_memory(const void *data, size_t size, const char *path, Err *err);
void ckpt_close(Ckpt *ckpt); /* NULL is fine */

const char *ckpt_path(const Ckpt *ckpt);
const char *ckpt_root(const Ckpt *ckpt); /* the part: "ema", "state_dict.model", ... or "" for the top level */
/* Other parts with as many tensors or more, which may be meant instead: "model (37 tensors),
 * ema.shadow_params (37 tensors without names)". NULL when there is none. */
const char *ckpt_rivals(const Ckpt *ckpt);
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

/* Names that a reader leaves alone, as a pattern of fnmatch(3), and why it may. */
typedef struct CkptUnneeded {
    const char *pattern, *why;
} CkptUnneeded;

/* True when every tensor of the part was read or has one of the names of `table`; counts [rows] of those are added up
 * by row. Else an error that names the tensors that were not read. */
bool ckpt_all_read(const Ckpt *ckpt, const CkptUnneeded *table, size_t rows, int *ret_counts, Err *err);

#endif
