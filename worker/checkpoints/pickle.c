/* Runs a pickle on the restricted machine, and answers questions about the values it leaves. Refuses: pickles that
 * break their own rules or exceed the machine's bounds (pickle_machine.h). */
#include "worker/checkpoints/pickle.h"

#include <stdio.h>
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

bool pickle_is_text(const PickleValue *value, const char *text)
{
    return value->kind == PICKLE_TEXT && value->len == strlen(text) && memcmp(value->text, text, value->len) == 0;
}

bool pickle_is_global(const PickleValue *value, const char *module, const char *name)
{
    return value->kind == PICKLE_GLOBAL && value->len == strlen(module) &&
           memcmp(value->text, module, value->len) == 0 && value->name_len == strlen(name) &&
           memcmp(value->name, name, value->name_len) == 0;
}

bool pickle_is_int(const PickleValue *value, int64_t *ret_integer)
{
    if (value->kind != PICKLE_INT && value->kind != PICKLE_BOOL)
        return false;
    *ret_integer = value->integer;
    return true;
}

const PickleValue *pickle_get(const PickleValue *value, const char *key)
{
    if (value->kind != PICKLE_DICT && value->kind != PICKLE_OBJECT)
        return NULL;
    for (uint32_t i = value->count / 2; i-- > 0;)
        if (pickle_is_text(value->items[2 * i], key))
            return value->items[2 * i + 1];
    return NULL;
}

void pickle_print_global(const PickleValue *value, char *ret_text, size_t size)
{
    for (int depth = 0; value->kind == PICKLE_OBJECT && depth < 8; depth++)
        value = value->call;
    if (value->kind != PICKLE_GLOBAL) {
        snprintf(ret_text, size, "?");
        return;
    }
    snprintf(ret_text, size, "%.*s.%.*s", (int)(value->len < 80 ? value->len : 80), value->text,
             (int)(value->name_len < 80 ? value->name_len : 80), value->name);
}
