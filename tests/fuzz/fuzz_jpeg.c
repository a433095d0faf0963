/* JPEG from memory: whatever the bytes are, they are refused or give an image, and reading it twice gives the same
 * pixels. Sizes are cut down first, else most inputs would be spent on filling large images with one colour. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/images/images.h"

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
    uint8_t *copy = xmalloc(size + 1);
    memcpy(copy, data, size);
    shrink(copy, size);
    Err err = {0};
    Image image = {0}, again = {0};
    if (image_decode_jpeg(copy, size, "fuzz.jpg", &image, &err)) {
        size_t bytes = (size_t)image.width * (size_t)image.height * 3;
        if (!image_decode_jpeg(copy, size, "fuzz.jpg", &again, &err) || memcmp(image.rgb, again.rgb, bytes) != 0)
            abort();
    } else if (!err.text[0] || image.rgb) {
        abort();
    }
    image_free(&image);
    image_free(&again);
    free(copy);
    return 0;
}
