/* Hashes first: they say which images have a row and which are copies. Then each array is copied row by row into a
 * hidden file that is mapped and unlinked at once. */
#include "worker/job/merge.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "worker/images/images.h"

static const uint8_t no_hash[IMAGE_HASH];

/* --- hashes ----------------------------------------------------------------------------------------- */

typedef struct Hashes {
    uint8_t *all; /* [images,32] */
    int64_t count;
} Hashes;

static bool take_hashes(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    Hashes *hashes = ctx;
    if (row->bytes != IMAGE_HASH)
        return err_set(err, ERR_FORMAT, "blocks/: hashes of %zu bytes, wanted %d; remove blocks/ and run the job again",
                       row->bytes, IMAGE_HASH);
    memcpy(hashes->all + hashes->count * IMAGE_HASH, rows, (size_t)count * IMAGE_HASH);
    hashes->count += count;
    return true;
}

static bool is_there(const Hashes *hashes, int64_t image)
{
    return memcmp(hashes->all + image * IMAGE_HASH, no_hash, IMAGE_HASH) != 0;
}

static void count_rows(Merged *g, const Hashes *hashes)
{
    for (int64_t i = 0; i < g->images; i++)
        g->count += is_there(hashes, i);
    if (g->count == g->images)
        return;
    g->index = xmalloc((size_t)(g->count + 1) * sizeof *g->index);
    for (int64_t i = 0, r = 0; i < g->images; i++)
        if (is_there(hashes, i))
            g->index[r++] = i;
}

int64_t merged_image(const Merged *merged, int64_t row)
{
    return merged->index ? merged->index[row] : row;
}

/* --- duplicates ------------------------------------------------------------------------------------- */

typedef struct Named {
    const uint8_t *hash;
    int64_t image;
} Named;

static int by_hash(const void *a, const void *b)
{
    const Named *x = a, *y = b;
    int order = memcmp(x->hash, y->hash, IMAGE_HASH);
    return order ? order : x->image < y->image ? -1 : 1;
}

static int by_image(const void *a, const void *b)
{
    const MergePair *x = a, *y = b;
    return x->image < y->image ? -1 : 1;
}

static void find_duplicates(Merged *g, const Hashes *hashes)
{
    Named *named = xmalloc((size_t)(g->count + 1) * sizeof *named);
    MergePair *pairs = xmalloc((size_t)(g->count + 1) * sizeof *pairs);
    for (int64_t r = 0; r < g->count; r++)
        named[r] = (Named){hashes->all + merged_image(g, r) * IMAGE_HASH, merged_image(g, r)};
    qsort(named, (size_t)g->count, sizeof *named, by_hash);
    for (int64_t r = 1, first = 0; r < g->count; r++) {
        if (memcmp(named[r].hash, named[first].hash, IMAGE_HASH) == 0)
            pairs[g->duplicates++] = (MergePair){named[r].image, named[first].image};
        else
            first = r;
    }
    qsort(pairs, (size_t)g->duplicates, sizeof *pairs, by_image);
    g->pair_count = g->duplicates < MERGE_NAMED ? (int)g->duplicates : MERGE_NAMED;
    memcpy(g->pairs, pairs, (size_t)g->pair_count * sizeof *pairs);
    free(named);
    free(pairs);
}

/* --- what manifests say ----------------------------------------------------------------------------- */

/* Keeps the smaller (way -1) or larger (way 1) of two sizes. */
static void take_size(const cJSON *size, int ret_size[2], int way)
{
    const cJSON *height = cJSON_GetArrayItem(size, 0), *width = cJSON_GetArrayItem(size, 1);
    if (!cJSON_IsNumber(height) || !cJSON_IsNumber(width))
        return;
    int64_t is = (int64_t)height->valueint * width->valueint, was = (int64_t)ret_size[0] * ret_size[1];
    int order = is != was ? (is < was ? -1 : 1) : height->valueint - ret_size[0];
    if (!was || way * order > 0) {
        ret_size[0] = height->valueint;
        ret_size[1] = width->valueint;
    }
}

static void take_bad(Merged *g, const cJSON *list)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, list)
    {
        const cJSON *image = cJSON_GetObjectItemCaseSensitive(one, "image"),
                    *why = cJSON_GetObjectItemCaseSensitive(one, "why");
        if (g->bad_count == MERGE_NAMED || !cJSON_IsNumber(image) || !cJSON_IsString(why))
            return;
        int64_t number = (int64_t)image->valuedouble;
        bool again = g->bad_count && g->bad[g->bad_count - 1].image >= number; /* shards may overlap */
        if (!again)
            g->bad[g->bad_count++] = (MergeBad){number, xstrdup(why->valuestring)};
    }
}

/* Shards may overlap; of one that does, no more images count than it has of its own. */
static void take_traits(Merged *g, const cJSON *traits, int64_t own)
{
    ImageTally tally = {0};
    if (!image_tally_read(&tally, traits))
        return;
    int64_t *const counts[] = {&tally.jpegs, &tally.webps, &tally.greys};
    for (size_t i = 0; i < countof(counts); i++)
        *counts[i] = *counts[i] < own ? *counts[i] : own;
    image_tally_sum(&g->tally, &tally);
}

static void read_manifests(Merged *g, const Shards *shards)
{
    int64_t upto = 0;
    for (int i = 0; i < shards->count; i++) {
        const Shard *shard = &shards->items[i];
        const cJSON *manifest = shard->manifest;
        const int64_t from = shard->lo > upto ? shard->lo : upto;
        if (shard->hi > from) {
            take_traits(g, cJSON_GetObjectItemCaseSensitive(manifest, "traits"), shard->hi - from);
            upto = shard->hi;
        }
        const cJSON *sizes = cJSON_GetObjectItemCaseSensitive(manifest, "sizes");
        take_size(cJSON_GetArrayItem(sizes, 0), g->least, -1);
        take_size(cJSON_GetArrayItem(sizes, 1), g->most, 1);
        take_bad(g, cJSON_GetObjectItemCaseSensitive(manifest, "bad"));
    }
}

/* --- arrays ----------------------------------------------------------------------------------------- */

typedef struct Copy {
    const Hashes *hashes;
    const char *path;
    int64_t wanted, image; /* rows of the array; the image that comes next */
    NpyWriter *writer;
    ShardArray array;
} Copy;

static bool copy_rows(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    Copy *copy = ctx;
    if (!copy->writer) {
        int64_t shape[8] = {copy->wanted};
        memcpy(shape + 1, row->shape, sizeof row->shape);
        copy->writer = npy_writer_open(copy->path, shard_array_dtype(copy->array), row->ndim + 1, shape, err);
        if (!copy->writer)
            return false;
    }
    for (int64_t i = 0; i < count; copy->image++, i++)
        if (is_there(copy->hashes, copy->image) &&
            !npy_writer_add(copy->writer, (const char *)rows + (size_t)i * row->bytes, row->bytes, err))
            return false;
    return true;
}

static bool map_array(const char *output, const Shards *shards, ShardArray array, const Merged *g, const Hashes *hashes,
                      NpyArray *ret_map, Features *ret_features, Err *err)
{
    char *path = xasprintf("%s/.%s.%ld.part", output, shard_array_name(array), (long)getpid());
    Copy copy = {.hashes = hashes, .path = path, .wanted = g->count, .array = array};
    bool good = shards_read(shards, array, 0, g->images, copy_rows, &copy, err);
    if (good)
        good = npy_writer_finish(copy.writer, err) && npy_open(path, ret_map, err);
    else
        npy_writer_abort(copy.writer);
    unlink(path); /* the mapping holds it */
    free(path);
    if (good)
        *ret_features = (Features){ret_map->data, g->count, (int)ret_map->shape[1]};
    return good;
}

static bool map_arrays(const char *output, const Shards *shards, const ShardNeeds *keeps, const Hashes *hashes,
                       Merged *g, Err *err)
{
    const struct {
        ShardArray array;
        Features *features;
    } wanted[] = {{ARRAY_FEATURES, &g->features}, {ARRAY_FEATURES_TF, &g->features_tf}, {ARRAY_SPATIAL, &g->spatial}};
    for (size_t i = 0; i < countof(wanted); i++)
        if (keeps->arrays[wanted[i].array] &&
            !map_array(output, shards, wanted[i].array, g, hashes, &g->maps[i], wanted[i].features, err))
            return false;
    return true;
}

bool merge_open(const char *output, const Shards *shards, int64_t images, const ShardNeeds *keeps, Merged *ret_merged,
                Err *err)
{
    assert(keeps->arrays[ARRAY_HASHES]);
    Merged g = {.images = images};
    Hashes hashes = {.all = malloc((size_t)images * IMAGE_HASH + 1)};
    bool good = hashes.all || err_set(err, ERR_MEMORY, "no memory for the hashes of %lld images", (long long)images);
    good = good && shards_read(shards, ARRAY_HASHES, 0, images, take_hashes, &hashes, err);
    if (good) {
        count_rows(&g, &hashes);
        read_manifests(&g, shards);
        image_set_hash(hashes.all, images, g.sha256);
        find_duplicates(&g, &hashes);
        if (g.count == 0)
            good = err_set(err, ERR_FORMAT, "none of the %lld images can be read: %s", (long long)images,
                           g.bad_count ? g.bad[0].why : "");
    }
    good = good && map_arrays(output, shards, keeps, &hashes, &g, err);
    free(hashes.all);
    if (good)
        *ret_merged = g;
    else
        merge_close(&g);
    return good;
}

bool merge_save(const Features *features, const char *path, Err *err)
{
    int64_t shape[2] = {features->count, features->dim};
    return npy_write(path, DTYPE_F32, 2, shape, features->rows, err);
}

void merge_close(Merged *merged)
{
    for (size_t i = 0; i < countof(merged->maps); i++)
        npy_free(&merged->maps[i]);
    for (int i = 0; i < merged->bad_count; i++)
        free(merged->bad[i].why);
    free(merged->index);
    *merged = (Merged){0};
}
