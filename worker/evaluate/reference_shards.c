/* What a measurement has done so far, so that a killed one resumes: rows of REFERENCE_SHARD consecutive images a file,
 * in a folder beside the entry they are for. The folder's name is the entry's key, and with it content, network,
 * pipeline and precision: its rows equal what would be measured again. It is removed when the entry is complete. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "worker/evaluate/reference_parts.h"

static char *shard_path(const ReferenceShards *shards, int64_t lo)
{
    return xasprintf("%s/%010" PRId64 ".npz", shards->folder, lo);
}

void reference_shards_open(ReferenceShards *shards, const char *folder, int width, bool spatial)
{
    *shards = (ReferenceShards){.folder = xstrdup(folder), .width = width, .spatial = spatial};
    shards->rows.features = xmalloc(sizeof(float) * REFERENCE_SHARD * (size_t)width);
    shards->rows.spatial = spatial ? xmalloc(sizeof(float) * REFERENCE_SHARD * INCEPTION_SPATIAL) : NULL;
    shards->rows.hashes = xmalloc((size_t)REFERENCE_SHARD * IMAGE_HASH);
}

void reference_shards_close(ReferenceShards *shards)
{
    measure_rows_free(&shards->rows);
    free(shards->folder);
    *shards = (ReferenceShards){0};
}

/* --- reading ---------------------------------------------------------------------------------------- */

static bool read_member(const Npz *npz, const char *name, Dtype dtype, int64_t width, size_t element, void *dst)
{
    NpyArray array = {0};
    if (!npz_has(npz, name) || !npz_read(npz, name, element * REFERENCE_SHARD * (size_t)width, &array, NULL))
        return false;
    bool good = array.dtype == dtype && array.ndim == 2 && array.shape[0] == REFERENCE_SHARD && array.shape[1] == width;
    if (good)
        memcpy(dst, array.data, element * REFERENCE_SHARD * (size_t)width);
    npy_free(&array);
    return good;
}

MeasureRows *reference_shards_read(ReferenceShards *shards, int64_t lo)
{
    char *path = shard_path(shards, lo);
    Npz *npz = access(path, F_OK) == 0 ? npz_open(path, NULL) : NULL;
    free(path);
    if (!npz)
        return NULL;
    MeasureRows *rows = &shards->rows;
    bool good =
        read_member(npz, "features", DTYPE_F32, shards->width, sizeof(float), rows->features) &&
        read_member(npz, "hashes", DTYPE_U8, IMAGE_HASH, 1, rows->hashes) &&
        (!shards->spatial || read_member(npz, "spatial", DTYPE_F32, INCEPTION_SPATIAL, sizeof(float), rows->spatial));
    npz_close(npz);
    rows->first = lo;
    rows->count = REFERENCE_SHARD;
    return good ? rows : NULL;
}

/* --- writing ---------------------------------------------------------------------------------------- */

static bool write_member(NpzWriter *writer, const char *name, Dtype dtype, int64_t width, size_t element,
                         const void *data, Err *err)
{
    const int64_t shape[2] = {REFERENCE_SHARD, width};
    return npz_writer_begin(writer, name, dtype, 2, shape, err) &&
           npz_writer_add(writer, data, element * REFERENCE_SHARD * (size_t)width, err);
}

static bool write_shard(const ReferenceShards *shards, Err *err)
{
    const MeasureRows *rows = &shards->rows;
    char *path = shard_path(shards, rows->first);
    bool made = mkdir(shards->folder, 0777) == 0 || errno == EEXIST || err_errno(err, "cache %s", shards->folder);
    NpzWriter *writer = made ? npz_writer_open(path, err) : NULL;
    free(path);
    if (!writer)
        return false;
    bool good = write_member(writer, "features", DTYPE_F32, shards->width, sizeof(float), rows->features, err) &&
                write_member(writer, "hashes", DTYPE_U8, IMAGE_HASH, 1, rows->hashes, err) &&
                (!shards->spatial ||
                 write_member(writer, "spatial", DTYPE_F32, INCEPTION_SPATIAL, sizeof(float), rows->spatial, err));
    if (good)
        return npz_writer_finish(writer, err);
    npz_writer_abort(writer);
    return false;
}

bool reference_shards_add(ReferenceShards *shards, const MeasureRows *rows, Err *err)
{
    MeasureRows *shard = &shards->rows;
    for (int at = 0; at < rows->count;) {
        if (shard->count == REFERENCE_SHARD)
            shard->count = 0;
        if (shard->count == 0)
            shard->first = rows->first + at;
        int room = REFERENCE_SHARD - shard->count, take = rows->count - at < room ? rows->count - at : room;
        const size_t to = (size_t)shard->count, from = (size_t)at, n = (size_t)take, width = (size_t)shards->width;
        memcpy(shard->features + to * width, rows->features + from * width, n * width * sizeof(float));
        memcpy(shard->hashes + to * IMAGE_HASH, rows->hashes + from * IMAGE_HASH, n * IMAGE_HASH);
        if (shards->spatial)
            memcpy(shard->spatial + to * INCEPTION_SPATIAL, rows->spatial + from * INCEPTION_SPATIAL,
                   n * INCEPTION_SPATIAL * sizeof(float));
        shard->count += take;
        at += take;
        if (shard->count == REFERENCE_SHARD && !write_shard(shards, err))
            return false;
    }
    return true;
}

void reference_shards_remove(const char *folder, int64_t images)
{
    const ReferenceShards shards = {.folder = (char *)folder};
    for (int64_t lo = 0; lo < images; lo += REFERENCE_SHARD) {
        char *path = shard_path(&shards, lo);
        unlink(path);
        free(path);
    }
    rmdir(folder);
}
