/* Numpy arrays inside a pickle, as torch.save({"m": ..., "s": ...}) leaves them.
 *     _reconstruct(ndarray, (0,), b"b") with state (1, shape, dtype, is_fortran, data)     protocols up to 4
 *     _frombuffer(data, dtype, shape, "C" or "F")                                           protocol 5
 * Protocol 2 has no bytes: data is then a call of _codecs.encode(text, "latin1"), text being UTF-8 in which each code
 * point 0..255 stands for one byte. It is decoded into memory of the Ckpt. */
#include <string.h>

#include "core/mem.h"
#include "worker/arrays/npy_parts.h"
#include "worker/checkpoints/parts.h"
#include "worker/files/bytes.h"

typedef struct Parts { /* of an array */
    const PickleValue *shape, *dtype, *data;
    bool fortran;
} Parts;

static bool is_reconstruct(const PickleValue *call) /* numpy._core since numpy 2 */
{
    return pickle_is_global(call, "numpy.core.multiarray", "_reconstruct") ||
           pickle_is_global(call, "numpy._core.multiarray", "_reconstruct");
}

static bool is_frombuffer(const PickleValue *call)
{
    return pickle_is_global(call, "numpy.core.numeric", "_frombuffer") ||
           pickle_is_global(call, "numpy._core.numeric", "_frombuffer");
}

bool ckpt_numpy_is_array(const PickleValue *value)
{
    return value->kind == PICKLE_OBJECT && (is_reconstruct(value->call) || is_frombuffer(value->call));
}

static bool find_parts(const PickleValue *array, Parts *ret_parts)
{
    int64_t fortran = 0;
    const PickleValue *state = array->state, *args = array->args;
    if (is_reconstruct(array->call)) {
        uint32_t first = state->count == 5; /* a version number, but for very old ones */
        if (state->kind != PICKLE_TUPLE || state->count < 4 || !pickle_is_int(state->items[first + 2], &fortran))
            return false;
        *ret_parts = (Parts){state->items[first], state->items[first + 1], state->items[first + 3], fortran != 0};
        return true;
    }
    if (args->kind != PICKLE_TUPLE || args->count < 4)
        return false;
    *ret_parts = (Parts){args->items[2], args->items[1], args->items[0], pickle_is_text(args->items[3], "F")};
    return true;
}

/* numpy.dtype("f8", ...) with state (3, "<", ...). */
static bool find_type(const PickleValue *dtype, const CkptType **ret_type, bool *ret_swap)
{
    if (dtype->kind != PICKLE_OBJECT || !pickle_is_global(dtype->call, "numpy", "dtype") || dtype->args->count < 1 ||
        dtype->args->items[0]->kind != PICKLE_TEXT)
        return false;
    const PickleValue *name = dtype->args->items[0], *state = dtype->state;
    *ret_type = ckpt_type(name->text, name->len);
    *ret_swap = state->kind == PICKLE_TUPLE && state->count > 1 && pickle_is_text(state->items[1], ">");
    return *ret_type && (*ret_type)->numpy;
}

/* Returns how many bytes the text stands for; stops at room. SIZE_MAX: not latin1 as UTF-8. */
static size_t decode_latin1(const PickleValue *text, uint8_t *dst, size_t room)
{
    const uint8_t *at = (const uint8_t *)text->text, *end = at + text->len;
    size_t count = 0;
    while (at < end && count < room) {
        unsigned c = *at++;
        if (c >= 0x80) { /* C2 80 .. C3 BF are U+0080 .. U+00FF */
            if ((c != 0xc2 && c != 0xc3) || at == end || (*at & 0xc0) != 0x80)
                return SIZE_MAX;
            c = (c & 3) << 6 | (*at++ & 0x3f);
        }
        dst[count++] = (uint8_t)c;
    }
    return at < end ? SIZE_MAX : count;
}

/* Memory of the Ckpt for decoded data. A file can name one text many times, but not for more than its own size. */
static uint8_t *decode_room(Ckpt *ckpt, size_t bytes, Err *err)
{
    uint8_t *room = bytes <= ckpt->size - ckpt->decoded ? arena_try(&ckpt->arena, bytes) : NULL;
    if (!room)
        err_set(err, ERR_FORMAT, "its arrays decode to more bytes than the file has");
    else
        ckpt->decoded += bytes;
    return room;
}

/* The raw numbers: *ret_data points into the file or into decoded memory (*ret_owned). */
static bool find_data(Ckpt *ckpt, const PickleValue *data, size_t bytes, uint8_t **ret_data, bool *ret_owned, Err *err)
{
    *ret_owned = false;
    if (data->kind == PICKLE_BYTES || data->kind == PICKLE_TEXT) { /* TEXT: a string of Python 2 is bytes */
        *ret_data = (uint8_t *)data->text;
        return data->len == bytes ||
               err_set(err, ERR_FORMAT, "its shape wants %zu bytes, the pickle has %u", bytes, data->len);
    }
    const PickleValue *args = data->kind == PICKLE_OBJECT ? data->args : data;
    if (data->kind != PICKLE_OBJECT || !pickle_is_global(data->call, "_codecs", "encode") || args->count < 1 ||
        args->items[0]->kind != PICKLE_TEXT)
        return err_set(err, ERR_FORMAT, "its numbers are not a string of bytes");
    if (args->items[0]->len < bytes)
        return err_set(err, ERR_FORMAT, "its shape wants %zu bytes, the pickle has at most %u", bytes,
                       args->items[0]->len);
    if (!(*ret_data = decode_room(ckpt, bytes, err)))
        return false;
    *ret_owned = true;
    size_t have = decode_latin1(args->items[0], *ret_data, bytes);
    return have == bytes || err_set(err, ERR_FORMAT, "its text does not stand for %zu bytes of latin1", bytes);
}

static void fortran_strides(CkptTensor *view)
{
    int64_t step = 1;
    for (int i = 0; i < view->ndim; i++) {
        view->stride[i] = step;
        step *= view->shape[i] ? view->shape[i] : 1; /* ckpt_axes has seen that the product fits */
    }
}

/* What else its calls say that would change the numbers: a class of its own, an order that is not known. */
static bool is_honoured(const PickleValue *array)
{
    const PickleValue *args = array->args;
    if (is_reconstruct(array->call))
        return args->kind == PICKLE_TUPLE && args->count > 0 && pickle_is_global(args->items[0], "numpy", "ndarray");
    return args->count == 4 && (pickle_is_text(args->items[3], "C") || pickle_is_text(args->items[3], "F")) &&
           (array->state->kind == PICKLE_NONE || array->state->count == 0);
}

bool ckpt_numpy_view(Ckpt *ckpt, const PickleValue *value, CkptTensor *ret_view, Err *err)
{
    Parts parts;
    const CkptType *type;
    bool swap, owned;
    uint8_t *data = NULL;
    CkptTensor view = {0};
    int64_t count, reach, bytes;
    if (!find_parts(value, &parts))
        return err_set(err, ERR_FORMAT, "its numpy array does not have a shape, a type, an order and data");
    if (!is_honoured(value))
        return ckpt_unreadable(ckpt, ret_view, "its numpy array is of a class or in an order that is not honoured");
    if (!find_type(parts.dtype, &type, &swap))
        return ckpt_unreadable(ckpt, ret_view, "its numpy array has numbers of a type that is not known");
    if (!ckpt_axes(&view, parts.shape, NULL, err) || !ckpt_extent(&view, &count, &reach) ||
        __builtin_mul_overflow(count, type->size, &bytes))
        return err_set(err, ERR_FORMAT, "its numpy array has no shape that fits");
    view.dtype = type->dtype;
    view.type = type->numpy;
    if (!find_data(ckpt, parts.data, (size_t)bytes, &data, &owned, err))
        return false;
    if (swap && !owned) {
        uint8_t *copy = decode_room(ckpt, (size_t)bytes, err);
        if (!copy)
            return false;
        data = memcpy(copy, data, (size_t)bytes);
    }
    if (swap)
        npy_swap(data, count, (size_t)type->size);
    if (parts.fortran)
        fortran_strides(&view);
    view.data = type->dtype == DTYPES ? NULL : data;
    *ret_view = view;
    return true;
}
