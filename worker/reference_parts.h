/* What the files of a reference share; nobody else includes it. */
#ifndef WORKER_REFERENCE_PARTS_H
#define WORKER_REFERENCE_PARTS_H

#include "worker/images.h"
#include "worker/reference.h"

/* --- reference_measure.c ---------------------------------------------------------------------------- */

/* What one pass over a source gives. */
typedef struct Measured {
    char sha256[65]; /* of the images that were read: over the hashes of all, in order */
    int64_t images;
    Statistics *stats; /* with its spatial ones, if wanted */
} Measured;

/* Every image of `path` through the network; features [n,width] f32 go to the file features_path (NULL: nowhere).
 * Memory does not grow with the number of images. */
bool reference_measure(const char *path, Resize pipeline, bool spatial, const char *features_path,
                       const ReferenceMaker *maker, Measured *ret_measured, Err *err);
/* The pixels alone: content hash and count. */
bool reference_hash(const char *path, const RunHooks *hooks, char ret_hex[65], int64_t *ret_images, Err *err);

/* --- reference_cache.c ------------------------------------------------------------------------------ */

/* Fills sha256, images, pipeline, weights, stats and what is wanted of a reference to images: remembered, or measured
 * now and remembered. */
bool reference_recall(const char *path, Resize pipeline, unsigned wants, const ReferenceMaker *maker,
                      Reference *reference, Err *err);

#endif
