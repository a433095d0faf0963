/* What a measurement has done so far, so that one that was killed goes on and does not start over: rows of
 * REFERENCE_BLOCK consecutive images a file, in a folder beside the entry they are for. The folder's name is the
 * entry's key, and with it content, network, pipeline and precision: what lies there is what would be measured again.
 * It goes when the entry is there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "worker/evaluate/reference_parts.h"

static char *block_path(const Blocks *blocks, int64_t lo)
{
    return xasprintf("%s/%010" PRId64 ".npz", blocks->folder, lo);
}

void blocks_open(Blocks *blocks, const char *folder, int width, bool spatial)
{
    *blocks = (Blocks){.folder = xstrdup(folder), .width = width, .spatial = spatial};
    blocks->rows.features = xmalloc(sizeof(float) * REFERENCE_BLOCK * (size_t)width);
    blocks->rows.spatial = spatial ? xmalloc(sizeof(float) * REFERENCE_BLOCK * INCEPTION_SPATIAL) : NULL;
    blocks->rows.hashes = xmalloc((size_t)REFERENCE_BLOCK * IMAGE_HASH);
}

void blocks_close(Blocks *blocks)
{
    measure_rows_free(&blocks->rows);
    free(blocks->folder);
    *blocks = (Blocks){0};
}

/* --- reading ---------------------------------------------------------------------------------------- */

static bool read_member(const Npz *npz, const char *name, Dtype dtype, int64_t width, size_t element, void *dst)
{
    NpyArray array = {0};
    if (!npz_has(npz, name) || !npz_read(npz, name, &array, NULL))
        return false;
    bool good = array.dtype == dtype && array.ndim == 2 && array.shape[0] == REFERENCE_BLOCK && array.shape[1] == width;
    if (good)
        memcpy(dst, array.data, element * REFERENCE_BLOCK * (size_t)width);
    npy_free(&array);
    return good;
}

MeasureRows *blocks_read(Blocks *blocks, int64_t lo)
{
    char *path = block_path(blocks, lo);
    Npz *npz = access(path, F_OK) == 0 ? npz_open(path, NULL) : NULL;
    free(path);
    if (!npz)
        return NULL;
    MeasureRows *rows = &blocks->rows;
    bool good =
        read_member(npz, "features", DTYPE_F32, blocks->width, sizeof(float), rows->features) &&
        read_member(npz, "hashes", DTYPE_U8, IMAGE_HASH, 1, rows->hashes) &&
        (!blocks->spatial || read_member(npz, "spatial", DTYPE_F32, INCEPTION_SPATIAL, sizeof(float), rows->spatial));
    npz_close(npz);
    rows->first = lo;
    rows->count = REFERENCE_BLOCK;
    return good ? rows : NULL;
}

/* --- writing ---------------------------------------------------------------------------------------- */

static bool write_member(NpzWriter *writer, const char *name, Dtype dtype, int64_t width, size_t element,
                         const void *data, Err *err)
{
    const int64_t shape[2] = {REFERENCE_BLOCK, width};
    return npz_writer_begin(writer, name, dtype, 2, shape, err) &&
           npz_writer_add(writer, data, element * REFERENCE_BLOCK * (size_t)width, err);
}

static bool write_block(const Blocks *blocks, Err *err)
{
    const MeasureRows *rows = &blocks->rows;
    char *path = block_path(blocks, rows->first);
    bool made = mkdir(blocks->folder, 0777) == 0 || errno == EEXIST || err_errno(err, "cache %s", blocks->folder);
    NpzWriter *writer = made ? npz_writer_open(path, err) : NULL;
    free(path);
    if (!writer)
        return false;
    bool good = write_member(writer, "features", DTYPE_F32, blocks->width, sizeof(float), rows->features, err) &&
                write_member(writer, "hashes", DTYPE_U8, IMAGE_HASH, 1, rows->hashes, err) &&
                (!blocks->spatial ||
                 write_member(writer, "spatial", DTYPE_F32, INCEPTION_SPATIAL, sizeof(float), rows->spatial, err));
    if (good)
        return npz_writer_finish(writer, err);
    npz_writer_abort(writer);
    return false;
}

bool blocks_add(Blocks *blocks, const MeasureRows *rows, Err *err)
{
    MeasureRows *block = &blocks->rows;
    for (int at = 0; at < rows->count;) {
        if (block->count == REFERENCE_BLOCK)
            block->count = 0;
        if (block->count == 0)
            block->first = rows->first + at;
        int room = REFERENCE_BLOCK - block->count, take = rows->count - at < room ? rows->count - at : room;
        const size_t to = (size_t)block->count, from = (size_t)at, n = (size_t)take, width = (size_t)blocks->width;
        memcpy(block->features + to * width, rows->features + from * width, n * width * sizeof(float));
        memcpy(block->hashes + to * IMAGE_HASH, rows->hashes + from * IMAGE_HASH, n * IMAGE_HASH);
        if (blocks->spatial)
            memcpy(block->spatial + to * INCEPTION_SPATIAL, rows->spatial + from * INCEPTION_SPATIAL,
                   n * INCEPTION_SPATIAL * sizeof(float));
        block->count += take;
        at += take;
        if (block->count == REFERENCE_BLOCK && !write_block(blocks, err))
            return false;
    }
    return true;
}

void blocks_remove(const char *folder, int64_t images)
{
    const Blocks blocks = {.folder = (char *)folder};
    for (int64_t lo = 0; lo < images; lo += REFERENCE_BLOCK) {
        char *path = block_path(&blocks, lo);
        unlink(path);
        free(path);
    }
    rmdir(folder);
}
