/* What the files behind images.h share; no other file includes it. */
#ifndef WORKER_IMAGES_PARTS_H
#define WORKER_IMAGES_PARTS_H

#include <pthread.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "worker/arrays/npy.h"
#include "worker/files/map.h"
#include "worker/files/zip.h"
#include "worker/images/images.h"

/* Refuses what is larger than IMAGE_MAX_*. */
bool image_size_check(const char *name, int64_t width, int64_t height, Err *err);

/* One pixel of CMYK, as ink, to RGB. */
void image_ink_to_rgb(const uint8_t *cmyk, uint8_t *rgb);

/* The suffix of an image, of any case. */
bool image_has_image_suffix(const char *name);
/* Runs of digits compare as numbers, '/' comes before everything else so that a folder stays together. */
int image_natural_compare(const char *a, const char *b);

/* A name as a sentence may quote it: \n, \x1b and bytes that are not UTF-8 are written out. Caller frees. */
char *image_printable(const char *name);

/* Size and time of change: they differ when a file is no longer the one that was there when the source was opened. */
typedef struct ImageStamp {
    int64_t size, seconds, nanoseconds;
} ImageStamp;
ImageStamp image_stamp(const struct stat *st);
/* `name` printable. ERR_NOT_FOUND: it changed. */
bool image_stamp_same(const char *name, const ImageStamp *then, const struct stat *now, Err *err);

/* The bytes of a file and its stamp after they were read. NULL on failure; caller frees. */
uint8_t *image_file_read(const char *path, const char *name, size_t *ret_size, struct stat *ret_st, Err *err);

typedef struct SourceFile {
    char *name; /* path inside the folder */
    ImageStamp stamp;
} SourceFile;

typedef struct SourceKind {
    ArrayFile file; /* ARRAY_FILE_OTHER: a folder */
    bool (*open)(ImageSource *source, Err *err);
    bool (*read)(ImageSource *source, int64_t index, Image *ret_image, Err *err); /* any index, from any thread */
    bool (*same)(ImageSource *source, Err *err);
    bool (*fresh)(ImageSource *source);
    void (*close)(ImageSource *source);
} SourceKind;
extern const SourceKind source_folder, source_zip, source_npz, source_npy;

struct ImageSource {
    const SourceKind *kind;
    char *path;    /* of the folder or file */
    int64_t count; /* images */
    /* folder */
    SourceFile *files; /* sorted */
    int64_t files_cap;
    SourceFile *folders; /* it and those below it, by their whole paths */
    int64_t folder_count;
    /* folder and zip */
    int64_t others; /* files that are no images */
    char *other;    /* the first of them */
    /* zip */
    FileMap map;
    Zip *zip;
    const ZipMember **members; /* sorted */
    /* arrays, and of a zip the stamp */
    int fd; /* -1: none */
    ImageStamp stamp;
    int width, height;
    int64_t offset; /* of the first image in the file; -1: they must be unpacked in order, or lie in `npy` */
    NpyArray npy;
    Npz *npz;
    NpzStream *stream;
    int64_t stream_next;
    pthread_mutex_t stream_lock;
};

#endif
