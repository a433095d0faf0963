/* What pickle.c and pickle_ops.c share: the machine that a pickle runs on. Not for others; they include
 * worker/checkpoints/pickle.h. */
#ifndef WORKER_CHECKPOINTS_PICKLE_MACHINE_H
#define WORKER_CHECKPOINTS_PICKLE_MACHINE_H

#include "worker/checkpoints/pickle_value.h"
#include "worker/files/arena.h"

/* The most values, items in containers, stack slots, marks and memo slots, each; a real checkpoint has some ten
 * thousand. */
enum { MACHINE_LIMIT = 1 << 20 };

typedef struct Machine {
    Arena *arena;
    const uint8_t *begin, *at, *end;
    PickleValue **stack;
    uint32_t height, stack_cap;
    uint32_t *marks; /* heights of the stack */
    uint32_t mark_count, mark_cap;
    PickleValue **memo;
    uint32_t memo_next, memo_cap;
    uint32_t values, cells; /* made so far; items moved into containers so far */
    const PickleValue **persistent;
    uint32_t persistent_count, persistent_cap;
    const PickleValue *root;
    bool stopped;
} Machine;

typedef struct Op Op;
typedef bool OpRun(Machine *m, const Op *op, Err *err);
struct Op {
    const char *name;
    OpRun *run; /* NULL: no such opcode */
    int width;  /* bytes of the argument or of its length, in the pickle; or how many items a tuple takes */
    PickleKind kind;
};
extern const Op pickle_ops[256];

void machine_done(Machine *m);
bool machine_too_big(const char *what, Err *err);
/* The array, moved if need be, with room for one more item of size bytes; it grows by doubling. */
void *machine_grow(void *items, uint32_t count, uint32_t *cap, size_t size);

bool machine_push(Machine *m, PickleValue *value, Err *err);
bool machine_push_new(Machine *m, PickleValue value, Err *err); /* a copy in the arena */
bool machine_need(Machine *m, uint32_t count, Err *err);        /* as many values above the newest mark */
bool machine_pop_mark(Machine *m, uint32_t *ret_height, Err *err);
/* Appends stack[from..] to the items of a container and drops them from the stack. */
bool machine_move_items(Machine *m, PickleValue *to, uint32_t from, Err *err);
bool machine_memo_put(Machine *m, uint64_t index, Err *err); /* the top of the stack */

/* The next bytes of the pickle. */
bool machine_take_bytes(Machine *m, uint64_t count, const uint8_t **ret_bytes, Err *err);
bool machine_take_number(Machine *m, int width, uint64_t *ret_number, Err *err);
bool machine_take_line(Machine *m, const char **ret_line, uint32_t *ret_len, Err *err);

#endif
