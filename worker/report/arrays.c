#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/report/parts.h"

/* --- arrays of the sampler ------------------------------------------------------------------------------------------
 */

typedef struct Merge {
    const Run *run;
    const char *path;
    NpyWriter *npy;
    NpzWriter *npz;
    ShardArray array;
} Merge;

static void whole_shape(const Run *run, const ShardRow *row, int64_t ret_shape[8])
{
    ret_shape[0] = run->images;
    memcpy(ret_shape + 1, row->shape, sizeof row->shape);
}

static bool merge_npy(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    Merge *merge = ctx;
    int64_t shape[8];
    whole_shape(merge->run, row, shape);
    if (!merge->npy)
        merge->npy = npy_writer_open(merge->path, shard_array_dtype(merge->array), row->ndim + 1, shape, err);
    return merge->npy && npy_writer_add(merge->npy, rows, (size_t)count * row->bytes, err);
}

static bool merge_npz(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    Merge *merge = ctx;
    int64_t shape[8];
    whole_shape(merge->run, row, shape);
    if (!merge->npz) {
        merge->npz = npz_writer_open(merge->path, err);
        if (!merge->npz || !npz_writer_begin(merge->npz, "arr_0", DTYPE_U8, row->ndim + 1, shape, err))
            return false;
    }
    return npz_writer_add(merge->npz, rows, (size_t)count * row->bytes, err);
}

static bool write_npy(Reporting *r, ShardArray array, const char *name, Err *err)
{
    char *path = reporting_path(r, name);
    Merge merge = {.run = r->run, .path = path, .array = array};
    bool good = shards_read(&r->shards, array, 0, r->run->images, merge_npy, &merge, err);
    if (good)
        good = npy_writer_finish(merge.npy, err);
    else
        npy_writer_abort(merge.npy);
    free(path);
    reporting_produced(r, name);
    return good;
}

static bool write_npz(Reporting *r, Err *err)
{
    reporting_produced(r, "samples.npz");
    if (!run_needs(r->run).arrays[ARRAY_PIXELS])
        return true; /* written by an earlier report of this job, and it did not change */
    char *path = reporting_path(r, "samples.npz");
    Merge merge = {.run = r->run, .path = path, .array = ARRAY_PIXELS};
    bool good = shards_read(&r->shards, ARRAY_PIXELS, 0, r->run->images, merge_npz, &merge, err);
    if (good)
        good = npz_writer_finish(merge.npz, err);
    else
        npz_writer_abort(merge.npz);
    free(path);
    return good;
}

bool reporting_arrays(Reporting *r, Err *err)
{
    unsigned save = r->run->spec->save;
    return (!(save & SAVE_CODES) || write_npy(r, ARRAY_CODES, "codes.npy", err)) &&
           (!(save & SAVE_VECTORS) || write_npy(r, ARRAY_VECTORS, "vectors.npy", err)) &&
           (!(save & SAVE_NPZ) || write_npz(r, err));
}

/* --- rows of features -------------------------------------------------------------------------------- */

static bool write_features(Reporting *r, const Features *features, const char *name, Err *err)
{
    char *path = reporting_path(r, name);
    bool good = merge_save(features, path, err);
    free(path);
    reporting_produced(r, name);
    return good;
}

enum { PAIRS_NAMED = 3 };

/* Notes about the images themselves. */
static void note_images(Reporting *r)
{
    const Merged *all = &r->all;
    if (memcmp(all->least, all->most, sizeof all->least) != 0)
        run_note(
            r->run, r->hooks,
            "the images differ in size, from %dx%d to %dx%d; each is resized to 299x299 on its own, as pytorch-fid "
            "does",
            all->least[1], all->least[0], all->most[1], all->most[0]);
    char *caveat = image_tally_caveat(&all->tally, all->images);
    if (caveat)
        run_note(r->run, r->hooks, "%s", caveat);
    free(caveat);
    for (int i = 0; i < all->bad_count; i++)
        run_note(r->run, r->hooks, "left out: %s", all->bad[i].why);
    if (all->images > all->count)
        run_note(r->run, r->hooks, "%" PRId64 " of the %" PRId64 " images cannot be read and were left out",
                 all->images - all->count, all->images);
    if (!all->duplicates)
        return;
    Buf pairs = {0};
    for (int i = 0; i < all->pair_count && i < PAIRS_NAMED; i++) {
        char *copy = run_image_name(r->run, all->pairs[i].image), *of = run_image_name(r->run, all->pairs[i].same_as);
        buf_printf(&pairs, "%s%s is a copy of %s", i ? ", " : "", copy, of);
        free(copy);
        free(of);
    }
    run_note(r->run, r->hooks, "%" PRId64 " image%s the same pixels as an earlier one: %s%s", all->duplicates,
             all->duplicates == 1 ? " has" : "s have", pairs.data, all->duplicates > PAIRS_NAMED ? ", ..." : "");
    buf_free(&pairs);
}

bool reporting_merge(Reporting *r, Err *err)
{
    const Run *run = r->run;
    if (!run->keeps.arrays[ARRAY_FEATURES])
        return true;
    if (!merge_open(run->spec->output, &r->shards, run->images, &run->keeps, &r->all, err))
        return false;
    note_images(r);
    bool save = run->spec->save & SAVE_FEATURES;
    return (!save || write_features(r, &r->all.features, "features.npy", err)) &&
           (!save || !r->all.features_tf.rows || write_features(r, &r->all.features_tf, "features_tf.npy", err));
}
