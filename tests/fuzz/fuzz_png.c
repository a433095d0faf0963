/* PNG from memory: whatever the bytes are, they are refused or give an image that survives being written and read
 * again. Checksums are corrected first, else the code behind them would not be reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/crc.h>

#include "core/mem.h"
#include "worker/images/images.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 1 << 16 /* pixels of an image that is written again */ };

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mend_checksums(uint8_t *data, size_t size)
{
    for (size_t at = 8; at + 12 <= size;) {
        size_t length = get_be32(data + at);
        if (length > size - at - 12)
            return;
        uint32_t crc = crc32_gzip_refl(0, data + at + 4, length + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

static void write_and_read(const Image *image)
{
    Err err = {0};
    uint8_t *png;
    size_t size;
    Image back;
    if (!image_encode_png(image->rgb, image->width, image->height, &png, &size, &err) ||
        !image_decode_png(png, size, "again", &back, &err) ||
        memcmp(back.rgb, image->rgb, (size_t)image->width * (size_t)image->height * 3) != 0)
        abort();
    image_free(&back);
    free(png);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = xmalloc(size + 1);
    memcpy(copy, data, size);
    mend_checksums(copy, size);
    Err err = {0};
    Image image = {0};
    if (image_decode_png(copy, size, "fuzz.png", &image, &err)) {
        if (image.width * image.height <= SMALL)
            write_and_read(&image);
    } else if (!err.text[0] || image.rgb) {
        abort();
    }
    image_free(&image);
    free(copy);
    return 0;
}
