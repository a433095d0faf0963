/* Pieces: ranges of images that are safely on disk. The folder blocks/ is the truth about what a job has done.
 *
 *     blocks/000000-000256.json            the manifest of images 0..255, written after all else was flushed:
 *                                          {"lo", "hi", "identity", "png": [bytes of each file],
 *                                           "arrays": {"features": {"bytes", "crc32"}, ...}, "made": {...},
 *                                           "sizes": [[height, width] of the smallest image, of the largest],
 *                                           "bad": [{"image", "why"}]: unreadable; their rows are NaN, hashes zero}
 *     blocks/000000-000256.features.npy    one file an array, rows in index order
 *     images/000000.png ...                only if the job saves PNGs
 *
 * A range without a valid manifest was not done: a crash, a cut file or a removed image make it invalid and it is
 * made again. Pieces of several workers may overlap; every one of the same identity holds the same bits. */
#ifndef WORKER_JOB_PIECES_H
#define WORKER_JOB_PIECES_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "kernels/tensor.h"

typedef enum PieceArray {
    ARRAY_CODES,
    ARRAY_VECTORS,
    ARRAY_FEATURES,    /* of the first pipeline */
    ARRAY_FEATURES_TF, /* of the second */
    ARRAY_SPATIAL,
    ARRAY_HASHES, /* image_hash of each image */
    ARRAY_PIXELS,
    PIECE_ARRAYS
} PieceArray;

const char *piece_array_name(PieceArray array);
Dtype piece_array_dtype(PieceArray array);

/* Paths below the output folder; the caller frees. */
char *piece_manifest_path(const char *output, int64_t lo, int64_t hi);
char *piece_array_path(const char *output, int64_t lo, int64_t hi, PieceArray array);
char *piece_image_path(const char *output, int64_t index); /* images/000123.png */

typedef struct Piece {
    int64_t lo, hi;
    cJSON *manifest;
} Piece;

typedef struct Pieces { /* starts as {0}; sorted by lo, the longer first */
    char *output;
    Piece *items;
    int count;
} Pieces;

/* What a manifest must show to be valid. */
typedef struct PieceNeeds {
    const char *identity;
    bool png;
    bool arrays[PIECE_ARRAYS];
    bool readable;        /* none of its images was left out because it cannot be read */
    int64_t pixels_below; /* ARRAY_PIXELS is needed by pieces that start below this index alone */
    bool contents;        /* arrays are read and their checksums compared, and a manifest that fails is removed, so
                             that nobody who looks at sizes alone trusts it later */
} PieceNeeds;

/* The valid pieces that meet lo..hi-1. A folder that is not there has none. What is invalid is left out. */
bool pieces_scan(const char *output, const PieceNeeds *needs, int64_t lo, int64_t hi, Pieces *ret_pieces, Err *err);
void pieces_done(Pieces *pieces);

/* The first index >= at that no piece covers. */
int64_t pieces_reach(const Pieces *pieces, int64_t at);
/* The first index >= at that a piece covers, at most `end`. */
int64_t pieces_next(const Pieces *pieces, int64_t at, int64_t end);

/* Gives the rows of images lo..hi-1 of one array, in order and each once; all must be covered. `row` receives the
 * shape of one row (ndim 0..7 axes) before the first call. on_rows returns false to stop. */
typedef struct PieceRow {
    int ndim;
    int64_t shape[7];
    size_t bytes;
} PieceRow;
typedef bool (*PieceRowsFn)(const void *rows, int64_t count, const PieceRow *row, void *ctx, Err *err);
bool pieces_read(const Pieces *pieces, PieceArray array, int64_t lo, int64_t hi, PieceRowsFn on_rows, void *ctx,
                 Err *err);

/* Removes what no valid piece names: files that a crash left behind. Only while nobody else writes here. */
void pieces_sweep(const Pieces *pieces);
/* Removes one array of every piece, for those that are copied elsewhere. */
void pieces_drop_array(const Pieces *pieces, PieceArray array);

uint32_t piece_crc32(uint32_t crc, const void *data, size_t size); /* start with 0 */

#endif
