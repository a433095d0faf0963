/* What the files behind checkpoint.h share. Not for others; they include worker/checkpoints/checkpoint.h.
 *
 * checkpoint.c opens the file, recognises its container and hands it to one of the loaders below; a loader adds tensors
 * with ckpt_add and says what went wrong without naming the file (checkpoint.c puts the name in front). To add a
 * container: one loader, one row in checkpoint.c's table. */
#ifndef WORKER_CHECKPOINTS_PARTS_H
#define WORKER_CHECKPOINTS_PARTS_H

#include <stdatomic.h>

#include "core/mem.h"
#include "worker/checkpoints/checkpoint.h"
#include "worker/checkpoints/pickle.h"
#include "worker/files/arena.h"
#include "worker/files/map.h"
#include "worker/files/zip.h"

enum { CKPT_NAME_MAX = 200 }; /* bytes of a tensor's name */

typedef struct CkptEntry {
    CkptTensor tensor;       /* first, so that a CkptTensor of ours is its entry */
    const ZipMember *member; /* where its bytes lie, to compare the checksum before the first read; NULL if nowhere */
    const char *damage;      /* not NULL: its numbers are not in the file as it says; the part that has it is refused */
    bool nested;             /* it lay in a dict inside the top one */
    bool listed;             /* it lay in a list, so its name is a number that says nothing */
} CkptEntry;

/* A value beside the tensors that is none: kept for messages only. */
typedef struct CkptOther {
    const char *name, *text;
    bool call;
} CkptOther;

struct Ckpt {
    char *path;
    const uint8_t *data;
    size_t size;
    FileMap map; /* empty when the bytes are the caller's */
    Arena arena;
    Zip *zip;             /* NULL for other containers */
    atomic_bool *checked; /* per zip member: its checksum was compared */
    const char *root, *rivals;
    CkptEntry *entries; /* while it is loaded those of the whole file, with full names; then those of the part */
    int count, cap;
    int *sorted;       /* indices of entries, by name */
    atomic_bool *used; /* per entry: it was read */
    CkptOther others[256];
    int other_count;
    size_t decoded; /* bytes of text turned into arrays so far */
};

/* --- tensors.c --- */

/* Where a tensor was found. */
typedef struct CkptPlace {
    const char *name; /* the keys on the way to it and its own, with dots between: ckpt_name_add */
    size_t len;
    bool nested, listed; /* as in CkptEntry */
} CkptPlace;

/* Adds a tensor. The name is copied; one that is empty, very long or has control characters is damage. view->why and
 * damage are copied too. False when there are too many. */
bool ckpt_add(Ckpt *ckpt, const CkptPlace *place, const CkptTensor *view, const ZipMember *member, const char *damage,
              Err *err);
/* The axes of a tensor from tuples of sizes and strides (NULL: C order). Sizes below 0 or more than 8 axes are errors.
 */
bool ckpt_axes(CkptTensor *view, const PickleValue *sizes, const PickleValue *strides, Err *err);
/* The number of elements, and one past the largest index that the strides reach; false if beyond 64 bits. */
bool ckpt_extent(const CkptTensor *view, int64_t *ret_count, int64_t *ret_reach);

/* --- part.c --- */

/* Adds a key to a name, with a dot before it where there is something, without the words of wrappers. */
void ckpt_name_add(Buf *name, const char *key, size_t len);
/* From all tensors of the file to those of one part. wanted: as ckpt_open_part. */
bool ckpt_choose_part(Ckpt *ckpt, const char *wanted, Err *err);

/* --- checkpoint.c --- */

/* The sentence about a name that is not there, with the nearest ones that are. Returns false. */
bool ckpt_missing(const Ckpt *ckpt, const char *name, Err *err);

/* Loaders: the whole file in, all of its tensors added. */
bool ckpt_zip_load(Ckpt *ckpt, Err *err);
bool ckpt_legacy_load(Ckpt *ckpt, Err *err); /* and plain pickles */
bool ckpt_safetensors_load(Ckpt *ckpt, Err *err);

/* --- the object of a torch.save: dicts of tensors and arrays (torch.c, rebuild.c) --- */
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

/* Whether a value is a call that stands for a tensor or an array, and if so which (rebuild.c). False: something else.
 */
bool ckpt_is_tensor(const PickleValue *value);
/* Its view. One that is of an unknown type, or made by a call with an argument that is not honoured, has view->why.
 * False: it does not fit its storage. */
bool ckpt_tensor_view(Ckpt *ckpt, const PickleValue *value, const CkptStorages *storages, CkptTensor *ret_view,
                      const ZipMember **ret_member, Err *err);

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
    const CkptType *type;             /* NULL: a class that is not known, */
    const PickleValue *storage_class; /* namely this one */
    const PickleValue *key;
    int64_t count;                   /* elements of the whole storage */
    int64_t view_offset, view_count; /* 0 and count without a view */
} CkptPersistent;
bool ckpt_persistent(const PickleValue *value, CkptPersistent *ret_id);

/* --- numpy arrays inside a pickle (numpy.c) --- */
bool ckpt_numpy_is_array(const PickleValue *value);
bool ckpt_numpy_view(Ckpt *ckpt, const PickleValue *value, CkptTensor *ret_view, Err *err); /* as ckpt_tensor_view */
/* Sets view->why to that sentence, and returns true. */
bool ckpt_unreadable(Ckpt *ckpt, CkptTensor *view, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
