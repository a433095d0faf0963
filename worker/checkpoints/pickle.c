/* Runs a pickle on the restricted machine. Refuses: pickles that break their own rules or exceed the machine's bounds
 * (pickle_machine.h). */
#include "worker/checkpoints/pickle.h"

#include <string.h>

#include "worker/checkpoints/pickle_machine.h"

static bool run(Machine *m, Err *err)
{
    while (!m->stopped) {
        size_t offset = (size_t)(m->at - m->begin);
        if (m->at == m->end)
            return err_set(err, ERR_FORMAT, "the pickle was cut short: %zu bytes without a STOP", offset);
        const Op *op = &pickle_ops[*m->at++];
        if (!op->run)
            return err_set(
                err, ERR_FORMAT,
                "the pickle has an opcode 0x%02x at byte %zu that protocols 1 to 5 do not have or that is not read",
                m->at[-1], offset);
        if (!op->run(m, op, err))
            return err_wrap(err, "at byte %zu (%s)", offset, op->name);
    }
    return true;
}

bool pickle_read(Arena *arena, const uint8_t *data, size_t size, Pickle *ret_pickle, Err *err)
{
    Machine m = {.arena = arena, .begin = data, .at = data, .end = data + size};
    bool ok = run(&m, err);
    if (ok) {
        size_t bytes = m.persistent_count * sizeof *m.persistent;
        *ret_pickle =
            (Pickle){.root = m.root, .used = (size_t)(m.at - m.begin), .persistent_count = m.persistent_count};
        ret_pickle->persistent = arena_take(arena, bytes);
        if (bytes)
            memcpy(ret_pickle->persistent, m.persistent, bytes);
    }
    machine_done(&m);
    return ok;
}
