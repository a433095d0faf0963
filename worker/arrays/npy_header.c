/* The header of a .npy: "\x93NUMPY", version, length, then a Python dict literal with descr, fortran_order and shape.
 * Only that dict is understood, in any order of keys and with any spacing; nothing is evaluated.
 * To read another number type: one row in `types`. */
#include "worker/arrays/npy_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "worker/files/bytes.h"

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

static const struct {
    const char *descr; /* without the byte order */
    Dtype dtype;
    bool written; /* the one that is written for the dtype */
} types[] = {
    {"f4", DTYPE_F32, true}, {"f2", DTYPE_F16, true}, {"f8", DTYPE_F64, true}, {"i4", DTYPE_I32, true},
    {"i8", DTYPE_I64, true}, {"u1", DTYPE_U8, true},  {"b1", DTYPE_U8, false},
};

bool npy_header_size(const uint8_t *prefix, size_t size, size_t *ret_size, Err *err)
{
    if (size < sizeof magic || memcmp(prefix, magic, sizeof magic) != 0)
        return err_set(err, ERR_FORMAT, "not a .npy array: it does not begin with \\x93NUMPY");
    int version = size > 6 ? prefix[6] : 0, width = version == 1 ? 2 : 4;
    if (size < NPY_PREFIX)
        return err_set(err, ERR_FORMAT, "the .npy header was cut short: %zu bytes", size);
    if (version < 1 || version > 3)
        return err_set(err, ERR_FORMAT, "the .npy header has version %d, versions 1 to 3 are read", version);
    *ret_size = (size_t)bytes_get(prefix + 8, width) + 8 + (size_t)width;
    return true;
}

typedef struct Text {
    const char *at, *end;
} Text;

static void skip_space(Text *t)
{
    while (t->at < t->end && isspace((unsigned char)*t->at))
        t->at++;
}

static bool take(Text *t, char c)
{
    skip_space(t);
    if (t->at >= t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static bool take_word(Text *t, const char *word)
{
    size_t len = strlen(word);
    skip_space(t);
    if ((size_t)(t->end - t->at) < len || memcmp(t->at, word, len) != 0)
        return false;
    t->at += len;
    return true;
}

static bool take_string(Text *t, char *ret_text, size_t size)
{
    skip_space(t);
    if (t->at >= t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    const char *close = memchr(t->at + 1, *t->at, (size_t)(t->end - t->at - 1));
    if (!close || (size_t)(close - t->at) > size || memchr(t->at, '\\', (size_t)(close - t->at)))
        return false;
    size_t len = (size_t)(close - t->at - 1);
    memcpy(ret_text, t->at + 1, len);
    ret_text[len] = 0;
    t->at = close + 1;
    return true;
}

static bool take_number(Text *t, int64_t *ret_number)
{
    skip_space(t);
    int64_t number = 0;
    const char *begin = t->at;
    for (; t->at < t->end && isdigit((unsigned char)*t->at); t->at++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *t->at - '0', &number))
            return false;
    bool any = t->at > begin;
    if (any && t->at < t->end && *t->at == 'L') /* Python 2 wrote long integers so */
        t->at++;
    *ret_number = number;
    return any;
}

static bool take_shape(Text *t, NpyHeader *h, Err *err)
{
    if (!take(t, '('))
        return err_set(err, ERR_FORMAT, "the .npy header has no shape in parentheses");
    h->ndim = 0;
    while (!take(t, ')')) {
        if (h->ndim == 8)
            return err_set(err, ERR_FORMAT, "the .npy array has more than 8 axes");
        if (!take_number(t, &h->shape[h->ndim++]))
            return err_set(err, ERR_FORMAT, "the .npy header has a shape that is not a tuple of sizes");
        if (!take(t, ',') && (t->at >= t->end || *t->at != ')'))
            return err_set(err, ERR_FORMAT, "the .npy header has a shape that is not a tuple of sizes");
    }
    return true;
}

static bool take_descr(Text *t, NpyHeader *h, Err *err)
{
    char descr[32];
    if (!take_string(t, descr, sizeof descr))
        return err_set(err, ERR_FORMAT, "the .npy array holds records or objects, wanted plain numbers");
    for (size_t i = 0; i < countof(types); i++)
        if (strchr("<>|=", descr[0]) && descr[0] && strcmp(descr + 1, types[i].descr) == 0) {
            h->dtype = types[i].dtype;
            h->swap = descr[0] == '>';
            return true;
        }
    return err_set(err, ERR_FORMAT, "the .npy array has numbers of type '%s'; f2, f4, f8, i4, i8, u1 and b1 are read",
                   descr);
}

static bool measure(NpyHeader *h, Err *err)
{
    bool empty = false, fits = true;
    h->count = 1;
    for (int i = 0; i < h->ndim; i++) {
        empty = empty || h->shape[i] == 0;
        fits = fits && !__builtin_mul_overflow(h->count, h->shape[i] ? h->shape[i] : 1, &h->count);
    }
    fits = fits && !__builtin_mul_overflow((size_t)h->count, dtype_size(h->dtype), &h->bytes) && h->bytes <= INT64_MAX;
    if (!fits)
        return err_set(err, ERR_FORMAT, "the .npy header has a shape whose product is beyond 64 bits");
    if (empty)
        h->count = 0, h->bytes = 0;
    return true;
}

bool npy_header_parse(const uint8_t *data, size_t size, NpyHeader *ret_header, Err *err)
{
    NpyHeader h = {.ndim = -1};
    if (!npy_header_size(data, size, &h.offset, err))
        return false;
    if (h.offset > size)
        return err_set(err, ERR_FORMAT, "the .npy header claims %zu bytes, %zu are there", h.offset, size);
    Text t = {(const char *)data + (data[6] == 1 ? 10 : 12), (const char *)data + h.offset};
    bool descr = false, order = false, ok = take(&t, '{');
    while (ok && !take(&t, '}')) {
        char key[32];
        ok = take_string(&t, key, sizeof key) && take(&t, ':');
        if (ok && strcmp(key, "descr") == 0) {
            if (!(descr = take_descr(&t, &h, err)))
                return false;
        } else if (ok && strcmp(key, "fortran_order") == 0) {
            order = ok = (h.fortran = take_word(&t, "True")) || take_word(&t, "False");
        } else if (ok && strcmp(key, "shape") == 0) {
            if (!take_shape(&t, &h, err))
                return false;
        } else {
            ok = false;
        }
        ok = ok && (take(&t, ',') || (t.at < t.end && *t.at == '}'));
    }
    if (!ok || !descr || !order || h.ndim < 0)
        return err_set(err, ERR_FORMAT, "the .npy header is not a dict of descr, fortran_order and shape");
    if (!measure(&h, err))
        return false;
    *ret_header = h;
    return true;
}

bool npy_header_print(Buf *buf, Dtype dtype, int ndim, const int64_t *shape, size_t *ret_bytes, Err *err)
{
    NpyHeader h = {.dtype = dtype, .ndim = ndim};
    const char *descr = NULL;
    for (size_t i = 0; i < countof(types); i++)
        if (types[i].dtype == dtype && types[i].written)
            descr = types[i].descr;
    if (!descr || ndim < 0 || ndim > 8)
        return err_set(err, ERR_USAGE, "numpy has no array of %d axes of %s", ndim, dtype_name(dtype));
    Buf dict = {0};
    buf_printf(&dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", dtype_size(dtype) == 1 ? '|' : '<',
               descr);
    bool ok = true;
    for (int i = 0; i < ndim; i++) {
        ok = ok && shape[i] >= 0;
        h.shape[i] = shape[i];
        buf_printf(&dict, "%lld%s", (long long)shape[i], ndim == 1 ? "," : i + 1 < ndim ? ", " : "");
    }
    buf_printf(&dict, "), }");
    while ((10 + dict.len + 1) % 64)
        buf_add(&dict, " ", 1);
    buf_add(&dict, "\n", 1);
    ok = (ok || err_set(err, ERR_USAGE, "an array cannot have a negative size")) && measure(&h, err);
    if (ok) {
        uint8_t prefix[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
        bytes_put(prefix + 8, 2, dict.len);
        buf_add(buf, prefix, sizeof prefix);
        buf_add(buf, dict.data, dict.len);
        *ret_bytes = h.bytes;
    }
    buf_free(&dict);
    return ok;
}
