/* .npz files, read: a zip whose members are .npy files. */
#include <stdlib.h>
#include <string.h>

#include "worker/arrays/npy_parts.h"
#include "worker/files/map.h"
#include "worker/files/zip.h"

struct Npz {
    char *path;
    FileMap map;
    Zip *zip;
};

struct NpzStream {
    const Npz *npz;
    ZipStream *zip;
};

Npz *npz_open(const char *path, Err *err)
{
    Npz *npz = xcalloc(1, sizeof *npz);
    npz->path = xstrdup(path);
    bool ok = file_map(path, &npz->map, err);
    if (ok && (npz->map.size < 4 || memcmp(npz->map.data, "PK", 2) != 0))
        ok = err_set(err, ERR_FORMAT, "%s is not a .npz: %s", path,
                     npz->map.size ? "it does not begin as a zip archive" : "it is empty");
    else if (ok)
        ok = (npz->zip = zip_open(npz->map.data, npz->map.size, err)) || err_wrap(err, "%s", path);
    if (ok)
        return npz;
    npz_close(npz);
    return NULL;
}

void npz_close(Npz *npz)
{
    if (!npz)
        return;
    zip_close(npz->zip);
    file_unmap(&npz->map);
    free(npz->path);
    free(npz);
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static ArrayFile zip_of_what(const FileMap *map)
{
    ArrayFile what = ARRAY_FILE_ZIP;
    Zip *zip = zip_open(map->data, map->size, NULL);
    for (int i = 0; zip && i < zip_count(zip) && what == ARRAY_FILE_ZIP; i++) {
        const char *name = zip_at(zip, i)->name;
        if (ends_in(name, ".npy"))
            what = ARRAY_FILE_NPZ;
        else if (ends_in(name, "/data.pkl") || strcmp(name, "data.pkl") == 0)
            what = ARRAY_FILE_OTHER;
    }
    zip_close(zip);
    return zip ? what : ARRAY_FILE_NPZ;
}

ArrayFile array_file(const char *path)
{
    FileMap map;
    if (!file_map(path, &map, NULL))
        return ARRAY_FILE_OTHER;
    ArrayFile what = ARRAY_FILE_OTHER;
    if (map.size >= 6 && memcmp(map.data, "\x93NUMPY", 6) == 0)
        what = ARRAY_FILE_NPY;
    else if (map.size >= 4 && (memcmp(map.data, "PK\3\4", 4) == 0 || memcmp(map.data, "PK\5\6", 4) == 0))
        what = zip_of_what(&map);
    file_unmap(&map);
    return what;
}

static const ZipMember *find(const Npz *npz, const char *name)
{
    char *full = xasprintf("%s.npy", name);
    const ZipMember *member = zip_find(npz->zip, full);
    free(full);
    return member;
}

bool npz_has(const Npz *npz, const char *name)
{
    return find(npz, name) != NULL;
}

char *npz_names(const Npz *npz)
{
    Buf names = {0};
    int count = zip_count(npz->zip), i = 0;
    for (; i < count && names.len < 200; i++) {
        const char *name = zip_at(npz->zip, i)->name;
        size_t len = strlen(name);
        len -= len > 4 && strcmp(name + len - 4, ".npy") == 0 ? 4 : 0;
        buf_printf(&names, "%s%.*s", i ? ", " : "", (int)(len < 60 ? len : 60), name);
    }
    if (i < count)
        buf_printf(&names, " and %d more", count - i);
    return names.data ? names.data : xstrdup("none");
}

static bool missing(const Npz *npz, const char *name, Err *err)
{
    char *names = npz_names(npz);
    err_set(err, ERR_FORMAT, "%s has no array \"%s\"; it has %s", npz->path, name, names);
    free(names);
    return false;
}

/* Reads the header off a stream; what follows in the stream are exactly the numbers. */
static bool stream_header(ZipStream *stream, const ZipMember *member, NpyHeader *ret_header, Err *err)
{
    uint8_t prefix[NPY_PREFIX];
    size_t size, have = member->size < NPY_PREFIX ? (size_t)member->size : NPY_PREFIX;
    if (!zip_stream_read(stream, prefix, have, err) || !npy_header_size(prefix, have, &size, err))
        return false;
    if (size > member->size || size > 1 << 20 || size < NPY_PREFIX)
        return err_set(err, ERR_FORMAT, "the .npy header claims %zu bytes, the member has %llu", size,
                       (unsigned long long)member->size);
    uint8_t *text = xmalloc(size);
    memcpy(text, prefix, have);
    bool ok = zip_stream_read(stream, text + have, size - have, err) && npy_header_parse(text, size, ret_header, err);
    free(text);
    if (ok && ret_header->bytes != member->size - size)
        return err_set(err, ERR_FORMAT, "its shape wants %zu bytes of numbers, the member has %llu", ret_header->bytes,
                       (unsigned long long)(member->size - size));
    return ok;
}

static bool read_member(const ZipMember *member, size_t limit, NpyArray *ret_array, Err *err)
{
    enum { DEFLATE_MOST = 1032 }; /* no deflate stream unpacks to more than this many times its size */
    if (member->deflated && member->size / DEFLATE_MOST > member->packed)
        return err_set(err, ERR_FORMAT, "it claims to unpack %llu bytes to %llu", (unsigned long long)member->packed,
                       (unsigned long long)member->size);
    ZipStream *stream = zip_stream_open(member, err);
    if (!stream)
        return false;
    NpyHeader h;
    uint8_t *numbers = NULL;
    bool ok = stream_header(stream, member, &h, err);
    if (ok && h.bytes > limit)
        ok = err_set(err, ERR_FORMAT, "its shape wants %zu bytes of numbers, and at most %zu are of use here", h.bytes,
                     limit);
    if (ok && !(numbers = malloc(h.bytes ? h.bytes : 1)))
        ok = err_set(err, ERR_MEMORY, "no memory for an array of %zu MiB", h.bytes >> 20);
    ok = ok && zip_stream_read(stream, numbers, h.bytes, err);
    zip_stream_close(stream);
    if (ok && !h.fortran) { /* as it lies */
        if (h.swap)
            npy_swap(numbers, h.count, dtype_size(h.dtype));
        *ret_array = (NpyArray){.dtype = h.dtype, .ndim = h.ndim, .data = numbers, .owns = true};
        memcpy(ret_array->shape, h.shape, sizeof h.shape);
        return true;
    }
    ok = ok && npy_convert(&h, numbers, ret_array, err);
    free(numbers);
    return ok;
}

bool npz_header(const Npz *npz, const char *name, NpyArray *ret_header, Err *err)
{
    const ZipMember *member = find(npz, name);
    if (!member)
        return missing(npz, name, err);
    NpyHeader h;
    ZipStream *stream = zip_stream_open(member, err);
    bool good = stream && stream_header(stream, member, &h, err);
    zip_stream_close(stream);
    if (!good)
        return err_wrap(err, "%s, array %s", npz->path, name);
    *ret_header = (NpyArray){.dtype = h.dtype, .ndim = h.ndim};
    memcpy(ret_header->shape, h.shape, sizeof h.shape);
    return true;
}

bool npz_read(const Npz *npz, const char *name, size_t limit, NpyArray *ret_array, Err *err)
{
    const ZipMember *member = find(npz, name);
    if (!member)
        return missing(npz, name, err);
    return read_member(member, limit, ret_array, err) || err_wrap(err, "%s, array %s", npz->path, name);
}

static bool stream_start(NpzStream *stream, const ZipMember *member, NpyArray *ret_header, Err *err)
{
    NpyHeader h;
    if (!(stream->zip = zip_stream_open(member, err)) || !stream_header(stream->zip, member, &h, err))
        return false;
    if (h.swap || (h.fortran && h.ndim > 1))
        return err_set(err, ERR_FORMAT,
                       "its rows cannot be read one by one: it is %s; save it with numpy.ascontiguousarray",
                       h.swap ? "big-endian" : "in Fortran order");
    *ret_header = (NpyArray){.dtype = h.dtype, .ndim = h.ndim};
    memcpy(ret_header->shape, h.shape, sizeof h.shape);
    return true;
}

NpzStream *npz_stream_open(const Npz *npz, const char *name, NpyArray *ret_header, Err *err)
{
    const ZipMember *member = find(npz, name);
    if (!member) {
        missing(npz, name, err);
        return NULL;
    }
    NpzStream *stream = xcalloc(1, sizeof *stream);
    stream->npz = npz;
    if (stream_start(stream, member, ret_header, err))
        return stream;
    err_wrap(err, "%s, array %s", npz->path, name);
    npz_stream_close(stream);
    return NULL;
}

bool npz_locate(const Npz *npz, const char *name, NpyArray *ret_header, int64_t *ret_offset, Err *err)
{
    NpzStream *stream = npz_stream_open(npz, name, ret_header, err);
    if (!stream)
        return false;
    npz_stream_close(stream);
    const ZipMember *member = find(npz, name);
    size_t bytes = dtype_size(ret_header->dtype); /* npz_stream_open compared them with the member's size */
    for (int i = 0; i < ret_header->ndim; i++)
        bytes *= (size_t)ret_header->shape[i];
    *ret_offset = member->deflated ? -1 : (int64_t)((member->data - npz->map.data) + (member->size - bytes));
    return true;
}

bool npz_check(const Npz *npz, const char *name, Err *err)
{
    const ZipMember *member = find(npz, name);
    if (!member)
        return missing(npz, name, err);
    return member->deflated || !member->crc || zip_check(member, err) || err_wrap(err, "%s", npz->path);
}

bool npz_stream_read(NpzStream *stream, void *dst, size_t bytes, Err *err)
{
    return zip_stream_read(stream->zip, dst, bytes, err) || err_wrap(err, "%s", stream->npz->path);
}

void npz_stream_close(NpzStream *stream)
{
    if (!stream)
        return;
    zip_stream_close(stream->zip);
    free(stream);
}
