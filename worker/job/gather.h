/* The rows of all pieces of a job, in index order, as one array each: what metrics take.
 *
 *     Gathered all;
 *     if (gather_open(output, &pieces, images, &keeps, &all, err)) ... all.features.rows ...
 *     gather_close(&all);
 *
 * Images that could not be read have no row: row r is image gathered_image(&all, r). Rows lie in mapped files of the
 * output folder that nobody sees and that vanish with the process, so memory does not grow with the number of images.
 */
#ifndef WORKER_JOB_GATHER_H
#define WORKER_JOB_GATHER_H

#include "worker/arrays/npy.h"
#include "worker/job/pieces.h"
#include "worker/metrics/features.h"

enum { GATHER_NAMED = 20 }; /* of duplicates and of unreadable images, so many are told apart */

typedef struct GatherPair {
    int64_t image, same_as; /* same_as < image */
} GatherPair;

typedef struct GatherBad {
    int64_t image;
    char *why; /* a sentence that names the file */
} GatherBad;

typedef struct Gathered {
    int64_t images, count;                   /* images of the job; those that have a row */
    Features features, features_tf, spatial; /* rows NULL where the job keeps none */
    char sha256[65];                         /* image_set_hash */
    int64_t duplicates;                      /* images whose pixels an earlier one has too; the first of them: */
    GatherPair pairs[GATHER_NAMED];
    int pair_count;
    GatherBad bad[GATHER_NAMED]; /* the first of images - count */
    int bad_count;
    int least[2], most[2]; /* height and width of the smallest and largest image; 0: not told */
    int64_t *index;        /* [count]; NULL: row r is image r */
    NpyArray maps[3];
} Gathered;

/* keeps: which arrays there are; hashes must be among them. */
bool gather_open(const char *output, const Pieces *pieces, int64_t images, const PieceNeeds *keeps,
                 Gathered *ret_gathered, Err *err);
void gather_close(Gathered *gathered); /* an empty one is fine */

int64_t gathered_image(const Gathered *gathered, int64_t row);
/* Copies an array for people: features.npy. */
bool gather_save(const Features *features, const char *path, Err *err);

#endif
