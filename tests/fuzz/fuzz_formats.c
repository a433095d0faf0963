/* WebP, BMP, TIFF and PPM from memory: whatever the bytes are, they are refused with a sentence or give an image, and
 * reading them twice gives the same pixels. Sizes of BMP are cut down first, else many inputs would be spent on
 * filling large images with one colour; large images are read once. */
#include "tests/fuzz/fuzz_image.h"

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
    fuzz_image(data, size, shrink, image_decode, "fuzz", PIXELS_MAX);
    return 0;
}
