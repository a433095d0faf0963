/* Python pickles, protocols 1 to 5, read into inert values. Nothing is imported, called or constructed: a global is two
 * names, a call (REDUCE, NEWOBJ) is an object value that stores the callee and its arguments. The reader of the value
 * recognises the few that are supported (torch tensors, numpy arrays).
 *
 *     Pickle p;
 *     pickle_read(&arena, data, size, &p, err);         values live in the arena and point into data
 *     const PickleValue *m = pickle_get(p.root, "model");
 *
 * The only calls that have an effect are those that make a dict: collections.OrderedDict and defaultdict. Values may
 * contain themselves; code that walks them bounds the depth. */
#ifndef WORKER_CHECKPOINTS_PICKLE_H
#define WORKER_CHECKPOINTS_PICKLE_H

#include "worker/checkpoints/pickle_value.h"
#include "worker/files/arena.h"

typedef struct Pickle {
    const PickleValue *root;
    size_t used;                    /* bytes up to and with the final STOP */
    const PickleValue **persistent; /* every persistent id met, in order */
    uint32_t persistent_count;
} Pickle;

bool pickle_read(Arena *arena, const uint8_t *data, size_t size, Pickle *ret_pickle, Err *err);

#endif
