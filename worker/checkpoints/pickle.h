/* Python pickles, protocols 1 to 5, read into inert values. Nothing is imported, called or constructed: a global is two
 * names, a call (REDUCE, NEWOBJ) is an object value that remembers what would have been called with what, and it stays
 * with the reader of the value to recognise the few it knows (torch tensors, numpy arrays).
 *
 *     Pickle p;
 *     pickle_read(&arena, data, size, &p, err);         values live in the arena and point into data
 *     const PickleValue *m = pickle_get(p.root, "model");
 *
 * The only calls that have an effect are the makers of a dict: collections.OrderedDict and defaultdict.
 * Values may contain themselves; whoever walks them bounds the depth. */
#ifndef WORKER_CHECKPOINTS_PICKLE_H
#define WORKER_CHECKPOINTS_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "worker/files/arena.h"

typedef enum PickleKind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_LONG, /* beyond 64 bits: text is its two's complement bytes, little-endian */
    PICKLE_FLOAT,
    PICKLE_TEXT, /* UTF-8, not checked */
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST, /* and sets */
    PICKLE_DICT,
    PICKLE_GLOBAL,     /* text: module, name: the rest */
    PICKLE_PERSISTENT, /* args: the id */
    PICKLE_OBJECT      /* call(*args), then state; items if it was filled like a dict */
} PickleKind;

typedef struct PickleValue {
    PickleKind kind;
    union {
        int64_t integer;
        double real;
        struct {
            const char *text, *name; /* not NUL-terminated */
            uint32_t len, name_len;
        };
        struct {
            const struct PickleValue *call, *args, *state;
        };
    };
    const struct PickleValue **items; /* TUPLE, LIST; DICT and OBJECT: key, value, key, value, ... */
    uint32_t count, cap;
} PickleValue;

typedef struct Pickle {
    const PickleValue *root;
    size_t used;                    /* bytes up to and with the final STOP */
    const PickleValue **persistent; /* every persistent id met, in order */
    uint32_t persistent_count;
} Pickle;

bool pickle_read(Arena *arena, const uint8_t *data, size_t size, Pickle *ret_pickle, Err *err);

bool pickle_is_text(const PickleValue *value, const char *text);
bool pickle_is_global(const PickleValue *value, const char *module, const char *name);
bool pickle_is_int(const PickleValue *value, int64_t *ret_integer); /* also True and False */
/* The value under a text key of a dict, or of an object that was filled like one. The last of equal keys. NULL if none.
 */
const PickleValue *pickle_get(const PickleValue *value, const char *key);

/* "numpy.ndarray" of a global or of what an object calls, cut to size; "?" for others. */
void pickle_print_global(const PickleValue *value, char *ret_text, size_t size);

#endif
