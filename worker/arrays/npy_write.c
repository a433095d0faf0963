/* .npy files, written: the header first, then the numbers as they come; the file appears when all of them are there. */
#include <stdlib.h>

#include "core/file.h"
#include "worker/arrays/npy_parts.h"

struct NpyWriter {
    FileOut *out;
    size_t missing; /* bytes still to come */
};

NpyWriter *npy_writer_open(const char *path, Dtype dtype, int ndim, const int64_t *shape, Err *err)
{
    Buf header = {0};
    NpyWriter *writer = xcalloc(1, sizeof *writer);
    bool ok = npy_header_print(&header, dtype, ndim, shape, &writer->missing, err) || err_wrap(err, "%s", path);
    ok = ok && (writer->out = file_create(path, err)) && file_add(writer->out, header.data, header.len, err);
    buf_free(&header);
    if (ok)
        return writer;
    npy_writer_abort(writer);
    return NULL;
}

bool npy_writer_add(NpyWriter *writer, const void *data, size_t bytes, Err *err)
{
    if (bytes > writer->missing)
        return err_set(err, ERR_INTERNAL, "%s: %zu bytes of numbers were added, its shape has room for %zu more",
                       file_path(writer->out), bytes, writer->missing);
    writer->missing -= bytes;
    return file_add(writer->out, data, bytes, err);
}

bool npy_writer_finish(NpyWriter *writer, Err *err)
{
    if (writer->missing) {
        err_set(err, ERR_INTERNAL, "%s: %zu bytes of numbers are missing", file_path(writer->out), writer->missing);
        npy_writer_abort(writer);
        return false;
    }
    bool ok = file_commit(writer->out, err);
    free(writer);
    return ok;
}

void npy_writer_abort(NpyWriter *writer)
{
    if (!writer)
        return;
    file_abort(writer->out);
    free(writer);
}

bool npy_write(const char *path, Dtype dtype, int ndim, const int64_t *shape, const void *data, Err *err)
{
    NpyWriter *writer = npy_writer_open(path, dtype, ndim, shape, err);
    if (!writer)
        return false;
    if (!npy_writer_add(writer, data, writer->missing, err)) {
        npy_writer_abort(writer);
        return false;
    }
    return npy_writer_finish(writer, err);
}
