/* Makes a shard durable: flushes its images, then their folder, writes its arrays, and last its manifest. The order
 * must not change (worker/job/README.md). To add a field to the manifest: an add_ function here, and its line in
 * shards.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/stall.h"
#include "worker/arrays/npy.h"
#include "worker/job/writer_parts.h"

static bool flush_path(const char *path, int flags, int64_t *ret_bytes, Err *err)
{
    stall_enter(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    struct stat st = {0};
    bool good = fd >= 0 && fsync(fd) == 0 && fstat(fd, &st) == 0;
    if (!good)
        err_errno(err, "cannot flush %s", path);
    if (fd >= 0)
        close(fd);
    stall_leave();
    *ret_bytes = st.st_size;
    return good || file_not_written(err);
}

static bool flush_images(const Writer *writer, const OpenShard *shard, cJSON *sizes, Err *err)
{
    int64_t bytes = 0;
    for (int64_t index = shard->lo; index < shard->hi; index++) {
        char *path = shard_image_path(writer->output, index);
        bool good = flush_path(path, 0, &bytes, err);
        free(path);
        if (!good)
            return false;
        cJSON_AddItemToArray(sizes, cJSON_CreateNumber((double)bytes));
    }
    char *folder = xasprintf("%s/images", writer->output);
    bool good = flush_path(folder, O_DIRECTORY, &bytes, err);
    free(folder);
    return good;
}

static bool write_rows(const OpenShard *shard, ShardArray array, const ShardRow *row, const char *path,
                       uint32_t *ret_crc, Err *err)
{
    int64_t shape[8] = {shard->hi - shard->lo};
    memcpy(shape + 1, row->shape, sizeof row->shape);
    NpyWriter *out = npy_writer_open(path, shard_array_dtype(array), row->ndim + 1, shape, err);
    if (!out)
        return false;
    for (int i = 0; i < shard->batch_count; i++) {
        const WriterBatch *batch = shard->batches[i];
        size_t bytes = (size_t)batch->count * row->bytes;
        *ret_crc = shard_crc32(*ret_crc, batch->arrays[array], bytes);
        if (!npy_writer_add(out, batch->arrays[array], bytes, err)) {
            npy_writer_abort(out);
            return false;
        }
    }
    return npy_writer_finish(out, err);
}

static bool write_array(const Writer *writer, const OpenShard *shard, ShardArray array, cJSON *entries, Err *err)
{
    char *path = shard_array_path(writer->output, shard->lo, shard->hi, array);
    uint32_t crc = 0;
    struct stat st = {0};
    bool good = write_rows(shard, array, &writer->plan.rows[array], path, &crc, err) &&
                (stat(path, &st) == 0 || err_errno(err, "cannot see %s", path) || file_not_written(err));
    free(path);
    if (good) {
        cJSON *entry = cJSON_AddObjectToObject(entries, shard_array_name(array));
        cJSON_AddNumberToObject(entry, "bytes", (double)st.st_size);
        cJSON_AddNumberToObject(entry, "crc32", crc);
    }
    return good;
}

static bool write_arrays(const Writer *writer, const OpenShard *shard, cJSON *entries, Err *err)
{
    const ShardNeeds *keeps = &writer->plan.keeps;
    for (int array = 0; array < SHARD_ARRAYS; array++)
        if (keeps->arrays[array] && (array != ARRAY_PIXELS || shard->lo < keeps->pixels_below) &&
            !write_array(writer, shard, (ShardArray)array, entries, err))
            return false;
    return true;
}

static void add_times(const OpenShard *shard, cJSON *manifest)
{
    double seconds[STAGES] = {0};
    for (int i = 0; i < shard->batch_count; i++)
        for (int stage = 0; stage < STAGES; stage++)
            seconds[stage] += shard->batches[i]->seconds[stage];
    cJSON_AddItemToObject(manifest, "seconds", stages_to_json(seconds));
}

static cJSON *size_json(const WriterBatch *batch)
{
    return cJSON_CreateIntArray((const int[]){batch->height, batch->width}, 2);
}

static bool smaller(const WriterBatch *a, const WriterBatch *b)
{
    int64_t left = (int64_t)a->height * a->width, right = (int64_t)b->height * b->width;
    return left != right ? left < right : a->height < b->height;
}

static void add_sizes(const OpenShard *shard, cJSON *manifest)
{
    const WriterBatch *least = NULL, *most = NULL;
    for (int i = 0; i < shard->batch_count; i++) {
        const WriterBatch *batch = shard->batches[i];
        if (!batch->height)
            continue;
        least = !least || smaller(batch, least) ? batch : least;
        most = !most || smaller(most, batch) ? batch : most;
    }
    if (!least)
        return;
    cJSON *sizes = cJSON_AddArrayToObject(manifest, "sizes");
    cJSON_AddItemToArray(sizes, size_json(least));
    cJSON_AddItemToArray(sizes, size_json(most));
}

/* Traits of the files that the images were read from; nothing where they have none. */
static void add_traits(const OpenShard *shard, cJSON *manifest)
{
    ImageTally tally = {0};
    for (int i = 0; i < shard->batch_count; i++)
        image_tally_sum(&tally, &shard->batches[i]->tally);
    if (tally.jpegs || tally.webps || tally.greys)
        cJSON_AddItemToObject(manifest, "traits", image_tally_json(&tally));
}

static void add_bad(const OpenShard *shard, cJSON *manifest)
{
    cJSON *list = NULL;
    for (int i = 0; i < shard->batch_count; i++) {
        const WriterBatch *batch = shard->batches[i];
        if (!batch->bad)
            continue;
        list = list ? list : cJSON_AddArrayToObject(manifest, "bad");
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, "image", (double)batch->lo);
        cJSON_AddStringToObject(one, "why", batch->bad);
        cJSON_AddItemToArray(list, one);
    }
}

static void add_made(const Writer *writer, const OpenShard *shard, cJSON *manifest)
{
    cJSON *made = cJSON_Duplicate(writer->made, true);
    if (shard->precision) {
        cJSON *meant = cJSON_DetachItemFromObjectCaseSensitive(made, "precision");
        cJSON_AddStringToObject(made, "precision", shard->precision);
        cJSON_AddItemToObject(made, "instead_of", meant);
    }
    cJSON_AddItemToObject(manifest, "made", made);
}

bool writer_shard_close(const Writer *writer, const OpenShard *shard, Err *err)
{
    cJSON *manifest = cJSON_CreateObject();
    cJSON_AddNumberToObject(manifest, "lo", (double)shard->lo);
    cJSON_AddNumberToObject(manifest, "hi", (double)shard->hi);
    cJSON_AddStringToObject(manifest, "identity", writer->identity);
    add_made(writer, shard, manifest);
    add_times(shard, manifest);
    add_sizes(shard, manifest);
    add_traits(shard, manifest);
    add_bad(shard, manifest);
    bool good = true;
    if (writer->plan.keeps.png)
        good = flush_images(writer, shard, cJSON_AddArrayToObject(manifest, "png"), err);
    good = good && write_arrays(writer, shard, cJSON_AddObjectToObject(manifest, "arrays"), err);
    if (good) {
        char *path = shard_manifest_path(writer->output, shard->lo, shard->hi),
             *text = cJSON_PrintUnformatted(manifest);
        good = file_write(path, text, strlen(text), err);
        cJSON_free(text);
        free(path);
    }
    cJSON_Delete(manifest);
    return good;
}
