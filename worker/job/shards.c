/* Finds, validates and reads the shards in blocks/. Only writer.c makes them.
 *
 * To add an array: an enum value, its row in `arrays`, and the code that fills it (writer.c). */
#include "worker/job/shards.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/stall.h"
#include "worker/arrays/npy.h"
#include "worker/files/map.h"

static const struct {
    const char *name;
    Dtype dtype;
} arrays[SHARD_ARRAYS] = {
    [ARRAY_CODES] = {"codes", DTYPE_I32},       [ARRAY_VECTORS] = {"vectors", DTYPE_F32},
    [ARRAY_FEATURES] = {"features", DTYPE_F32}, [ARRAY_FEATURES_TF] = {"features_tf", DTYPE_F32},
    [ARRAY_SPATIAL] = {"spatial", DTYPE_F32},   [ARRAY_HASHES] = {"hashes", DTYPE_U8},
    [ARRAY_PIXELS] = {"pixels", DTYPE_U8},
};

enum { MANIFEST_MAX = 1 << 22 };

const char *shard_array_name(ShardArray array)
{
    return arrays[array].name;
}

Dtype shard_array_dtype(ShardArray array)
{
    return arrays[array].dtype;
}

char *shard_manifest_path(const char *output, int64_t lo, int64_t hi)
{
    return xasprintf("%s/blocks/%06" PRId64 "-%06" PRId64 ".json", output, lo, hi);
}

char *shard_array_path(const char *output, int64_t lo, int64_t hi, ShardArray array)
{
    return xasprintf("%s/blocks/%06" PRId64 "-%06" PRId64 ".%s.npy", output, lo, hi, arrays[array].name);
}

char *shard_image_path(const char *output, int64_t index)
{
    return xasprintf("%s/images/%06" PRId64 ".png", output, index);
}

uint32_t shard_crc32(uint32_t crc, const void *data, size_t size)
{
    return size ? crc32_gzip_refl(crc, data, size) : crc;
}

/* --- judging a manifest --------------------------------------------------------------------------- */

static bool file_has_size(const char *path, const cJSON *bytes)
{
    struct stat st;
    return cJSON_IsNumber(bytes) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (double)st.st_size == bytes->valuedouble;
}

static bool rows_match(const char *path, int64_t count, uint32_t crc)
{
    NpyArray array = {0};
    if (!npy_open(path, &array, NULL))
        return false;
    size_t bytes = dtype_size(array.dtype);
    for (int i = 0; i < array.ndim; i++)
        bytes *= (size_t)array.shape[i];
    bool good = array.ndim > 0 && array.shape[0] == count && shard_crc32(0, array.data, bytes) == crc;
    npy_free(&array);
    return good;
}

static bool array_valid(const char *output, const Shard *shard, ShardArray array, bool contents)
{
    const cJSON *entries = cJSON_GetObjectItemCaseSensitive(shard->manifest, "arrays");
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(entries, arrays[array].name);
    const cJSON *crc = cJSON_GetObjectItemCaseSensitive(entry, "crc32");
    char *path = shard_array_path(output, shard->lo, shard->hi, array);
    bool good = cJSON_IsNumber(crc) && file_has_size(path, cJSON_GetObjectItemCaseSensitive(entry, "bytes")) &&
                (!contents || rows_match(path, shard->hi - shard->lo, (uint32_t)crc->valuedouble));
    free(path);
    return good;
}

static bool images_valid(const char *output, const Shard *shard)
{
    const cJSON *sizes = cJSON_GetObjectItemCaseSensitive(shard->manifest, "png"), *size;
    int64_t index = shard->lo;
    cJSON_ArrayForEach(size, sizes)
    {
        char *path = shard_image_path(output, index++);
        bool good = file_has_size(path, size);
        free(path);
        if (!good)
            return false;
    }
    return index == shard->hi;
}

static bool manifest_valid(const char *output, const Shard *shard, const ShardNeeds *needs)
{
    const cJSON *lo = cJSON_GetObjectItemCaseSensitive(shard->manifest, "lo");
    const cJSON *hi = cJSON_GetObjectItemCaseSensitive(shard->manifest, "hi");
    const cJSON *identity = cJSON_GetObjectItemCaseSensitive(shard->manifest, "identity");
    if (!cJSON_IsNumber(lo) || lo->valuedouble != (double)shard->lo || !cJSON_IsNumber(hi) ||
        hi->valuedouble != (double)shard->hi || !cJSON_IsString(identity) ||
        strcmp(identity->valuestring, needs->identity) != 0)
        return false;
    if (needs->readable && cJSON_GetObjectItemCaseSensitive(shard->manifest, "bad"))
        return false;
    for (int array = 0; array < SHARD_ARRAYS; array++) {
        bool needed = needs->arrays[array] && (array != ARRAY_PIXELS || shard->lo < needs->pixels_below);
        if (needed && !array_valid(output, shard, (ShardArray)array, needs->contents))
            return false;
    }
    return !needs->png || images_valid(output, shard);
}

static cJSON *read_manifest(const char *path)
{
    FileMap map;
    if (!file_map(path, &map, NULL))
        return NULL;
    cJSON *manifest = map.size <= MANIFEST_MAX ? cJSON_ParseWithLength((const char *)map.data, map.size) : NULL;
    file_unmap(&map);
    return manifest;
}

/* "000000-000256.json" */
static bool parse_name(const char *name, int64_t *ret_lo, int64_t *ret_hi)
{
    int used = 0;
    return name[0] != '.' && sscanf(name, "%" SCNd64 "-%" SCNd64 ".json%n", ret_lo, ret_hi, &used) == 2 && used > 0 &&
           !name[used] && *ret_lo >= 0 && *ret_lo < *ret_hi;
}

/* --- finding them --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const Shard *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi > y->hi ? -1 : x->hi < y->hi;
}

static void append(Shards *shards, Shard shard)
{
    if ((shards->count & (shards->count - 1)) == 0) /* at 0, 1, 2, 4, ... */
        shards->items = xrealloc(shards->items, (size_t)(shards->count ? 2 * shards->count : 1) * sizeof shard);
    shards->items[shards->count++] = shard;
}

bool shards_scan(const char *output, const ShardNeeds *needs, int64_t lo, int64_t hi, Shards *ret_shards, Err *err)
{
    Shards shards = {.output = xstrdup(output)};
    char *folder = xasprintf("%s/blocks", output);
    stall_enter(folder);
    DIR *dir = opendir(folder);
    stall_leave();
    if (!dir && errno != ENOENT) {
        err_errno(err, "folder %s", folder);
        free(folder);
        shards_done(&shards);
        return false;
    }
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        Shard shard = {0};
        if (!parse_name(entry->d_name, &shard.lo, &shard.hi) || shard.lo >= hi || shard.hi <= lo)
            continue;
        char *path = xasprintf("%s/%s", folder, entry->d_name);
        stall_enter(path); /* its images are checked as well */
        shard.manifest = read_manifest(path);
        if (shard.manifest && manifest_valid(output, &shard, needs)) {
            append(&shards, shard);
        } else {
            cJSON_Delete(shard.manifest);
            if (needs->contents)
                unlink(path);
        }
        stall_leave();
        free(path);
    }
    if (dir)
        closedir(dir);
    free(folder);
    if (shards.count)
        qsort(shards.items, (size_t)shards.count, sizeof *shards.items, compare);
    *ret_shards = shards;
    return true;
}

void shards_done(Shards *shards)
{
    for (int i = 0; i < shards->count; i++)
        cJSON_Delete(shards->items[i].manifest);
    free(shards->items);
    free(shards->output);
    *shards = (Shards){0};
}

int64_t shards_reach(const Shards *shards, int64_t at)
{
    for (int i = 0; i < shards->count && shards->items[i].lo <= at; i++)
        if (shards->items[i].hi > at)
            at = shards->items[i].hi;
    return at;
}

int64_t shards_next(const Shards *shards, int64_t at, int64_t end)
{
    for (int i = 0; i < shards->count; i++)
        if (shards->items[i].hi > at)
            return shards->items[i].lo > at ? (shards->items[i].lo < end ? shards->items[i].lo : end) : at;
    return end;
}

/* --- reading arrays ------------------------------------------------------------------------------- */

static bool same_row(const NpyArray *array, ShardArray which, const ShardRow *row)
{
    if (array->dtype != arrays[which].dtype || array->ndim != row->ndim + 1)
        return false;
    for (int i = 0; i < row->ndim; i++)
        if (array->shape[i + 1] != row->shape[i])
            return false;
    return true;
}

static ShardRow row_of(const NpyArray *array)
{
    ShardRow row = {.ndim = array->ndim - 1, .bytes = dtype_size(array->dtype)};
    for (int i = 0; i < row.ndim; i++) {
        row.shape[i] = array->shape[i + 1];
        row.bytes *= (size_t)row.shape[i];
    }
    return row;
}

/* Rows at..end-1 out of one shard. */
static bool read_shard(const Shards *shards, const Shard *shard, ShardArray which, int64_t at, int64_t end,
                       ShardRow *row, ShardRowsFn on_rows, void *ctx, Err *err)
{
    char *path = shard_array_path(shards->output, shard->lo, shard->hi, which);
    NpyArray array = {0};
    bool good = npy_open(path, &array, err);
    if (good) {
        if (!row->bytes)
            *row = row_of(&array);
        if (!same_row(&array, which, row) || array.shape[0] != shard->hi - shard->lo)
            good = err_set(err, ERR_FORMAT,
                           "%s: its shape does not fit the other shards of this job; remove it and run the "
                           "job again",
                           path);
    }
    if (good)
        good = on_rows((const char *)array.data + (size_t)(at - shard->lo) * row->bytes, end - at, row, ctx, err);
    npy_free(&array);
    free(path);
    return good;
}

bool shards_read(const Shards *shards, ShardArray array, int64_t lo, int64_t hi, ShardRowsFn on_rows, void *ctx,
                 Err *err)
{
    ShardRow row = {0};
    int64_t at = lo;
    for (int i = 0; i < shards->count && at < hi; i++) {
        const Shard *shard = &shards->items[i];
        if (shard->lo > at)
            break;
        if (shard->hi <= at)
            continue;
        int64_t end = shard->hi < hi ? shard->hi : hi;
        if (!read_shard(shards, shard, array, at, end, &row, on_rows, ctx, err))
            return false;
        at = end;
    }
    return at >= hi ||
           err_set(err, ERR_INTERNAL, "%s/blocks: no %s of image %" PRId64, shards->output, arrays[array].name, at);
}

/* --- cleaning up ---------------------------------------------------------------------------------- */

static bool named_by(const Shards *shards, const char *name)
{
    int64_t lo, hi;
    if (name[0] == '.' || sscanf(name, "%" SCNd64 "-%" SCNd64 ".", &lo, &hi) != 2)
        return false;
    for (int i = 0; i < shards->count; i++)
        if (shards->items[i].lo == lo && shards->items[i].hi == hi)
            return true;
    return false;
}

/* Hidden files are unfinished ones (file.h). */
static void sweep_folder(const char *folder, const Shards *known)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        size_t len = strlen(name);
        bool unfinished = len > 5 && strcmp(name + len - 5, ".part") == 0;
        bool stray = known && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !named_by(known, name);
        if (unfinished || stray)
            unlinkat(dirfd(dir), name, 0);
    }
    if (dir)
        closedir(dir);
}

void shards_sweep(const Shards *shards)
{
    char *images = xasprintf("%s/images", shards->output), *blocks = xasprintf("%s/blocks", shards->output);
    sweep_folder(shards->output, NULL);
    sweep_folder(images, NULL);
    sweep_folder(blocks, shards);
    free(images);
    free(blocks);
}

void shards_drop_array(const Shards *shards, ShardArray array)
{
    for (int i = 0; i < shards->count; i++) {
        char *path = shard_array_path(shards->output, shards->items[i].lo, shards->items[i].hi, array);
        unlink(path);
        free(path);
    }
}
