/* What each pickle opcode does to the machine. There is no recursion: nesting, however deep, is a longer stack.
 * Every opcode makes at most a few values, so memory is bounded by the file's size and by MACHINE_LIMIT.
 * To read another opcode: one function, if none fits, and one row in `pickle_ops`. */
#include <stdlib.h>
#include <string.h>

#include "worker/checkpoints/pickle_machine.h"
#include "worker/files/bytes.h"

static const PickleValue none = {.kind = PICKLE_NONE};

static bool op_nothing(Machine *m, const Op *op, Err *err) /* PROTO, FRAME: their arguments change nothing here */
{
    uint64_t number = 0;
    return machine_take_number(m, op->width, &number, err);
}

static bool op_stop(Machine *m, const Op *op, Err *err)
{
    (void)op;
    if (m->height != 1 || m->mark_count)
        return err_set(err, ERR_FORMAT, "the pickle stops with %u values on its stack, wanted 1", m->height);
    m->root = m->stack[0];
    return m->stopped = true;
}

static bool op_empty(Machine *m, const Op *op, Err *err)
{
    return machine_push_new(m, (PickleValue){.kind = op->kind}, err);
}

static bool op_none(Machine *m, const Op *op, Err *err)
{
    (void)op;
    return machine_push(m, (PickleValue *)&none, err); /* shared; never written to */
}

static bool op_bool(Machine *m, const Op *op, Err *err)
{
    return machine_push_new(m, (PickleValue){.kind = PICKLE_BOOL, .integer = op->width}, err);
}

static bool op_int(Machine *m, const Op *op, Err *err)
{
    uint64_t number = 0;
    if (!machine_take_number(m, op->width, &number, err))
        return false;
    int64_t integer = op->width == 4 ? (int32_t)(uint32_t)number : (int64_t)number;
    return machine_push_new(m, (PickleValue){.kind = PICKLE_INT, .integer = integer}, err);
}

static bool op_int_line(Machine *m, const Op *op, Err *err)
{
    const char *line = NULL;
    uint32_t len = 0;
    if (!machine_take_line(m, &line, &len, err))
        return false;
    char text[32] = "", *end;
    memcpy(text, line, len < sizeof text ? len : 0);
    long long number = strtoll(text, &end, 10);
    if (end == text || (*end && strcmp(end, "L") != 0))
        return err_set(err, ERR_FORMAT, "the pickle has a number that is none, or is beyond 64 bits");
    bool is_bool = op->kind == PICKLE_INT && len == 2 && line[0] == '0';
    return machine_push_new(m, (PickleValue){.kind = is_bool ? PICKLE_BOOL : PICKLE_INT, .integer = number}, err);
}

static bool op_long(Machine *m, const Op *op, Err *err)
{
    uint64_t len = 0;
    const uint8_t *bytes = NULL;
    if (!machine_take_number(m, op->width, &len, err) || !machine_take_bytes(m, len, &bytes, err))
        return false;
    if (len > 8)
        return machine_push_new(
            m, (PickleValue){.kind = PICKLE_LONG, .text = (const char *)bytes, .len = (uint32_t)len}, err);
    uint64_t number = bytes_get(bytes, (int)len);
    if (len && len < 8 && bytes[len - 1] & 0x80)
        number |= UINT64_MAX << 8 * len;
    return machine_push_new(m, (PickleValue){.kind = PICKLE_INT, .integer = (int64_t)number}, err);
}

static bool op_float(Machine *m, const Op *op, Err *err)
{
    const uint8_t *bytes = NULL;
    if (!machine_take_bytes(m, 8, &bytes, err))
        return false;
    uint64_t bits = __builtin_bswap64(bytes_get(bytes, 8));
    PickleValue value = {.kind = op->kind};
    memcpy(&value.real, &bits, sizeof bits);
    return machine_push_new(m, value, err);
}

static bool op_text(Machine *m, const Op *op, Err *err)
{
    uint64_t len = 0;
    const uint8_t *bytes = NULL;
    if (!machine_take_number(m, op->width, &len, err) || !machine_take_bytes(m, len, &bytes, err))
        return false;
    if (len > UINT32_MAX)
        return err_set(err, ERR_FORMAT, "the pickle has a string of %llu bytes, at most 4 GiB are read",
                       (unsigned long long)len);
    return machine_push_new(m, (PickleValue){.kind = op->kind, .text = (const char *)bytes, .len = (uint32_t)len}, err);
}

static bool op_global(Machine *m, const Op *op, Err *err)
{
    PickleValue value = {.kind = op->kind};
    return machine_take_line(m, &value.text, &value.len, err) &&
           machine_take_line(m, &value.name, &value.name_len, err) && machine_push_new(m, value, err);
}

static bool op_stack_global(Machine *m, const Op *op, Err *err)
{
    if (!machine_need(m, 2, err))
        return false;
    const PickleValue *module = m->stack[m->height - 2], *name = m->stack[m->height - 1];
    if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)
        return err_set(err, ERR_FORMAT, "the pickle names a global by something that is not text");
    m->height -= 2;
    return machine_push_new(
        m,
        (PickleValue){
            .kind = op->kind, .text = module->text, .len = module->len, .name = name->text, .name_len = name->len},
        err);
}

static bool op_mark(Machine *m, const Op *op, Err *err)
{
    (void)op;
    if (m->mark_count >= MACHINE_LIMIT)
        return machine_too_big("marks", err);
    m->marks = machine_grow(m->marks, m->mark_count, &m->mark_cap, sizeof *m->marks);
    m->marks[m->mark_count++] = m->height;
    return true;
}

/* width 0: everything above the mark. */
static bool op_tuple(Machine *m, const Op *op, Err *err)
{
    uint32_t from = 0;
    if (op->width ? !machine_need(m, (uint32_t)op->width, err) : !machine_pop_mark(m, &from, err))
        return false;
    if (op->width)
        from = m->height - (uint32_t)op->width;
    if (op->kind == PICKLE_DICT && (m->height - from) % 2)
        return err_set(err, ERR_FORMAT, "the pickle sets a key without a value");
    PickleValue value = {.kind = op->kind};
    return machine_move_items(m, &value, from, err) && machine_push_new(m, value, err);
}

/* Appends to the container under the items: width items, or (0) everything above the mark. What is appended to a value
 * of another kind has no meaning here and is dropped; an object keeps what is set like in a dict. */
static bool op_fill(Machine *m, const Op *op, Err *err)
{
    uint32_t from = 0;
    if (op->width ? !machine_need(m, (uint32_t)op->width, err) : !machine_pop_mark(m, &from, err))
        return false;
    if (op->width)
        from = m->height - (uint32_t)op->width;
    if (from == 0 || (m->mark_count && m->marks[m->mark_count - 1] >= from))
        return err_set(err, ERR_FORMAT, "the pickle fills a container that is not there");
    if (op->kind == PICKLE_DICT && (m->height - from) % 2)
        return err_set(err, ERR_FORMAT, "the pickle sets a key without a value");
    PickleValue *to = m->stack[from - 1];
    if (to->kind == op->kind || (op->kind == PICKLE_DICT && to->kind == PICKLE_OBJECT))
        return machine_move_items(m, to, from, err);
    m->height = from;
    return true;
}

static bool op_pop(Machine *m, const Op *op, Err *err)
{
    (void)op;
    uint32_t from = 0;
    if (m->mark_count && m->marks[m->mark_count - 1] == m->height) /* POP may also take a mark */
        return machine_pop_mark(m, &from, err);
    return machine_need(m, 1, err) && m->height--;
}

static bool op_pop_mark(Machine *m, const Op *op, Err *err)
{
    (void)op;
    return machine_pop_mark(m, &m->height, err);
}

static bool op_dup(Machine *m, const Op *op, Err *err)
{
    (void)op;
    return machine_need(m, 1, err) && machine_push(m, m->stack[m->height - 1], err);
}

static bool op_put(Machine *m, const Op *op, Err *err)
{
    uint64_t index = 0;
    return machine_take_number(m, op->width, &index, err) && machine_memo_put(m, index, err);
}

static bool op_memoize(Machine *m, const Op *op, Err *err)
{
    (void)op;
    return machine_memo_put(m, m->memo_next++, err);
}

static bool op_get(Machine *m, const Op *op, Err *err)
{
    uint64_t index = 0;
    if (!machine_take_number(m, op->width, &index, err))
        return false;
    if (index >= m->memo_cap || !m->memo[index])
        return err_set(err, ERR_FORMAT, "the pickle recalls memo %llu, which was not stored",
                       (unsigned long long)index);
    return machine_push(m, m->memo[index], err);
}

static bool op_persistent(Machine *m, const Op *op, Err *err)
{
    if (!machine_need(m, 1, err))
        return false;
    PickleValue value = {.kind = op->kind, .args = m->stack[--m->height]};
    if (!machine_push_new(m, value, err))
        return false;
    m->persistent = machine_grow(m->persistent, m->persistent_count, &m->persistent_cap, sizeof *m->persistent);
    m->persistent[m->persistent_count++] = m->stack[m->height - 1];
    return true;
}

static bool makes_dict(const PickleValue *call)
{
    return pickle_is_global(call, "collections", "OrderedDict") ||
           pickle_is_global(call, "collections", "defaultdict") || pickle_is_global(call, "builtins", "dict") ||
           pickle_is_global(call, "__builtin__", "dict");
}

/* REDUCE, NEWOBJ, NEWOBJ_EX: width values are replaced by the object they would have made. An OrderedDict of old
 * Pythons comes with a list of [key, value] pairs as its argument. */
static bool op_call(Machine *m, const Op *op, Err *err)
{
    if (!machine_need(m, (uint32_t)op->width, err))
        return false;
    m->height -= (uint32_t)op->width;
    const PickleValue *call = m->stack[m->height], *args = m->stack[m->height + 1];
    if (!makes_dict(call))
        return machine_push_new(m, (PickleValue){.kind = PICKLE_OBJECT, .call = call, .args = args, .state = &none},
                                err);
    PickleValue dict = {.kind = PICKLE_DICT};
    const PickleValue *pairs = args->count ? args->items[0] : &none;
    for (uint32_t i = 0; pairs->kind == PICKLE_LIST && i < pairs->count; i++) {
        const PickleValue *pair = pairs->items[i];
        uint32_t from = m->height;
        if ((pair->kind == PICKLE_LIST || pair->kind == PICKLE_TUPLE) && pair->count == 2 &&
            !(machine_push(m, (PickleValue *)pair->items[0], err) &&
              machine_push(m, (PickleValue *)pair->items[1], err) && machine_move_items(m, &dict, from, err)))
            return false;
    }
    return machine_push_new(m, dict, err);
}

/* OBJ and INST of protocol 1: a class and its arguments above the mark. */
static bool op_instance(Machine *m, const Op *op, Err *err)
{
    uint32_t from = 0;
    if (!machine_pop_mark(m, &from, err))
        return false;
    PickleValue args = {.kind = PICKLE_TUPLE};
    if (!machine_move_items(m, &args, from, err) || !machine_push_new(m, args, err))
        return false;
    const PickleValue *tuple = m->stack[--m->height], *call = tuple->count ? tuple->items[0] : &none;
    if (op->width) { /* INST: the class is spelled out */
        if (!op_global(m, op, err))
            return false;
        call = m->stack[--m->height];
    }
    return machine_push_new(m, (PickleValue){.kind = PICKLE_OBJECT, .call = call, .args = tuple, .state = &none}, err);
}

static bool op_build(Machine *m, const Op *op, Err *err)
{
    (void)op;
    if (!machine_need(m, 2, err))
        return false;
    const PickleValue *state = m->stack[--m->height];
    PickleValue *object = m->stack[m->height - 1];
    if (object->kind == PICKLE_OBJECT) /* attributes of anything else (an OrderedDict's _metadata) mean nothing here */
        object->state = state;
    return true;
}

static bool op_refused(Machine *m, const Op *op, Err *err)
{
    (void)m;
    return err_set(err, ERR_FORMAT, "the pickle uses %s, which no checkpoint needs", op->name);
}

const Op pickle_ops[256] = {
    [0x80] = {"PROTO", op_nothing, 1, 0},
    [0x95] = {"FRAME", op_nothing, 8, 0},
    ['.'] = {"STOP", op_stop, 0, 0},
    ['N'] = {"NONE", op_none, 0, 0},
    [0x88] = {"NEWTRUE", op_bool, 1, 0},
    [0x89] = {"NEWFALSE", op_bool, 0, 0},
    ['K'] = {"BININT1", op_int, 1, 0},
    ['M'] = {"BININT2", op_int, 2, 0},
    ['J'] = {"BININT", op_int, 4, 0},
    ['I'] = {"INT", op_int_line, 0, PICKLE_INT},
    ['L'] = {"LONG", op_int_line, 0, PICKLE_LONG},
    [0x8a] = {"LONG1", op_long, 1, 0},
    [0x8b] = {"LONG4", op_long, 4, 0},
    ['G'] = {"BINFLOAT", op_float, 0, PICKLE_FLOAT},
    ['X'] = {"BINUNICODE", op_text, 4, PICKLE_TEXT},
    [0x8c] = {"SHORT_BINUNICODE", op_text, 1, PICKLE_TEXT},
    [0x8d] = {"BINUNICODE8", op_text, 8, PICKLE_TEXT},
    ['U'] = {"SHORT_BINSTRING", op_text, 1, PICKLE_TEXT},
    ['T'] = {"BINSTRING", op_text, 4, PICKLE_TEXT},
    ['C'] = {"SHORT_BINBYTES", op_text, 1, PICKLE_BYTES},
    ['B'] = {"BINBYTES", op_text, 4, PICKLE_BYTES},
    [0x8e] = {"BINBYTES8", op_text, 8, PICKLE_BYTES},
    [0x96] = {"BYTEARRAY8", op_text, 8, PICKLE_BYTES},
    ['('] = {"MARK", op_mark, 0, 0},
    [')'] = {"EMPTY_TUPLE", op_empty, 0, PICKLE_TUPLE},
    ['t'] = {"TUPLE", op_tuple, 0, PICKLE_TUPLE},
    [0x85] = {"TUPLE1", op_tuple, 1, PICKLE_TUPLE},
    [0x86] = {"TUPLE2", op_tuple, 2, PICKLE_TUPLE},
    [0x87] = {"TUPLE3", op_tuple, 3, PICKLE_TUPLE},
    [']'] = {"EMPTY_LIST", op_empty, 0, PICKLE_LIST},
    ['l'] = {"LIST", op_tuple, 0, PICKLE_LIST},
    ['a'] = {"APPEND", op_fill, 1, PICKLE_LIST},
    ['e'] = {"APPENDS", op_fill, 0, PICKLE_LIST},
    ['}'] = {"EMPTY_DICT", op_empty, 0, PICKLE_DICT},
    ['d'] = {"DICT", op_tuple, 0, PICKLE_DICT},
    ['s'] = {"SETITEM", op_fill, 2, PICKLE_DICT},
    ['u'] = {"SETITEMS", op_fill, 0, PICKLE_DICT},
    [0x8f] = {"EMPTY_SET", op_empty, 0, PICKLE_LIST},
    [0x90] = {"ADDITEMS", op_fill, 0, PICKLE_LIST},
    [0x91] = {"FROZENSET", op_tuple, 0, PICKLE_LIST},
    ['0'] = {"POP", op_pop, 0, 0},
    ['1'] = {"POP_MARK", op_pop_mark, 0, 0},
    ['2'] = {"DUP", op_dup, 0, 0},
    ['q'] = {"BINPUT", op_put, 1, 0},
    ['r'] = {"LONG_BINPUT", op_put, 4, 0},
    [0x94] = {"MEMOIZE", op_memoize, 0, 0},
    ['h'] = {"BINGET", op_get, 1, 0},
    ['j'] = {"LONG_BINGET", op_get, 4, 0},
    ['c'] = {"GLOBAL", op_global, 0, PICKLE_GLOBAL},
    [0x93] = {"STACK_GLOBAL", op_stack_global, 0, PICKLE_GLOBAL},
    ['Q'] = {"BINPERSID", op_persistent, 0, PICKLE_PERSISTENT},
    ['R'] = {"REDUCE", op_call, 2, 0},
    [0x81] = {"NEWOBJ", op_call, 2, 0},
    [0x92] = {"NEWOBJ_EX", op_call, 3, 0},
    ['o'] = {"OBJ", op_instance, 0, 0},
    ['i'] = {"INST", op_instance, 1, PICKLE_GLOBAL},
    ['b'] = {"BUILD", op_build, 0, 0},
    [0x82] = {"EXT1, an extension registry,", op_refused, 0, 0},
    [0x83] = {"EXT2, an extension registry,", op_refused, 0, 0},
    [0x84] = {"EXT4, an extension registry,", op_refused, 0, 0},
    [0x97] = {"NEXT_BUFFER, data outside of the file,", op_refused, 0, 0},
    [0x98] = {"READONLY_BUFFER, data outside of the file,", op_refused, 0, 0},
};
