/* Images in and out: PNG (libpng reads; rows filtered here and deflated by ISA-L on the way out) and sources of images.
 *
 *     ImageSource *source = image_source_open("run/images", err);
 *     for (Image image = {0}; image_source_next(source, &image, err) && image.rgb; image_free(&image))
 *         ...
 *
 * image_encode.c writes, image_decode.c reads (the only file that sees libpng), image_source.c walks folders and
 * arrays. */
#ifndef WORKER_IMAGES_H
#define WORKER_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* Beyond these an image is refused before anything is allocated for it. */
#define IMAGE_MAX_SIDE   16384
#define IMAGE_MAX_PIXELS (64 << 20)

/* A decoded image, 8-bit RGB, converted as PIL's convert("RGB") does it: grey is replicated (1, 2 and 4 bits scaled to
 * 0..255), palettes expanded, alpha and transparent colours dropped without blending, 16 bits cut to the high byte.
 * Gamma and colour profiles are ignored. */
typedef struct Image {
    int width, height;
    uint8_t *rgb; /* [height,width,3] */
} Image;
bool image_read_png(const char *path, Image *ret_image, Err *err);
/* The same from memory; `name` is what errors call it. */
bool image_decode_png(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
void image_free(Image *image); /* leaves an empty Image */

/* Writes a PNG, whole or not at all (PATH.<pid>.part, fsync, rename); with `sync` false there is no fsync. */
bool image_write_png(const char *path, const uint8_t *rgb, int width, int height, bool sync, Err *err);
/* The same bytes into memory; caller frees *ret_data. */
bool image_encode_png(const uint8_t *rgb, int width, int height, uint8_t **ret_data, size_t *ret_size, Err *err);

/* A source of images in a fixed order:
 * - a folder: every .png in it and below it, sorted naturally (2 before 10) by its path in the folder. The output
 *   folder of a job (it has job.json and images/) means its images/, so that grid.png is not taken for a sample;
 * - an .npz with arr_0 [n,h,w,3] u8, streamed; or an .npy of that shape. */
typedef struct ImageSource ImageSource;
ImageSource *image_source_open(const char *path, Err *err); /* nothing in it is an error that says so */
int64_t image_source_count(const ImageSource *source);
/* The next image, in order; false at an error that names the file. After the last: *ret_image has rgb NULL, true. */
bool image_source_next(ImageSource *source, Image *ret_image, Err *err);
/* What to call image i in a message: its path, or "FILE image I". Caller frees. */
char *image_source_name(const ImageSource *source, int64_t i);
void image_source_close(ImageSource *source); /* NULL is fine */

#endif
