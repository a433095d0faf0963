/* .npy files, written: the header first, then the numbers as they come; the file appears when all of them are there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/stall.h"
#include "worker/arrays/npy_parts.h"
#include "worker/files/mapped.h"

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

/* --- in place --------------------------------------------------------------------------------------- */

/* The file with all of its blocks; -1 with an error. */
static int create_file(const char *path, size_t size, Err *err)
{
    stall_enter(path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int failed = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)size);
    stall_leave();
    if (!failed)
        return fd;
    if (fd >= 0) {
        unlink(path);
        close(fd);
    }
    errno = failed;
    err_errno(err, "%s cannot be created with %zu MiB", path, size >> 20);
    return -1;
}

bool npy_create(const char *path, Dtype dtype, int ndim, const int64_t *shape, NpyArray *ret_array, Err *err)
{
    Buf header = {0};
    size_t bytes = 0;
    int fd = -1;
    bool good =
        npy_header_print(&header, dtype, ndim, shape, &bytes, err) || err_wrap(err, "%s", path ? path : "array");
    const size_t size = header.len + bytes;
    good = good && (!path || (fd = create_file(path, size, err)) >= 0);
    void *map = MAP_FAILED;
    if (good) {
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
        good = map != MAP_FAILED || err_set(err, ERR_MEMORY, "no memory for an array of %zu MiB", size >> 20);
    }
    if (fd >= 0)
        close(fd);
    if (good) {
        memcpy(map, header.data, header.len);
        if (path)
            mapped_add(map, size, path);
        *ret_array =
            (NpyArray){.dtype = dtype, .ndim = ndim, .data = (char *)map + header.len, .map = map, .map_size = size};
        memcpy(ret_array->shape, shape, sizeof *shape * (size_t)ndim);
    } else if (path) {
        unlink(path);
    }
    buf_free(&header);
    return good;
}

bool npy_flush(const NpyArray *array, const char *path, Err *err)
{
    stall_enter(path);
    bool good = msync(array->map, array->map_size, MS_SYNC) == 0 || err_errno(err, "%s cannot be written", path);
    stall_leave();
    return good;
}
