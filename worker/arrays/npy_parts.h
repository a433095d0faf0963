/* What the files npy*.c and npz*.c share: the header of a .npy. Not for others; they include worker/arrays/npy.h. */
#ifndef WORKER_ARRAYS_NPY_PARTS_H
#define WORKER_ARRAYS_NPY_PARTS_H

#include "core/mem.h"
#include "worker/arrays/npy.h"

enum { NPY_PREFIX = 12 }; /* bytes that are enough for npy_header_size */

typedef struct NpyHeader {
    Dtype dtype;
    bool fortran; /* first axis fastest */
    bool swap;    /* big-endian */
    int ndim;
    int64_t shape[8], count;
    size_t offset; /* where the numbers begin */
    size_t bytes;  /* how many they are */
} NpyHeader;

/* The length of everything before the numbers, from the first NPY_PREFIX bytes. */
bool npy_header_size(const uint8_t *prefix, size_t size, size_t *ret_size, Err *err);
/* data holds at least the header. The product of the shape is known to fit. */
bool npy_header_parse(const uint8_t *data, size_t size, NpyHeader *ret_header, Err *err);
/* Appends magic, version and header for an array in C order, padded so that the numbers begin at a multiple of 64. */
bool npy_header_print(Buf *buf, Dtype dtype, int ndim, const int64_t *shape, size_t *ret_bytes, Err *err);

/* Turns the numbers as they lie in the file (any order, any byte order) into owned memory in C order. */
bool npy_convert(const NpyHeader *header, const uint8_t *numbers, NpyArray *ret_array, Err *err);

/* Reverses the bytes of each of count numbers. */
void npy_swap(void *numbers, int64_t count, size_t width);

/* Sizes from which a written .npz uses zip64 fields: the format's 4 GiB, lowered by tests. */
extern uint64_t npz_zip64_from;

#endif
