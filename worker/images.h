/* Images in and out: PNG (libpng; rows filtered and deflated by ISA-L on the way out), folders, contact sheets. */
#ifndef WORKER_IMAGES_H
#define WORKER_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* A decoded image, 8-bit RGB. Grey is replicated, alpha dropped, palettes expanded, 16 bits scaled to 8 (as PIL's convert("RGB")). */
typedef struct Image {
    int width, height;
    uint8_t *rgb; /* [height,width,3] */
} Image;
bool image_read_png(const char *path, Image *ret_image, Err *err);
void image_free(Image *image);

/* Writes a PNG, atomically (PATH.part, fsync, rename) unless `sync` is false (then no fsync). */
bool image_write_png(const char *path, const uint8_t *rgb, int width, int height, bool sync, Err *err);
/* The same bytes into memory; caller frees *ret_data. */
bool image_encode_png(const uint8_t *rgb, int width, int height, uint8_t **ret_data, size_t *ret_size, Err *err);

/* A source of images in a fixed order: a folder (PNG; nested, sorted naturally: 2 before 10) or an .npz with arr_0 [n,h,w,3] u8. */
typedef struct ImageSource ImageSource;
ImageSource *image_source_open(const char *path, Err *err); /* nothing in it is an error that says so */
int64_t image_source_count(const ImageSource *source);
/* The next image, in order; false at an error that names the file. After the last: *ret_image has rgb NULL, true. */
bool image_source_next(ImageSource *source, Image *ret_image, Err *err);
void image_source_close(ImageSource *source);

#endif
