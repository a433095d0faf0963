/* Arrays as sources: .npy and .npz of [n,height,width,3] u8. One image is read at a time, by pread where the numbers
 * lie plain in the file, so a 10 GB array costs one image of memory and a file that shrinks meanwhile is an error and
 * no bus error. A deflated .npz is unpacked in order; going back in it starts from its beginning. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/stall.h"
#include "worker/images/parts.h"

static bool check_array(ImageSource *source, const NpyArray *array, Err *err)
{
    char shape[128];
    npy_print_shape(array, shape, sizeof shape);
    if (array->dtype != DTYPE_U8 || array->ndim != 4 || array->shape[3] != 3)
        return err_set(err, ERR_FORMAT, "images %s: the array is %s, wanted [n,height,width,3] u8", source->path,
                       shape);
    if (array->shape[0] < 1)
        return err_set(err, ERR_NOT_FOUND, "images %s: the array %s holds no images", source->path, shape);
    if (array->shape[1] < 1 || array->shape[2] < 1 || array->shape[1] > IMAGE_MAX_SIDE ||
        array->shape[2] > IMAGE_MAX_SIDE || array->shape[1] * array->shape[2] > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_FORMAT, "images %s: the array is %s; a side may be 1 to %d", source->path, shape,
                       IMAGE_MAX_SIDE);
    source->count = array->shape[0];
    source->height = (int)array->shape[1];
    source->width = (int)array->shape[2];
    return true;
}

/* Before anything else is looked at, so that a file that is replaced meanwhile shows. */
static bool open_file(ImageSource *source, Err *err)
{
    struct stat st;
    if ((source->fd = file_open(source->path, err)) < 0)
        return err_wrap(err, "images");
    if (fstat(source->fd, &st) != 0)
        return err_errno(err, "images %s", source->path);
    source->stamp = image_stamp(&st);
    return true;
}

static bool array_same(ImageSource *source, Err *err)
{
    struct stat st;
    if (stat(source->path, &st) != 0)
        return err_errno(err, "images %s", source->path);
    return image_stamp_same(source->path, &source->stamp, &st, err);
}

static bool array_fresh(ImageSource *source)
{
    return array_same(source, NULL);
}

static void array_close(ImageSource *source)
{
    if (source->fd >= 0)
        close(source->fd);
    npz_stream_close(source->stream);
    npz_close(source->npz);
    npy_free(&source->npy);
}

/* --- opening --------------------------------------------------------------------------------------- */

static bool npz_source_open(ImageSource *source, Err *err)
{
    if (!open_file(source, err) || !(source->npz = npz_open(source->path, err)))
        return false;
    if (!npz_has(source->npz, "arr_0"))
        return err_set(err, ERR_FORMAT,
                       "images %s: has no arr_0; wanted samples as [n,height,width,3] u8 under that name",
                       source->path);
    NpyArray header;
    return npz_locate(source->npz, "arr_0", &header, &source->offset, err) && check_array(source, &header, err);
}

static bool npy_source_open(ImageSource *source, Err *err)
{
    if (!open_file(source, err) || !npy_open(source->path, &source->npy, err))
        return false;
    if (!source->npy.owns)
        source->offset = (const uint8_t *)source->npy.data - (const uint8_t *)source->npy.map;
    return check_array(source, &source->npy, err);
}

/* --- reading --------------------------------------------------------------------------------------- */

static bool read_plain(ImageSource *source, int64_t index, uint8_t *rgb, size_t bytes, Err *err)
{
    off_t at = source->offset + index * (int64_t)bytes;
    for (size_t got = 0; got < bytes;) {
        stall_enter(source->path);
        ssize_t n = pread(source->fd, rgb + got, bytes - got, at + (off_t)got);
        stall_leave();
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "images %s, image %lld", source->path, (long long)index);
        if (n == 0)
            return err_set(err, ERR_FORMAT, "images %s, image %lld: the file ends before it", source->path,
                           (long long)index);
        got += (size_t)n;
    }
    return true;
}

/* One after the other; what lies between is unpacked and dropped. */
static bool read_stream(ImageSource *source, int64_t index, uint8_t *rgb, size_t bytes, Err *err)
{
    NpyArray header;
    if (!source->stream || source->stream_next > index) {
        npz_stream_close(source->stream);
        source->stream = npz_stream_open(source->npz, "arr_0", &header, err);
        source->stream_next = 0;
    }
    for (bool ok = source->stream != NULL; ok; ok = npz_stream_read(source->stream, rgb, bytes, err)) {
        if (source->stream_next == index + 1)
            return true;
        source->stream_next++;
    }
    npz_stream_close(source->stream);
    source->stream = NULL;
    return err_wrap(err, "images %s, image %lld", source->path, (long long)index);
}

static bool array_read(ImageSource *source, int64_t index, Image *ret_image, Err *err)
{
    size_t bytes = (size_t)source->width * (size_t)source->height * 3;
    Image image = {source->width, source->height, malloc(bytes), 0};
    struct stat st;
    bool ok = image.rgb != NULL;
    if (!ok) {
        err_set(err, ERR_MEMORY, "images %s: no memory for %dx%d pixels", source->path, image.width, image.height);
    } else if (source->offset >= 0) {
        ok = read_plain(source, index, image.rgb, bytes, err);
    } else if (source->npy.owns) {
        memcpy(image.rgb, (const uint8_t *)source->npy.data + bytes * (size_t)index, bytes);
    } else {
        pthread_mutex_lock(&source->stream_lock);
        ok = read_stream(source, index, image.rgb, bytes, err);
        pthread_mutex_unlock(&source->stream_lock);
    }
    ok = ok && (fstat(source->fd, &st) == 0 || err_errno(err, "images %s", source->path)) &&
         image_stamp_same(source->path, &source->stamp, &st, err);
    if (ok)
        *ret_image = image;
    else
        image_free(&image);
    return ok;
}

const SourceKind source_npz = {ARRAY_FILE_NPZ, npz_source_open, array_read, array_same, array_fresh, array_close};
const SourceKind source_npy = {ARRAY_FILE_NPY, npy_source_open, array_read, array_same, array_fresh, array_close};
