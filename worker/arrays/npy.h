/* .npy and .npz: numpy's files. Reading validates everything before use; writing is atomic (write, fsync, rename). */
#ifndef WORKER_ARRAYS_NPY_H
#define WORKER_ARRAYS_NPY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "kernels/tensor.h"

/* An array in memory, C order, native byte order. owns: data is freed by npy_free (else it lies in a mapped file). */
typedef struct NpyArray {
    Dtype dtype;
    int ndim;
    int64_t shape[8];
    void *data;
    void *map;
    size_t map_size;
    bool owns;
} NpyArray;

/* A mapped .npy (Fortran order and foreign byte order are converted into owned memory). */
bool npy_open(const char *path, NpyArray *ret_array, Err *err);
void npy_free(NpyArray *array);

/* "[250,64] f32", for messages. */
void npy_print_shape(const NpyArray *array, char *ret_text, int size);

/* A writer that takes rows as they come: the header is written first, so the count must be known. Big arrays are added
 * in parts; the file appears at npy_writer_finish. */
typedef struct NpyWriter NpyWriter;
NpyWriter *npy_writer_open(const char *path, Dtype dtype, int ndim, const int64_t *shape, Err *err);
bool npy_writer_add(NpyWriter *writer, const void *data, size_t bytes, Err *err);
bool npy_writer_finish(NpyWriter *writer, Err *err); /* frees the writer in any case; bytes missing is an error */
void npy_writer_abort(NpyWriter *writer);            /* NULL is fine; leaves no file */

/* An array to be filled in place: a file whose blocks are taken at once, so that a full disk shows here and not when
 * numbers are stored, or (path NULL) memory. What is in the file is written by npy_flush; who has no more use for it
 * unlinks it. npy_free ends either. */
bool npy_create(const char *path, Dtype dtype, int ndim, const int64_t *shape, NpyArray *ret_array, Err *err);
bool npy_flush(const NpyArray *array, const char *path, Err *err);

bool npy_write(const char *path, Dtype dtype, int ndim, const int64_t *shape, const void *data, Err *err);

/* What a file holds, by its content; its name does not matter. */
typedef enum ArrayFile {
    ARRAY_FILE_OTHER, /* also what cannot be opened: who reads it says why */
    ARRAY_FILE_NPY,
    ARRAY_FILE_NPZ, /* a zip with a .npy in it, or one whose directory is damaged */
    ARRAY_FILE_ZIP  /* a zip of other files, and not what torch.save writes */
} ArrayFile;
ArrayFile array_file(const char *path);

/* .npz, read: members by name (without ".npy"), stored or deflated, zip64. */
typedef struct Npz Npz;
Npz *npz_open(const char *path, Err *err);
void npz_close(Npz *npz);
bool npz_has(const Npz *npz, const char *name);
/* Shape and type without the numbers; data is NULL. */
bool npz_header(const Npz *npz, const char *name, NpyArray *ret_header, Err *err);
/* At most `limit` bytes of numbers, what the caller has a use for: a small member can unpack to a thousand times its
 * size, so its header is compared before anything is allocated. */
bool npz_read(const Npz *npz, const char *name, size_t limit, NpyArray *ret_array, Err *err);
/* The names of all members on one line of at most about 200 letters, for messages; "none". Caller frees. */
char *npz_names(const Npz *npz);

/* A member too big for memory, streamed: shape first, then rows in order (row = everything after axis 0). */
typedef struct NpzStream NpzStream;
NpzStream *npz_stream_open(const Npz *npz, const char *name, NpyArray *ret_header,
                           Err *err); /* header's data is NULL */
bool npz_stream_read(NpzStream *stream, void *dst, size_t bytes, Err *err);
void npz_stream_close(NpzStream *stream);
/* Where the numbers of a stored array begin in the file, for reading parts of it; -1: it is deflated. */
bool npz_locate(const Npz *npz, const char *name, NpyArray *ret_header, int64_t *ret_offset, Err *err);
/* Reads all of a stored array against its checksum, which reading parts does not do. True at once when deflated. */
bool npz_check(const Npz *npz, const char *name, Err *err);

/* .npz, written: stored members (zip64 where needed), atomic. */
typedef struct NpzWriter NpzWriter;
NpzWriter *npz_writer_open(const char *path, Err *err);
bool npz_writer_begin(NpzWriter *writer, const char *name, Dtype dtype, int ndim, const int64_t *shape, Err *err);
bool npz_writer_add(NpzWriter *writer, const void *data, size_t bytes, Err *err);
bool npz_writer_finish(NpzWriter *writer, Err *err); /* frees the writer in any case */
void npz_writer_abort(NpzWriter *writer);

#endif
