/* .npy files, read: the numbers are used in place in the mapping where possible, else converted. */
#include "worker/arrays/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/arrays/npy_parts.h"
#include "worker/files/map.h"

void npy_swap(void *numbers, int64_t count, size_t width)
{
    uint8_t *at = numbers;
    for (int64_t i = 0; i < count; i++, at += width)
        for (size_t low = 0, high = width - 1; low < high; low++, high--) {
            uint8_t byte = at[low];
            at[low] = at[high];
            at[high] = byte;
        }
}

/* The numbers of a Fortran-ordered array, walked in C order: the index counts up with its last axis fastest. */
static void copy_fortran(const NpyHeader *h, const uint8_t *numbers, uint8_t *dst)
{
    size_t width = dtype_size(h->dtype);
    int64_t stride[8], index[8] = {0}, from = 0, step = 1;
    for (int i = 0; i < h->ndim; i++) {
        stride[i] = step;
        step *= h->shape[i];
    }
    for (int64_t n = 0; n < h->count; n++) {
        memcpy(dst + (size_t)n * width, numbers + (size_t)from * width, width);
        for (int axis = h->ndim; axis-- > 0;) {
            from += stride[axis];
            if (++index[axis] < h->shape[axis])
                break;
            from -= stride[axis] * h->shape[axis];
            index[axis] = 0;
        }
    }
}

static void fill_array(const NpyHeader *h, NpyArray *array)
{
    array->dtype = h->dtype;
    array->ndim = h->ndim;
    memcpy(array->shape, h->shape, sizeof array->shape);
}

bool npy_convert(const NpyHeader *header, const uint8_t *numbers, NpyArray *ret_array, Err *err)
{
    NpyArray array = {.owns = true, .data = malloc(header->bytes ? header->bytes : 1)};
    if (!array.data)
        return err_set(err, ERR_MEMORY, "no memory for an array of %zu MiB", header->bytes >> 20);
    fill_array(header, &array);
    if (header->fortran)
        copy_fortran(header, numbers, array.data);
    else if (header->bytes)
        memcpy(array.data, numbers, header->bytes);
    if (header->swap)
        npy_swap(array.data, header->count, dtype_size(header->dtype));
    *ret_array = array;
    return true;
}

static bool array_of_map(const FileMap *map, NpyArray *ret_array, bool *ret_mapped, Err *err)
{
    NpyHeader h;
    if (!npy_header_parse(map->data, map->size, &h, err))
        return false;
    if (h.bytes != map->size - h.offset)
        return err_set(err, ERR_FORMAT, "its shape wants %zu bytes of numbers, the file has %zu", h.bytes,
                       map->size - h.offset);
    const uint8_t *numbers = map->data + h.offset;
    *ret_mapped = (!h.fortran || h.ndim < 2) && !h.swap && (uintptr_t)numbers % dtype_size(h.dtype) == 0;
    if (!*ret_mapped)
        return npy_convert(&h, numbers, ret_array, err);
    *ret_array = (NpyArray){.data = (void *)numbers, .map = (void *)map->data, .map_size = map->size};
    fill_array(&h, ret_array);
    return true;
}

bool npy_open(const char *path, NpyArray *ret_array, Err *err)
{
    FileMap map;
    if (!file_map(path, &map, err))
        return false;
    bool mapped = false;
    bool ok = array_of_map(&map, ret_array, &mapped, err) || err_wrap(err, "%s", path);
    if (!mapped)
        file_unmap(&map);
    return ok;
}

void npy_free(NpyArray *array)
{
    if (array->owns)
        free(array->data);
    FileMap map = {array->map, array->map_size};
    file_unmap(&map);
    *array = (NpyArray){0};
}

void npy_print_shape(const NpyArray *array, char *ret_text, int size)
{
    size_t used = 0, room = (size_t)size;
    for (int i = 0; i < array->ndim && used < room; i++)
        used += (size_t)snprintf(ret_text + used, room - used, "%c%lld", i ? ',' : '[', (long long)array->shape[i]);
    if (used < room)
        snprintf(ret_text + used, room - used, "%s] %s", array->ndim ? "" : "[", dtype_name(array->dtype));
}
