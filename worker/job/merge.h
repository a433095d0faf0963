/* The rows of all shards of a job, in index order, as one array each: what metrics take.
 *
 *     Merged all;
 *     if (merge_open(output, &shards, images, &keeps, &all, err)) ... all.features.rows ...
 *     merge_close(&all);
 *
 * Images that could not be read have no row: row r is image merged_image(&all, r). Rows are in mapped files of the
 * output folder that are unlinked at once, so memory does not grow with the number of images.
 */
#ifndef WORKER_JOB_MERGE_H
#define WORKER_JOB_MERGE_H

#include "worker/arrays/npy.h"
#include "worker/images/images.h"
#include "worker/job/shards.h"
#include "worker/metrics/features.h"

enum { MERGE_NAMED = 20 }; /* at most this many duplicates and unreadable images are listed */

typedef struct MergePair {
    int64_t image, same_as; /* same_as < image */
} MergePair;

typedef struct MergeBad {
    int64_t image;
    char *why; /* a sentence that names the file */
} MergeBad;

typedef struct Merged {
    int64_t images, count;                   /* images of the job; those that have a row */
    Features features, features_tf, spatial; /* rows NULL where the job keeps none */
    char sha256[65];                         /* image_set_hash */
    int64_t duplicates;                      /* images whose pixels an earlier one has too; the first of them: */
    MergePair pairs[MERGE_NAMED];
    int pair_count;
    MergeBad bad[MERGE_NAMED]; /* the first of images - count */
    int bad_count;
    ImageTally tally;      /* of the files that the images were read from */
    int least[2], most[2]; /* height and width of the smallest and largest image; 0: unknown */
    int64_t *index;        /* [count]; NULL: row r is image r */
    NpyArray maps[3];
} Merged;

/* keeps: which arrays there are; hashes must be among them. */
bool merge_open(const char *output, const Shards *shards, int64_t images, const ShardNeeds *keeps, Merged *ret_merged,
                Err *err);
void merge_close(Merged *merged); /* an empty one is fine */

int64_t merged_image(const Merged *merged, int64_t row);
/* Copies an array for people: features.npy. */
bool merge_save(const Features *features, const char *path, Err *err);

#endif
