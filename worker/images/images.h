/* Images in and out: PNG, JPEG, WebP, BMP, TIFF and PPM in, PNG out (rows filtered here and deflated by ISA-L), and
 * sources of images.
 *
 *     ImageSource *source = image_source_open("run/images", err);
 *     for (int64_t i = 0; i < image_source_count(source) && image_source_read(source, i, &image, err); i++)
 *         ...
 *
 * encode.c writes; decode.c reads, by png.c, jpeg.c, webp.c, tiff.c (each the only file that includes its library),
 * bmp.c and pnm.c. source.c has the table of sources; folder.c, zip.c and array.c are those. */
#ifndef WORKER_IMAGES_IMAGES_H
#define WORKER_IMAGES_IMAGES_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* Beyond these an image is refused before anything is allocated for it. */
#define IMAGE_MAX_SIDE   16384
#define IMAGE_MAX_PIXELS (64 << 20)

/* A decoded image, 8-bit RGB, converted as PIL's convert("RGB") does it: grey is replicated (1, 2 and 4 bits scaled to
 * 0..255), palettes expanded, alpha and transparent colours dropped without blending, 16 bits cut to the high byte,
 * CMYK by (255-C)(255-K)/255. Gamma, colour profiles and, but in TIFF, orientation are ignored. Of several frames or
 * pages it is the first. */
typedef struct Image {
    int width, height;
    uint8_t *rgb;    /* [height,width,3] */
    unsigned traits; /* of the file: IMAGE_ bits */
} Image;
enum {
    IMAGE_JPEG = 1,
    IMAGE_LOSSY_WEBP = 2,
    IMAGE_GREY16 = 4 /* grey of 16 bits, of which Pillow makes other pixels: it clips at 255 */
};

#define IMAGE_FORMATS "PNG, JPEG, WebP, BMP, TIFF or PPM" /* what is read, for sentences */
/* Whether a file that begins so (16 bytes are enough) is one of those. */
bool image_begins(const uint8_t *data, size_t size);
/* One of those, whatever its name; errors show the name with control characters written out. What the file holds is
 * ERR_FORMAT. */
bool image_read(const char *path, Image *ret_image, Err *err);
/* The same from memory; `name` is what errors call it. */
bool image_decode(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
bool image_decode_png(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
bool image_decode_jpeg(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
bool image_decode_webp(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
bool image_decode_bmp(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
bool image_decode_tiff(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
bool image_decode_pnm(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);
void image_free(Image *image); /* leaves an empty Image */

/* sha256 of "HEIGHT WIDTH\n" and the pixels: two images of the same hash are the same image. All zero means none. */
enum { IMAGE_HASH = 32 }; /* bytes */
void image_hash(const Image *image, uint8_t ret_hash[IMAGE_HASH]);
/* Of a set: sha256 over the hashes of its images in order, those of zeros left out, so it does not depend on how the
 * set was split. */
void image_set_hash(const uint8_t *hashes, int64_t count, char ret_hex[65]);

/* How many images of a set have which trait. */
typedef struct ImageTally {
    int64_t jpegs, webps, greys;
} ImageTally;
void image_tally_add(ImageTally *tally, unsigned traits);
void image_tally_sum(ImageTally *tally, const ImageTally *more);
/* {"jpegs", "webps", "greys"}, and back: adds them to the tally; false where `json` is no such object. */
cJSON *image_tally_json(const ImageTally *tally);
bool image_tally_read(ImageTally *tally, const cJSON *json);
/* A sentence about what these traits change in a result; NULL: nothing. Caller frees. */
char *image_tally_caveat(const ImageTally *tally, int64_t images);

/* Writes a PNG, whole or not at all (PATH.<pid>.part, fsync, rename); with `sync` false there is no fsync. */
bool image_write_png(const char *path, const uint8_t *rgb, int width, int height, bool sync, Err *err);
/* The same bytes into memory; caller frees *ret_data. */
bool image_encode_png(const uint8_t *rgb, int width, int height, uint8_t **ret_data, size_t *ret_size, Err *err);

/* A source of images in a fixed order, recognised by its content, not by its name:
 * - a folder: every image in it and below it, sorted naturally (2 before 10) by its path in the folder. A file with the
 *   suffix of an image must be one; of others the first bytes are looked at, and what is no image is counted. The
 * output folder of a job (it has job.json and images/), at the top or below, means its images/, so that grid.png is not
 * taken for a sample;
 * - a zip of images: likewise;
 * - an .npz with arr_0 [n,h,w,3] u8, or an .npy of that shape; never in memory as a whole.
 * A source that changes while it is open is an error (ERR_NOT_FOUND), never silently other images. */
typedef struct ImageSource ImageSource;
ImageSource *image_source_open(const char *path, Err *err); /* nothing in it is an error that says so */
int64_t image_source_count(const ImageSource *source);
/* Image i, at any time and from any thread. False at an error that names the file; ERR_FORMAT and ERR_PERMISSION are
 * about this image alone. */
bool image_source_read(ImageSource *source, int64_t index, Image *ret_image, Err *err);
bool image_source_in_order(const ImageSource *source); /* reading anything but the next image is slow */
/* Checks what reading images does not: the checksum of an .npz that is not deflated. */
bool image_source_check(const ImageSource *source, Err *err);
/* False, naming the first file that was added, removed or changed since the source was opened. */
bool image_source_same(ImageSource *source, Err *err);
/* A quick check, for a source that was kept open: false when its listing may be out of date. */
bool image_source_fresh(ImageSource *source);
/* The path of the file that image i lies in. Caller frees. */
char *image_source_path(const ImageSource *source, int64_t i);
/* What to call image i in a message: its path, or "FILE image I", on one line; never to be opened. Caller frees. */
char *image_source_name(const ImageSource *source, int64_t i);
/* Files of the folder or the zip that are no images. */
int64_t image_source_left_out(const ImageSource *source);
/* A sentence about them; NULL: there are none. Caller frees. */
char *image_source_caveat(const ImageSource *source);
/* Of a folder: a line a file with name, size and time of change, and the bytes in all. */
void image_source_listing(const ImageSource *source, Buf *text, int64_t *ret_bytes);
void image_source_close(ImageSource *source); /* NULL is fine */

bool image_has_suffix(const char *name, const char *suffix); /* of any case, and something in front */

#endif
