/* safetensors: an 8-byte header length, a JSON header {name: {dtype, shape, data_offsets}}, then the numbers.
 * As the format demands, the tensors fill the data without holes and without overlap, in any order. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"
#include "worker/files/bytes.h"

enum { HEADER_MAX = 100 << 20 }; /* the format's own limit */

typedef struct Span {
    uint64_t begin, end;
    const char *name;
} Span;

/* A JSON number that is a whole number in 0 .. 2^53. */
static bool whole(const cJSON *item, int64_t *ret_number)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 9007199254740992.0))
        return false;
    *ret_number = (int64_t)item->valuedouble;
    return (double)*ret_number == item->valuedouble;
}

static bool read_shape(const cJSON *shape, CkptTensor *view, Err *err)
{
    int n = cJSON_IsArray(shape) ? cJSON_GetArraySize(shape) : -1;
    if (n < 0 || n > 8)
        return err_set(err, ERR_FORMAT, "its shape is not a list of at most 8 sizes");
    view->ndim = n;
    const cJSON *item = shape->child;
    for (int i = 0; i < n; i++, item = item->next)
        if (!whole(item, &view->shape[i]))
            return err_set(err, ERR_FORMAT, "size %d of its shape is not a whole number", i);
    int64_t step = 1;
    for (int i = n; i-- > 0;) {
        view->stride[i] = step;
        if (__builtin_mul_overflow(step, view->shape[i] ? view->shape[i] : 1, &step))
            return err_set(err, ERR_FORMAT, "the product of its sizes is beyond 64 bits");
    }
    return true;
}

/* Its fields are three; another one would say something about the numbers that is not honoured. */
static const char *other_field(const cJSON *item)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets"};
    const cJSON *field;
    cJSON_ArrayForEach(field, item)
    {
        bool found = false;
        for (size_t i = 0; i < countof(known); i++)
            found = found || strcmp(known[i], field->string) == 0;
        if (!found)
            return field->string;
    }
    return NULL;
}

/* The axes and the place of the numbers of a tensor of a known type. */
static bool place_numbers(const Ckpt *ckpt, const cJSON *item, const CkptType *type, uint64_t data, const Span *span,
                          CkptTensor *view, Err *err)
{
    int64_t count, reach, bytes, have = (int64_t)(span->end - span->begin);
    if (!read_shape(cJSON_GetObjectItemCaseSensitive(item, "shape"), view, err))
        return false;
    if (!ckpt_extent(view, &count, &reach) || __builtin_mul_overflow(count, type->size, &bytes) || have != bytes)
        return err_set(err, ERR_FORMAT, "its data_offsets span %lld bytes, its shape wants another number",
                       (long long)have);
    view->dtype = type->dtype;
    view->type = type->safetensors;
    view->data = type->dtype == DTYPES ? NULL : ckpt->data + data + span->begin;
    return true;
}

static bool add_tensor(Ckpt *ckpt, const cJSON *item, const CkptTensor *view, Err *err)
{
    Buf name = {0};
    ckpt_name_add(&name, item->string, strlen(item->string));
    bool ok = ckpt_add(ckpt, &(CkptPlace){.name = name.data, .len = name.len}, view, NULL, NULL, err);
    buf_free(&name);
    return ok;
}

static bool read_tensor(Ckpt *ckpt, const cJSON *item, uint64_t data, Span *ret_span, Err *err)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    const char *word = cJSON_IsString(dtype) ? dtype->valuestring : NULL;
    const CkptType *type = word ? ckpt_type(word, strlen(word)) : NULL;
    CkptTensor view = {0};
    int64_t begin, end;
    if (!word)
        return err_set(err, ERR_FORMAT, "it has no dtype");
    const char *other = other_field(item); /* it is an object, then */
    if (cJSON_GetArraySize(offsets) != 2 || !whole(offsets->child, &begin) || !whole(offsets->child->next, &end) ||
        begin > end)
        return err_set(err, ERR_FORMAT, "its data_offsets are not two growing whole numbers");
    if ((uint64_t)end > ckpt->size - data)
        return err_set(err, ERR_FORMAT, "its numbers end at byte %lld of the data, of which the file has %llu",
                       (long long)end, (unsigned long long)(ckpt->size - data));
    *ret_span = (Span){(uint64_t)begin, (uint64_t)end, item->string};
    if (!type || !type->safetensors || strcmp(type->safetensors, word) != 0)
        ckpt_unreadable(ckpt, &view, "its dtype \"%.20s\" is not known", word);
    else if (other)
        ckpt_unreadable(ckpt, &view, "its field \"%.40s\" is not honoured", other);
    else if (!place_numbers(ckpt, item, type, data, ret_span, &view, err))
        return false;
    return add_tensor(ckpt, item, &view, err);
}

static int by_begin(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static bool check_spans(Span *spans, size_t count, uint64_t size, Err *err)
{
    uint64_t at = 0;
    qsort(spans, count, sizeof *spans, by_begin);
    for (size_t i = 0; i < count; at = spans[i++].end)
        if (spans[i].begin != at)
            return err_set(err, ERR_FORMAT,
                           "tensor %.200s begins at byte %llu of the data, the one before it ends at %llu",
                           spans[i].name, (unsigned long long)spans[i].begin, (unsigned long long)at);
    return at == size ||
           err_set(err, ERR_FORMAT, "its tensors end at byte %llu of the data, of which the file has %llu",
                   (unsigned long long)at, (unsigned long long)size);
}

static bool read_tensors(Ckpt *ckpt, const cJSON *header, uint64_t data, Err *err)
{
    if (!cJSON_IsObject(header))
        return err_set(err, ERR_FORMAT, "its header of %llu bytes is not a JSON object", (unsigned long long)data - 8);
    size_t count = 0;
    Span *spans = xcalloc((size_t)cJSON_GetArraySize(header), sizeof *spans);
    const cJSON *item;
    bool ok = true;
    cJSON_ArrayForEach(item, header)
    {
        if (strcmp(item->string, "__metadata__") == 0)
            continue;
        ok = read_tensor(ckpt, item, data, &spans[count++], err) || err_wrap(err, "tensor %.200s", item->string);
        if (!ok)
            break;
    }
    ok = ok && check_spans(spans, count, ckpt->size - data, err);
    free(spans);
    return ok;
}

bool ckpt_safetensors_load(Ckpt *ckpt, Err *err)
{
    uint64_t len = bytes_get(ckpt->data, 8);
    if (len > ckpt->size - 8 || len > HEADER_MAX)
        return err_set(err, ERR_FORMAT, "its safetensors header should have %llu bytes, the file has %zu after it",
                       (unsigned long long)len, ckpt->size - 8);
    cJSON *header = cJSON_ParseWithLength((const char *)ckpt->data + 8, (size_t)len);
    bool ok = read_tensors(ckpt, header, 8 + len, err);
    cJSON_Delete(header);
    return ok;
}
