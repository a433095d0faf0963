/* What all loaders do with a tensor: check its name and add it, read its axes, compute how far it reaches. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

enum { TENSORS_MAX = 1 << 17 }; /* one tensor can be named many times by a small file */

static const char *copy_text(Ckpt *ckpt, const char *text)
{
    return text ? arena_text(&ckpt->arena, text, strlen(text)) : NULL;
}

/* One that can be listed in place of a name that cannot. */
static const char *printable(Ckpt *ckpt, const char *name, size_t len)
{
    char *copy = arena_text(&ckpt->arena, name, len < CKPT_NAME_MAX ? len : CKPT_NAME_MAX);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return copy;
}

static bool is_name(const char *name, size_t len)
{
    bool ok = len > 0 && len <= CKPT_NAME_MAX && name[len - 1] != '.';
    for (size_t i = 0; ok && i < len; i++)
        ok = (unsigned char)name[i] >= ' ' && name[i] != 0x7f;
    return ok;
}

bool ckpt_add(Ckpt *ckpt, const CkptPlace *place, const CkptTensor *view, const ZipMember *member, const char *damage,
              Err *err)
{
    if (ckpt->count == TENSORS_MAX)
        return err_set(err, ERR_FORMAT, "it has more than %d tensors", TENSORS_MAX);
    if (ckpt->count == ckpt->cap) {
        ckpt->cap = ckpt->cap ? ckpt->cap * 2 : 64;
        ckpt->entries = xrealloc(ckpt->entries, (size_t)ckpt->cap * sizeof *ckpt->entries);
    }
    CkptEntry *entry = &ckpt->entries[ckpt->count++];
    *entry = (CkptEntry){*view, member, copy_text(ckpt, damage), place->nested, place->listed};
    entry->tensor.name = printable(ckpt, place->name, place->len);
    if (!is_name(place->name, place->len)) {
        char *why = xasprintf("its name has %zu bytes and is empty, longer than %d or not printable", place->len,
                              CKPT_NAME_MAX);
        entry->damage = copy_text(ckpt, why);
        free(why);
    }
    return true;
}

bool ckpt_unreadable(Ckpt *ckpt, CkptTensor *view, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *view = (CkptTensor){.dtype = DTYPES, .type = "unknown", .why = copy_text(ckpt, text)};
    return true;
}

bool ckpt_axes(CkptTensor *view, const PickleValue *sizes, const PickleValue *strides, Err *err)
{
    bool ok = sizes->kind == PICKLE_TUPLE || sizes->kind == PICKLE_LIST;
    ok = ok && (!strides ||
                ((strides->kind == PICKLE_TUPLE || strides->kind == PICKLE_LIST) && strides->count == sizes->count));
    if (!ok || sizes->count > 8)
        return err_set(err, ERR_FORMAT, "its sizes and strides are not two tuples of equal length, at most 8");
    view->ndim = (int)sizes->count;
    int64_t step = 1;
    for (int i = view->ndim; i-- > 0;) {
        view->stride[i] = step;
        if (!pickle_is_int(sizes->items[i], &view->shape[i]) || view->shape[i] < 0 ||
            (strides && (!pickle_is_int(strides->items[i], &view->stride[i]) || view->stride[i] < 0)))
            return err_set(err, ERR_FORMAT,
                           "axis %d has size %lld and stride %lld, wanted numbers that are not negative", i,
                           (long long)view->shape[i], (long long)view->stride[i]);
        if (__builtin_mul_overflow(step, view->shape[i] ? view->shape[i] : 1, &step))
            return err_set(err, ERR_FORMAT, "the product of its sizes is beyond 64 bits");
    }
    return true;
}

bool ckpt_extent(const CkptTensor *view, int64_t *ret_count, int64_t *ret_reach)
{
    int64_t count = 1, reach = 1;
    bool empty = false;
    for (int i = 0; i < view->ndim; i++) {
        int64_t size = view->shape[i] ? view->shape[i] : 1, step;
        empty = empty || view->shape[i] == 0;
        if (__builtin_mul_overflow(count, size, &count) || __builtin_mul_overflow(size - 1, view->stride[i], &step) ||
            __builtin_add_overflow(reach, step, &reach))
            return false;
    }
    *ret_count = empty ? 0 : count;
    *ret_reach = empty ? 0 : reach;
    return true;
}
