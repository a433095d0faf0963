/* .npz files, written: a zip with stored members. A member's size is known from its shape, so its local header is final
 * except for the checksum, which is written when the member ends. Dates are fixed, so equal arrays make equal files. */
#include <isa-l.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "worker/arrays/npy_parts.h"
#include "worker/files/bytes.h"

enum { STORED = 20, ZIP64 = 45, DATE = 0x21 /* 1980-01-01 */, MODE = 0100644 };

/* The format's limit: sizes and offsets from here on go into zip64 fields. Tests lower it. */
uint64_t npz_zip64_from = UINT32_MAX;

typedef struct Member {
    char *name;
    uint64_t offset, size;
    uint32_t crc;
} Member;

struct NpzWriter {
    FileOut *out;
    Member *members; /* the last one is being written while missing or open */
    size_t count;
    bool open;
    size_t missing; /* bytes of numbers still to come */
};

static void put(Buf *buf, int width, uint64_t value)
{
    uint8_t bytes[8];
    bytes_put(bytes, width, value);
    buf_add(buf, bytes, (size_t)width);
}

/* A 32-bit field, or all ones when the value is in the zip64 field. */
static void put_or_full(Buf *buf, uint64_t value)
{
    put(buf, 4, value >= npz_zip64_from ? UINT32_MAX : value);
}

/* What local headers and directory entries have in common, from the version on. */
static void put_common(Buf *buf, const Member *m, bool zip64)
{
    put(buf, 2, zip64 ? ZIP64 : STORED);
    put(buf, 2, 0); /* flags */
    put(buf, 2, 0); /* method: stored */
    put(buf, 2, 0); /* time */
    put(buf, 2, DATE);
    put(buf, 4, m->crc);
    put_or_full(buf, m->size);
    put_or_full(buf, m->size);
    put(buf, 2, strlen(m->name));
}

static void print_local(Buf *buf, const Member *m)
{
    bool zip64 = m->size >= npz_zip64_from;
    buf_add(buf, "PK\3\4", 4);
    put_common(buf, m, zip64);
    put(buf, 2, zip64 ? 20 : 0);
    buf_add(buf, m->name, strlen(m->name));
    if (zip64) {
        put(buf, 2, 1);
        put(buf, 2, 16);
        put(buf, 8, m->size);
        put(buf, 8, m->size);
    }
}

static void print_entry(Buf *buf, const Member *m)
{
    unsigned extra = (m->size >= npz_zip64_from ? 16u : 0) + (m->offset >= npz_zip64_from ? 8u : 0);
    buf_add(buf, "PK\1\2", 4);
    put(buf, 2, 3 << 8 | ZIP64); /* made by: Unix */
    put_common(buf, m, extra > 0);
    put(buf, 2, extra ? extra + 4 : 0);
    put(buf, 2, 0); /* comment */
    put(buf, 2, 0); /* disk */
    put(buf, 2, 0); /* internal attributes */
    put(buf, 4, (uint64_t)MODE << 16);
    put_or_full(buf, m->offset);
    buf_add(buf, m->name, strlen(m->name));
    if (extra) {
        put(buf, 2, 1);
        put(buf, 2, extra);
    }
    if (m->size >= npz_zip64_from) {
        put(buf, 8, m->size);
        put(buf, 8, m->size);
    }
    if (m->offset >= npz_zip64_from)
        put(buf, 8, m->offset);
}

static void print_end(Buf *buf, uint64_t count, uint64_t offset, uint64_t size)
{
    if (count >= UINT16_MAX || offset >= npz_zip64_from || size >= npz_zip64_from) {
        buf_add(buf, "PK\6\6", 4);
        put(buf, 8, 44); /* bytes of this record that follow */
        put(buf, 2, 3 << 8 | ZIP64);
        put(buf, 2, ZIP64);
        put(buf, 8, 0); /* disks */
        put(buf, 8, count);
        put(buf, 8, count);
        put(buf, 8, size);
        put(buf, 8, offset);
        buf_add(buf, "PK\6\7", 4);
        put(buf, 4, 0);
        put(buf, 8, offset + size);
        put(buf, 4, 1);
    }
    buf_add(buf, "PK\5\6", 4);
    put(buf, 4, 0); /* disks */
    put(buf, 2, count >= UINT16_MAX ? UINT16_MAX : count);
    put(buf, 2, count >= UINT16_MAX ? UINT16_MAX : count);
    put_or_full(buf, size);
    put_or_full(buf, offset);
    put(buf, 2, 0); /* comment */
}

NpzWriter *npz_writer_open(const char *path, Err *err)
{
    FileOut *out = file_create(path, err);
    if (!out)
        return NULL;
    NpzWriter *writer = xcalloc(1, sizeof *writer);
    writer->out = out;
    return writer;
}

static bool add(NpzWriter *writer, const void *data, size_t size, Err *err)
{
    Member *m = &writer->members[writer->count - 1];
    m->crc = crc32_gzip_refl(m->crc, data, size);
    return file_add(writer->out, data, size, err);
}

/* Ends the member that is being written, if there is one. */
static bool end_member(NpzWriter *writer, Err *err)
{
    if (!writer->open)
        return true;
    const Member *m = &writer->members[writer->count - 1];
    if (writer->missing)
        return err_set(err, ERR_INTERNAL, "%s: %zu bytes of %s are missing", file_path(writer->out), writer->missing,
                       m->name);
    writer->open = false;
    uint8_t crc[4];
    bytes_put(crc, 4, m->crc);
    return file_patch(writer->out, m->offset + 14, crc, 4, err);
}

bool npz_writer_begin(NpzWriter *writer, const char *name, Dtype dtype, int ndim, const int64_t *shape, Err *err)
{
    Buf header = {0}, local = {0};
    if (!end_member(writer, err))
        return false;
    if (!*name || strlen(name) > 1000)
        return err_set(err, ERR_USAGE, "%s: an array needs a name of 1 to 1000 bytes", file_path(writer->out));
    if (!npy_header_print(&header, dtype, ndim, shape, &writer->missing, err))
        return err_wrap(err, "%s, array %s", file_path(writer->out), name);
    writer->members = xrealloc(writer->members, (writer->count + 1) * sizeof *writer->members);
    Member *m = &writer->members[writer->count++];
    *m = (Member){
        .name = xasprintf("%s.npy", name), .offset = file_added(writer->out), .size = header.len + writer->missing};
    writer->open = true;
    print_local(&local, m);
    bool ok = file_add(writer->out, local.data, local.len, err) && add(writer, header.data, header.len, err);
    buf_free(&local);
    buf_free(&header);
    return ok;
}

bool npz_writer_add(NpzWriter *writer, const void *data, size_t bytes, Err *err)
{
    if (!writer->open || bytes > writer->missing)
        return err_set(err, ERR_INTERNAL, "%s: %zu bytes of numbers were added, there is room for %zu more",
                       file_path(writer->out), bytes, writer->open ? writer->missing : 0);
    writer->missing -= bytes;
    return add(writer, data, bytes, err);
}

static void writer_free(NpzWriter *writer)
{
    for (size_t i = 0; i < writer->count; i++)
        free(writer->members[i].name);
    free(writer->members);
    free(writer);
}

bool npz_writer_finish(NpzWriter *writer, Err *err)
{
    bool ok = end_member(writer, err);
    if (ok) {
        Buf directory = {0};
        uint64_t offset = file_added(writer->out);
        for (size_t i = 0; i < writer->count; i++)
            print_entry(&directory, &writer->members[i]);
        print_end(&directory, writer->count, offset, directory.len);
        ok = file_add(writer->out, directory.data, directory.len, err);
        buf_free(&directory);
    }
    if (ok)
        ok = file_commit(writer->out, err);
    else
        file_abort(writer->out);
    writer_free(writer);
    return ok;
}

void npz_writer_abort(NpzWriter *writer)
{
    if (!writer)
        return;
    file_abort(writer->out);
    writer_free(writer);
}
