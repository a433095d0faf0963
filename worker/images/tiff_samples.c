/* What the samples of a TIFF mean. To add a kind: a row in `kinds` and, if need be, the function that takes its pixels.
 */
#include <string.h>

#include "worker/images/tiff_parts.h"

static uint32_t packed(const uint8_t *src, int i, int bits)
{
    int first = i * bits;
    return (uint32_t)src[first / 8] >> (8 - bits - first % 8) & ((1u << bits) - 1);
}

static void take_grey(const Tiff *tiff, const uint8_t *src, int count, int plane, uint8_t *rgb)
{
    const uint32_t most = (1u << tiff->bits) - 1;
    const int step = tiff->planar == PLANARCONFIG_CONTIG ? tiff->samples : 1;
    for (int i = 0; plane == 0 && i < count; i++) {
        uint32_t value = tiff->bits == 8 ? src[i * step] : packed(src, i, tiff->bits) * 255 / most;
        memset(rgb + 3 * i, (int)(tiff->photometric == PHOTOMETRIC_MINISWHITE ? 255 - value : value), 3);
    }
}

static uint8_t high_byte(const uint8_t *src, int i)
{
    uint16_t value;
    memcpy(&value, src + 2 * i, sizeof value); /* libtiff gives it in the machine's order */
    return (uint8_t)(value >> 8);
}

static void take_grey16(const Tiff *tiff, const uint8_t *src, int count, int plane, uint8_t *rgb)
{
    (void)tiff, (void)plane;
    for (int i = 0; i < count; i++)
        memset(rgb + 3 * i, high_byte(src, i), 3);
}

static uint8_t divided(uint8_t value, uint8_t alpha)
{
    int whole = alpha ? 255 * value / alpha : 0;
    return (uint8_t)(whole > 255 ? 255 : whole);
}

static void take_rgb(const Tiff *tiff, const uint8_t *src, int count, int plane, uint8_t *rgb)
{
    const bool wide = tiff->bits == 16;
    if (tiff->planar == PLANARCONFIG_SEPARATE) {
        for (int i = 0; plane < 3 && i < count; i++)
            rgb[3 * i + plane] = wide ? high_byte(src, i) : src[i];
        return;
    }
    for (int i = 0; i < count; i++) {
        const int at = i * tiff->samples;
        const uint8_t alpha = !tiff->multiplied ? 255 : wide ? high_byte(src, at + 3) : src[at + 3];
        for (int c = 0; c < 3; c++) {
            uint8_t value = wide ? high_byte(src, at + c) : src[at + c];
            rgb[3 * i + c] = alpha == 255 ? value : divided(value, alpha);
        }
    }
}

static void take_palette(const Tiff *tiff, const uint8_t *src, int count, int plane, uint8_t *rgb)
{
    (void)plane;
    for (int i = 0; i < count; i++) {
        uint32_t colour = tiff->bits == 8 ? src[i * tiff->samples] : packed(src, i, tiff->bits);
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)(tiff->palette[c][colour] >> 8);
    }
}

static void take_cmyk(const Tiff *tiff, const uint8_t *src, int count, int plane, uint8_t *rgb)
{
    (void)plane;
    for (int i = 0; i < count; i++)
        image_ink_to_rgb(src + i * tiff->samples, rgb + 3 * i);
}

/* The first row that fits. Samples beyond those of the colour are alpha or of no meaning. */
static const TiffKind kinds[] = {
    {PHOTOMETRIC_MINISBLACK, 1 | 2 | 4 | 8, 1, 1, true, take_grey, 0},
    {PHOTOMETRIC_MINISBLACK, 8, 2, 2, true, take_grey, 0},
    {PHOTOMETRIC_MINISBLACK, 16, 1, 1, true, take_grey16, IMAGE_GREY16},
    {PHOTOMETRIC_MINISWHITE, 1 | 2 | 4 | 8, 1, 1, true, take_grey, 0},
    {PHOTOMETRIC_RGB, 8, 3, TIFF_SAMPLES_MAX, true, take_rgb, 0},
    {PHOTOMETRIC_RGB, 16, 3, 4, true, take_rgb, 0},
    {PHOTOMETRIC_PALETTE, 1 | 2 | 4 | 8, 1, 1, true, take_palette, 0},
    {PHOTOMETRIC_PALETTE, 8, 2, 2, false, take_palette, 0},
    {PHOTOMETRIC_SEPARATED, 8, 4, TIFF_SAMPLES_MAX, false, take_cmyk, 0},
    {PHOTOMETRIC_YCBCR, 8, 3, 3, false, take_rgb, 0}, /* libjpeg gives RGB */
};

const TiffKind *tiff_kind(const Tiff *tiff)
{
    if (tiff->bits & (tiff->bits - 1)) /* 12 is neither 8 nor 4 */
        return NULL;
    for (size_t i = 0; i < countof(kinds); i++)
        if (kinds[i].photometric == tiff->photometric && kinds[i].bits & tiff->bits &&
            kinds[i].least <= tiff->samples && tiff->samples <= kinds[i].most &&
            (kinds[i].planes || tiff->planar == PLANARCONFIG_CONTIG))
            return &kinds[i];
    return NULL;
}
