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
    NpyArray features; /* [images,width] f32, if wanted */
    bool filed;        /* they lie in the file that the task names, and not in memory alone */
    Err unkept;        /* why something that would be kept was not; kind ERR_NONE: all was */
} Measured;

typedef struct MeasureTask {
    const char *path; /* the images */
    Resize pipeline;
    bool spatial, features; /* what is wanted besides the statistics */
    const char *file;       /* where the features are mapped while they are made; NULL, or no room there: memory */
    const char *work;       /* the folder for what is done so far; NULL: it is not kept */
} MeasureTask;

/* Every image through the network. Memory does not grow with the number of images beyond a hash each. What an earlier
 * attempt left in `work` is not measured again. Files are a help alone: where one cannot be written the measurement
 * goes on without it. */
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

/* --- reference_images.c ----------------------------------------------------------------------------- */

/* The folder of the cache for one call. It is a help alone: where it cannot be made, read or written, a note says so
 * and the work goes on without it. */
typedef struct ReferenceCache {
    char *folder; /* NULL: it cannot be used */
    const Hooks *hooks;
} ReferenceCache;

ReferenceCache reference_cache_open(const char *folder, const Hooks *hooks); /* folder NULL: reference_cache() */
void reference_cache_close(ReferenceCache *cache);
/* Something could not be kept: the note, which is the same for every reason of one kind, and no more use of it. */
void reference_cache_lost(ReferenceCache *cache, const Err *why);
/* Fills all of *images, which the caller owns. */
bool reference_content(const char *path, ReferenceCache *cache, ReferenceImages *images, Err *err);
void reference_hex(const char *text, char ret_hex[65]); /* its SHA-256 */

/* --- reference_cache.c ------------------------------------------------------------------------------ */

/* Fills sha256, images, pipeline, weights, stats and what is wanted of a reference to images: from the cache, or
 * measured now and cached. */
bool reference_recall(const char *path, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                      Reference *reference, Err *err);

#endif
