/* The stack, the marks and the memo of the pickle machine, with their bounds. What the opcodes do is in pickle_ops.c.
 */
#include "worker/checkpoints/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/files/bytes.h"

bool machine_too_big(const char *what, Err *err)
{
    return err_set(err, ERR_FORMAT, "the pickle has more than %d %s", MACHINE_LIMIT, what);
}

void *machine_grow(void *items, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 256;
    return xrealloc(items, *cap * size);
}

bool machine_push(Machine *m, PickleValue *value, Err *err)
{
    if (m->height >= MACHINE_LIMIT)
        return machine_too_big("stack slots", err);
    m->stack = machine_grow(m->stack, m->height, &m->stack_cap, sizeof *m->stack);
    m->stack[m->height++] = value;
    return true;
}

bool machine_push_new(Machine *m, PickleValue value, Err *err)
{
    if (++m->values > MACHINE_LIMIT)
        return machine_too_big("values", err);
    PickleValue *copy = arena_take(m->arena, sizeof *copy);
    *copy = value;
    return machine_push(m, copy, err);
}

/* The floor of what may be popped is the newest mark. */
bool machine_need(Machine *m, uint32_t count, Err *err)
{
    uint32_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    return m->height - floor >= count || err_set(err, ERR_FORMAT, "the pickle takes more from its stack than is there");
}

bool machine_pop_mark(Machine *m, uint32_t *ret_height, Err *err)
{
    if (!m->mark_count)
        return err_set(err, ERR_FORMAT, "the pickle uses a mark that was not set");
    *ret_height = m->marks[--m->mark_count];
    return true;
}

/* Appends stack[from..] to the items of a container and drops them from the stack. */
bool machine_move_items(Machine *m, PickleValue *to, uint32_t from, Err *err)
{
    uint32_t count = m->height - from;
    if (count > MACHINE_LIMIT - m->cells)
        return machine_too_big("items", err);
    m->cells += count;
    if (count > to->cap - to->count) {
        uint32_t cap = to->cap * 2 > to->count + count ? to->cap * 2 : to->count + count;
        const PickleValue **items = arena_take(m->arena, cap * sizeof *items);
        if (to->count)
            memcpy(items, to->items, to->count * sizeof *items);
        to->items = items;
        to->cap = cap;
    }
    for (uint32_t i = 0; i < count; i++)
        to->items[to->count++] = m->stack[from + i];
    m->height = from;
    return true;
}

bool machine_take_bytes(Machine *m, uint64_t count, const uint8_t **ret_bytes, Err *err)
{
    uint64_t left = (uint64_t)(m->end - m->at);
    if (count > left)
        return err_set(err, ERR_FORMAT, "the pickle wants %llu more bytes, %llu are left", (unsigned long long)count,
                       (unsigned long long)left);
    *ret_bytes = m->at;
    m->at += count;
    return true;
}

bool machine_take_number(Machine *m, int width, uint64_t *ret_number, Err *err)
{
    const uint8_t *bytes = NULL;
    if (!machine_take_bytes(m, (uint64_t)width, &bytes, err))
        return false;
    *ret_number = bytes_get(bytes, width);
    return true;
}

bool machine_take_line(Machine *m, const char **ret_line, uint32_t *ret_len, Err *err)
{
    const uint8_t *newline = m->at < m->end ? memchr(m->at, '\n', (size_t)(m->end - m->at)) : NULL;
    if (!newline || newline - m->at > 4096)
        return err_set(err, ERR_FORMAT, "the pickle has a line without an end");
    *ret_line = (const char *)m->at;
    *ret_len = (uint32_t)(newline - m->at);
    m->at = newline + 1;
    return true;
}

bool machine_memo_put(Machine *m, uint64_t index, Err *err)
{
    if (!machine_need(m, 1, err))
        return false;
    if (index >= MACHINE_LIMIT)
        return machine_too_big("memo slots", err);
    if (index >= m->memo_cap) {
        uint32_t cap = m->memo_cap ? m->memo_cap : 1024;
        while (cap <= index)
            cap *= 2;
        m->memo = xrealloc(m->memo, cap * sizeof *m->memo);
        memset(m->memo + m->memo_cap, 0, (cap - m->memo_cap) * sizeof *m->memo);
        m->memo_cap = cap;
    }
    m->memo[index] = m->stack[m->height - 1];
    return true;
}

void machine_done(Machine *m)
{
    free(m->stack);
    free(m->marks);
    free(m->memo);
    free(m->persistent);
}
