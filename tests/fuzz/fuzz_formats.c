/* WebP, BMP, TIFF and PPM from memory: whatever the bytes are, they are refused with a sentence or give an image, and
 * reading them twice gives the same pixels. Sizes of BMP are cut down first, else many inputs would be spent on
 * filling large images with one colour; large images are read once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/images/images.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIXELS_MAX = 1 << 18 };

/* Width and height of a BMP of today at most 511. */
static void shrink(uint8_t *data, size_t size)
{
    if (size <= 26 || memcmp(data, "BM", 2) != 0 || data[14] == 12)
        return;
    data[19] &= 1;
    data[23] &= 1;
    data[20] = data[21] = data[24] = data[25] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = xmalloc(size + 1);
    memcpy(copy, data, size);
    shrink(copy, size);
    Err err = {0};
    Image image = {0}, again = {0};
    if (image_decode(copy, size, "fuzz", &image, &err)) {
        size_t pixels = (size_t)image.width * (size_t)image.height;
        if (pixels <= PIXELS_MAX &&
            (!image_decode(copy, size, "fuzz", &again, &err) || memcmp(image.rgb, again.rgb, pixels * 3) != 0))
            abort();
    } else if (!err.text[0] || image.rgb) {
        abort();
    }
    image_free(&image);
    image_free(&again);
    free(copy);
    return 0;
}
