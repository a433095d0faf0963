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
bool reference_measure(const MeasureTask *task, const ReferenceMaker *maker, Measured *ret_measured, Err *err);
/* The pixels alone: content hash and count. */
bool reference_hash(const char *path, const Hooks *hooks, char ret_hex[65], int64_t *ret_images, Err *err);

/* --- reference_blocks.c ----------------------------------------------------------------------------- */

enum { REFERENCE_BLOCK = 256 }; /* images a file: what a kill costs at most */

typedef struct Blocks {
    char *folder;
    int width;
    bool spatial;
    MeasureRows rows; /* the block in work: room for REFERENCE_BLOCK rows */
} Blocks;

void blocks_open(Blocks *blocks, const char *folder, int width, bool spatial); /* touches no file */
void blocks_close(Blocks *blocks);                                             /* a zeroed one is fine */
/* The block that begins at row lo, in blocks->rows; NULL if it is not there, or damaged. */
MeasureRows *blocks_read(Blocks *blocks, int64_t lo);
/* Rows in order, from a multiple of REFERENCE_BLOCK on; a block that is full is written. */
bool blocks_add(Blocks *blocks, const MeasureRows *rows, Err *err);
void blocks_remove(const char *folder, int64_t images);

/* --- reference_cache.c ------------------------------------------------------------------------------ */

/* Fills sha256, images, pipeline, weights, stats and what is wanted of a reference to images: from the cache, or
 * measured now and cached. */
bool reference_recall(const char *path, Resize pipeline, unsigned wants, const ReferenceMaker *maker,
                      Reference *reference, Err *err);

#endif
