/* Images decoded and hashed ahead: threads read a range of a source into a ring, the caller takes them out in order.
 *
 *     ImageReader *reader = image_reader_open(source, lo, hi, err);
 *     for (int64_t i = lo; i < hi; i++)
 *         if (image_reader_next(reader, &image, hash, err)) ...
 *     image_reader_close(reader);
 *
 * At most IMAGE_AHEAD images or about IMAGE_AHEAD_BYTES wait decoded, so memory is flat. */
#ifndef WORKER_IMAGES_READER_H
#define WORKER_IMAGES_READER_H

#include "worker/images/images.h"

enum { IMAGE_AHEAD = 64, IMAGE_AHEAD_BYTES = 256 << 20 };

typedef struct ImageReader ImageReader;
/* The source must outlive the reader. NULL: threads cannot be started. */
ImageReader *image_reader_open(ImageSource *source, int64_t lo, int64_t hi, Err *err);
/* The next image of the range, the caller's, and its hash. False: this one cannot be read; the call after it gives the
 * next one. */
bool image_reader_next(ImageReader *reader, Image *ret_image, uint8_t ret_hash[IMAGE_HASH], Err *err);
void image_reader_close(ImageReader *reader); /* NULL is fine */

#endif
