/* What the files of a reference share; no other file includes it. */
#ifndef WORKER_EVALUATE_REFERENCE_PARTS_H
#define WORKER_EVALUATE_REFERENCE_PARTS_H

#include "worker/evaluate/reference.h"
#include "worker/images/images.h"

/* --- reference_measure.c ---------------------------------------------------------------------------- */

/* What one pass over a source gives. */
typedef struct Measured {
    char sha256[65]; /* of the images that were read: over the hashes of all, in order */
    int64_t images;
    Statistics *stats; /* with its spatial ones, if wanted */
} Measured;

typedef struct MeasureTask {
    const char *path; /* the images */
    Resize pipeline;
    bool spatial;
    const char *features; /* the file for features [n,width] f32; NULL: none */
    const char *work;     /* the folder for what is done so far */
} MeasureTask;

/* Every image through the network. Memory does not grow with the number of images beyond a hash each. What an earlier
 * attempt left in `work` is not measured again. */
bool reference_measure(const MeasureTask *task, const ReferenceOptions *options, Measured *ret_measured, Err *err);
/* The pixels alone: content hash, count and tally. */
bool reference_hash(const char *path, const Hooks *hooks, char ret_hex[65], int64_t *ret_images, ImageTally *ret_tally,
                    Err *err);

/* --- reference_shards.c ----------------------------------------------------------------------------- */

enum { REFERENCE_SHARD = 256 }; /* images a file: what a kill costs at most */

typedef struct ReferenceShards {
    char *folder;
    int width;
    bool spatial;
    MeasureRows rows; /* the shard in work: room for REFERENCE_SHARD rows */
} ReferenceShards;

void reference_shards_open(ReferenceShards *shards, const char *folder, int width, bool spatial); /* touches no file */
void reference_shards_close(ReferenceShards *shards); /* a zeroed one is fine */
/* The shard that begins at row lo, in shards->rows; NULL if it is not there, or damaged. */
MeasureRows *reference_shards_read(ReferenceShards *shards, int64_t lo);
/* Rows in order, from a multiple of REFERENCE_SHARD on; a shard that is full is written. */
bool reference_shards_add(ReferenceShards *shards, const MeasureRows *rows, Err *err);
void reference_shards_remove(const char *folder, int64_t images);

/* --- reference_cache.c ------------------------------------------------------------------------------ */

/* Fills sha256, images, pipeline, weights, stats and what is wanted of a reference to images: from the cache, or
 * measured now and cached. */
bool reference_recall(const char *path, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                      Reference *reference, Err *err);

#endif
