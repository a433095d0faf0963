/* What the files behind checkpoint.h share. Not for others; they include worker/checkpoints/checkpoint.h.
 *
 * checkpoint.c opens the file, recognises its container and hands it to one of the loaders below; a loader adds tensors
 * with ckpt_add and says what went wrong without naming the file (checkpoint.c puts the name in front). To add a
 * container: one loader, one row in checkpoint.c's table. */
#ifndef WORKER_CHECKPOINTS_PARTS_H
#define WORKER_CHECKPOINTS_PARTS_H

#include <stdatomic.h>

#include "worker/checkpoints/checkpoint.h"
#include "worker/checkpoints/pickle.h"
#include "worker/files/arena.h"
#include "worker/files/map.h"
#include "worker/files/zip.h"

enum { CKPT_NAME_MAX = 200 }; /* bytes of a tensor's name */

typedef struct CkptEntry {
    CkptTensor tensor;       /* first, so that a CkptTensor of ours is its entry */
    const ZipMember *member; /* where its bytes lie, to compare the checksum before the first read; NULL if nowhere */
} CkptEntry;

/* A value beside the tensors that is none: kept for messages only. */
typedef struct CkptOther {
    const char *name, *text;
} CkptOther;

struct Ckpt {
    char *path;
    const uint8_t *data;
    size_t size;
    FileMap map; /* empty when the bytes are the caller's */
    Arena arena;
    Zip *zip;             /* NULL for other containers */
    atomic_bool *checked; /* per zip member: its checksum was compared */
    const char *root;
    CkptEntry *entries;
    int count, cap;
    int *sorted; /* indices of entries, by name */
    CkptOther others[32];
    int other_count;
    size_t decoded; /* bytes of text turned into arrays so far */
};

/* --- tensors.c --- */

/* Adds a tensor. The name is copied. A name that is empty, very long or has control characters is an error. */
bool ckpt_add(Ckpt *ckpt, const char *name, size_t len, const CkptTensor *view, const ZipMember *member, Err *err);
/* The axes of a tensor from tuples of sizes and strides (NULL: C order). Sizes below 0 or more than 8 axes are errors.
 */
bool ckpt_axes(CkptTensor *view, const PickleValue *sizes, const PickleValue *strides, Err *err);
/* The number of elements, and one past the largest index that the strides reach; false if beyond 64 bits. */
bool ckpt_extent(const CkptTensor *view, int64_t *ret_count, int64_t *ret_reach);

/* --- checkpoint.c --- */

/* The sentence about a name that is not there, with the nearest ones that are. Returns false. */
bool ckpt_missing(const Ckpt *ckpt, const char *name, Err *err);

/* Loaders: the whole file in, tensors added and ckpt->root set. */
bool ckpt_zip_load(Ckpt *ckpt, Err *err);
bool ckpt_legacy_load(Ckpt *ckpt, Err *err); /* and plain pickles */
bool ckpt_safetensors_load(Ckpt *ckpt, Err *err);

/* --- the object of a torch.save: dicts of tensors and arrays (torch.c) --- */
typedef struct CkptStorage {
    const uint8_t *data;
    uint64_t bytes;
    const ZipMember *member;
} CkptStorage;

typedef struct CkptStorages { /* how a container finds the storage of a key */
    void *ctx;
    bool (*find)(void *ctx, const PickleValue *key, CkptStorage *ret_storage, Err *err);
} CkptStorages;

bool ckpt_torch_collect(Ckpt *ckpt, const PickleValue *root, const CkptStorages *storages, Err *err);

/* Number types by any of their names: a storage class ("FloatStorage"), torch's ("float32"), numpy's ("f4"),
 * safetensors' ("F32"). NULL for a name that is not known. */
typedef struct CkptType {
    const char *storage, *torch, *numpy, *safetensors;
    Dtype dtype; /* DTYPES: known, but not read */
    int size;
} CkptType;
const CkptType *ckpt_type(const char *name, size_t len);

/* ("storage", class, key, location, count, view) of a persistent id; false if it is something else. Old files may have
 * a view, (key of the view, offset, count): the tensor then sees that part of the storage alone. */
typedef struct CkptPersistent {
    const CkptType *type;
    const PickleValue *key;
    int64_t count;                   /* elements of the whole storage */
    int64_t view_offset, view_count; /* 0 and count without a view */
} CkptPersistent;
bool ckpt_persistent(const PickleValue *value, CkptPersistent *ret_id);

/* --- numpy arrays inside a pickle (numpy.c) --- */
bool ckpt_numpy_is_array(const PickleValue *value);
bool ckpt_numpy_view(Ckpt *ckpt, const PickleValue *value, CkptTensor *ret_view, Err *err);

#endif
