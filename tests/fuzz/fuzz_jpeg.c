/* JPEG from memory: whatever the bytes are, they are refused or give an image, and reading it twice gives the same
 * pixels. Sizes are cut down first, else most inputs would be spent on filling large images with one colour. */
#include "tests/fuzz/fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Height and width of every frame header at most 255. */
static void shrink(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 9 < size; at++)
        if (data[at] == 0xff && data[at + 1] >= 0xc0 && data[at + 1] <= 0xcf && data[at + 1] != 0xc4)
            data[at + 5] = data[at + 7] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_image(data, size, shrink, image_decode_jpeg, "fuzz.jpg", SIZE_MAX);
    return 0;
}
