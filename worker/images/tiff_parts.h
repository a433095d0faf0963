/* What tiff.c (libtiff, strips and tiles) and tiff_samples.c (what samples mean) share; no other file includes it. */
#ifndef WORKER_IMAGES_TIFF_PARTS_H
#define WORKER_IMAGES_TIFF_PARTS_H

#include <tiffio.h>

#include "worker/images/parts.h"

enum { TIFF_SAMPLES_MAX = 6 };

typedef struct Tiff {
    const char *name;
    const uint8_t *data;
    size_t size;
    int64_t at; /* the place that libtiff seeks to */
    TIFF *tif;
    char message[160]; /* libtiff's first error; empty: none */
    int width, height;
    uint16_t photometric, compression, bits, samples, planar, format, orientation;
    bool multiplied; /* the fourth sample is alpha that the colours were multiplied by */
    uint16_t *palette[3];
    uint8_t *rgb, *buffer; /* buffer: a row or a tile */
} Tiff;

/* Takes `count` pixels from `src` (a plane: samples of `plane` alone) to rgb. */
typedef void (*TakeFn)(const Tiff *tiff, const uint8_t *src, int count, int plane, uint8_t *rgb);

/* A kind of samples that is read. */
typedef struct TiffKind {
    uint16_t photometric;
    unsigned bits;   /* those that are read, as a sum of powers: 8 | 16 */
    int least, most; /* samples of a pixel */
    bool planes;     /* also one plane after another */
    TakeFn take;
    unsigned traits;
} TiffKind;
const TiffKind *tiff_kind(const Tiff *tiff); /* NULL: not read */

#endif
