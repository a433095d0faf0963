/* The values that a pickle leaves (pickle.h), and questions about them. */
#ifndef WORKER_CHECKPOINTS_PICKLE_VALUE_H
#define WORKER_CHECKPOINTS_PICKLE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

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

bool pickle_is_text(const PickleValue *value, const char *text);
bool pickle_is_global(const PickleValue *value, const char *module, const char *name);
bool pickle_is_int(const PickleValue *value, int64_t *ret_integer); /* also True and False */
/* The value under a text key of a dict, or of an object that was filled like one. The last of equal keys. NULL if none.
 */
const PickleValue *pickle_get(const PickleValue *value, const char *key);

/* "numpy.ndarray" of a global or of what an object calls, cut to size; "?" for others. */
void pickle_print_global(const PickleValue *value, char *ret_text, size_t size);

#endif
