/* Shards: ranges of images that are safely on disk. The folder blocks/ (its name since the first version, so that
 * existing outputs resume) is the only record of what a job has done.
 *
 *     blocks/000000-000256.json            the manifest of images 0..255, written after all else was flushed:
 *                                          {"lo", "hi", "identity", "png": [bytes of each file],
 *                                           "arrays": {"features": {"bytes", "crc32"}, ...}, "made": {...},
 *                                           "sizes": [[height, width] of the smallest image, of the largest],
 *                                           "bad": [{"image", "why"}]: unreadable; their rows are NaN, hashes zero}
 *     blocks/000000-000256.features.npy    one file an array, rows in index order
 *     images/000000.png ...                only if the job saves PNGs
 *
 * A range without a valid manifest was not done: a crash, a truncated file or a removed image makes it invalid, and it
 * is made again. Shards of several workers may overlap; every one of the same identity holds the same bits. */
#ifndef WORKER_JOB_SHARDS_H
#define WORKER_JOB_SHARDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "kernels/tensor.h"

typedef enum ShardArray {
    ARRAY_CODES,
    ARRAY_VECTORS,
    ARRAY_FEATURES,    /* of the first pipeline */
    ARRAY_FEATURES_TF, /* of the second */
    ARRAY_SPATIAL,
    ARRAY_HASHES, /* image_hash of each image */
    ARRAY_PIXELS,
    SHARD_ARRAYS
} ShardArray;

const char *shard_array_name(ShardArray array);
Dtype shard_array_dtype(ShardArray array);

/* Paths below the output folder; the caller frees. */
char *shard_manifest_path(const char *output, int64_t lo, int64_t hi);
char *shard_array_path(const char *output, int64_t lo, int64_t hi, ShardArray array);
char *shard_image_path(const char *output, int64_t index); /* images/000123.png */

typedef struct Shard {
    int64_t lo, hi;
    cJSON *manifest;
} Shard;

typedef struct Shards { /* starts as {0}; sorted by lo, the longer first */
    char *output;
    Shard *items;
    int count;
} Shards;

/* What a manifest must show to be valid. */
typedef struct ShardNeeds {
    const char *identity;
    bool png;
    bool arrays[SHARD_ARRAYS];
    bool readable;        /* none of its images was left out because it cannot be read */
    int64_t pixels_below; /* ARRAY_PIXELS is needed by shards that start below this index alone */
    bool contents;        /* arrays are read and their checksums compared, and a manifest that fails is removed, so
                             that a later scan that compares sizes alone does not accept it */
} ShardNeeds;

/* The valid shards that meet lo..hi-1. A folder that is not there has none. What is invalid is left out. */
bool shards_scan(const char *output, const ShardNeeds *needs, int64_t lo, int64_t hi, Shards *ret_shards, Err *err);
void shards_done(Shards *shards);

/* The first index >= at that no shard covers. */
int64_t shards_reach(const Shards *shards, int64_t at);
/* The first index >= at that a shard covers, at most `end`. */
int64_t shards_next(const Shards *shards, int64_t at, int64_t end);

/* Gives the rows of images lo..hi-1 of one array, in order and each once; all must be covered. `row` receives the
 * shape of one row (ndim 0..7 axes) before the first call. on_rows returns false to stop. */
typedef struct ShardRow {
    int ndim;
    int64_t shape[7];
    size_t bytes;
} ShardRow;
typedef bool (*ShardRowsFn)(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err);
bool shards_read(const Shards *shards, ShardArray array, int64_t lo, int64_t hi, ShardRowsFn on_rows, void *ctx,
                 Err *err);

/* Removes files of no valid shard, which a crash left behind. Only while no other process writes here. */
void shards_sweep(const Shards *shards);
/* Removes one array of every shard, for those that are copied elsewhere. */
void shards_drop_array(const Shards *shards, ShardArray array);

uint32_t shard_crc32(uint32_t crc, const void *data, size_t size); /* start with 0 */

#endif
