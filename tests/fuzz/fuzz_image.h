/* What every fuzzer of an image format checks: the bytes are refused with a sentence, or give an image, and reading
 * them twice gives the same pixels. */
#ifndef TESTS_FUZZ_FUZZ_IMAGE_H
#define TESTS_FUZZ_FUZZ_IMAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/images/images.h"

/* decode is a function of images.h; mend may change the copy of the bytes first. An image of more than pixels_max is
 * read once. */
static inline void fuzz_image(const uint8_t *data, size_t size, void (*mend)(uint8_t *data, size_t size),
                              bool (*decode)(const uint8_t *, size_t, const char *, Image *, Err *), const char *name,
                              size_t pixels_max)
{
    uint8_t *copy = xmalloc(size + 1);
    memcpy(copy, data, size);
    mend(copy, size);
    Err err = {0};
    Image image = {0}, again = {0};
    if (decode(copy, size, name, &image, &err)) {
        size_t pixels = (size_t)image.width * (size_t)image.height;
        if (pixels <= pixels_max &&
            (!decode(copy, size, name, &again, &err) || memcmp(image.rgb, again.rgb, pixels * 3) != 0))
            abort();
    } else if (!err.text[0] || image.rgb) {
        abort();
    }
    image_free(&image);
    image_free(&again);
    free(copy);
}

#endif
