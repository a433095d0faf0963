/* PBM, PGM and PPM in (P1 to P6), as 8-bit RGB, with the numbers of Pillow: a value of 0 to `most` becomes value / most
 * * 255, rounded half to even. Grey of more than 8 bits is scaled to 16 bits and cut to the high byte, which Pillow
 * clips (IMAGE_GREY16). Refused: a value above `most` in text, and a file that ends before its pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/images/parts.h"

typedef struct Pnm {
    const char *name;
    const uint8_t *data;
    size_t size, at;
    int kind, channels, width, height; /* kind: the digit */
    int64_t most;                      /* 1 for bits */
} Pnm;

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

static bool damaged(const Pnm *pnm, const char *what, Err *err)
{
    return err_set(err, ERR_FORMAT, "image %s: damaged P%d file: %s", pnm->name, pnm->kind, what);
}

/* To the next byte of a token; comments go to the end of their line. */
static void skip_space(Pnm *pnm)
{
    for (bool comment = false; pnm->at < pnm->size; pnm->at++) {
        uint8_t c = pnm->data[pnm->at];
        if (comment)
            comment = c != '\n' && c != '\r';
        else if (c == '#')
            comment = true;
        else if (!is_space(c))
            return;
    }
}

static bool read_number(Pnm *pnm, int64_t *ret, Err *err)
{
    enum { DIGITS = 10 };
    int digits = 0;
    int64_t value = 0;
    skip_space(pnm);
    for (; pnm->at < pnm->size && pnm->data[pnm->at] >= '0' && pnm->data[pnm->at] <= '9'; pnm->at++, digits++)
        if (digits < DIGITS)
            value = value * 10 + pnm->data[pnm->at] - '0';
    if (!digits)
        return damaged(pnm, pnm->at < pnm->size ? "a number was wanted" : "it ends too early", err);
    if (digits > DIGITS)
        return damaged(pnm, "a number is too long", err);
    *ret = value;
    return true;
}

/* One byte of white space lies between the header and bytes. */
static bool read_header(Pnm *pnm, Err *err)
{
    int64_t width = 0, height = 0;
    pnm->kind = pnm->data[1] - '0';
    pnm->channels = pnm->kind % 3 == 0 ? 3 : 1;
    pnm->at = 2;
    pnm->most = 1;
    if (!read_number(pnm, &width, err) || !read_number(pnm, &height, err) ||
        (pnm->kind % 3 != 1 && !read_number(pnm, &pnm->most, err)))
        return false;
    if (pnm->most < 1 || pnm->most > 65535)
        return damaged(pnm, "its largest value is not 1 to 65535", err);
    if (!image_size_check(pnm->name, width, height, err))
        return false;
    if (pnm->at >= pnm->size || !is_space(pnm->data[pnm->at]))
        return damaged(pnm, "no space after its header", err);
    pnm->at++;
    pnm->width = (int)width;
    pnm->height = (int)height;
    return true;
}

/* As Pillow computes it: in double, half to even. */
static uint8_t scale(const Pnm *pnm, int64_t value)
{
    if (value > pnm->most)
        value = pnm->most;
    if (pnm->channels == 1 && pnm->most > 255)
        return (uint8_t)((int)rint((double)value / (double)pnm->most * 65535) >> 8);
    return (uint8_t)rint((double)value / (double)pnm->most * 255);
}

/* --- pixels ----------------------------------------------------------------------------------------- */

static void put(const Pnm *pnm, size_t i, uint8_t value, uint8_t *rgb)
{
    if (pnm->channels == 3)
        rgb[i] = value;
    else
        memset(rgb + 3 * i, value, 3);
}

/* In a bit 1 is black. */
static void read_bits(const Pnm *pnm, uint8_t *rgb)
{
    const size_t stride = ((size_t)pnm->width + 7) / 8;
    for (size_t y = 0, i = 0; y < (size_t)pnm->height; y++)
        for (size_t x = 0; x < (size_t)pnm->width; x++, i++)
            put(pnm, i, pnm->data[pnm->at + y * stride + x / 8] >> (7 - x % 8) & 1 ? 0 : 255, rgb);
}

static void read_bytes(const Pnm *pnm, size_t count, uint8_t *rgb)
{
    const uint8_t *at = pnm->data + pnm->at;
    const bool wide = pnm->most > 255;
    for (size_t i = 0; i < count; i++)
        put(pnm, i, scale(pnm, wide ? at[2 * i] << 8 | at[2 * i + 1] : at[i]), rgb);
}

/* Bits need no space between them. */
static bool read_text(Pnm *pnm, size_t count, uint8_t *rgb, Err *err)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = 0;
        if (pnm->kind == 1) {
            skip_space(pnm);
            uint8_t c = pnm->at < pnm->size ? pnm->data[pnm->at++] : 0;
            if (c != '0' && c != '1')
                return damaged(pnm, "a pixel is neither 0 nor 1", err);
            put(pnm, i, c == '1' ? 0 : 255, rgb);
            continue;
        }
        if (!read_number(pnm, &value, err))
            return false;
        if (value > pnm->most)
            return damaged(pnm, "a value is above the largest one", err);
        put(pnm, i, scale(pnm, value), rgb);
    }
    return true;
}

bool image_decode_pnm(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    Pnm pnm = {.name = name, .data = data, .size = size};
    if (!read_header(&pnm, err))
        return false;
    const size_t pixels = (size_t)pnm.width * (size_t)pnm.height, count = pixels * (size_t)pnm.channels,
                 left = size - pnm.at;
    const size_t needs = pnm.kind == 4   ? ((size_t)pnm.width + 7) / 8 * (size_t)pnm.height
                         : pnm.kind == 1 ? count
                         : pnm.kind < 4  ? 2 * count - 1
                                         : count * (pnm.most > 255 ? 2 : 1);
    if (left < needs)
        return damaged(&pnm, "it ends too early", err);
    uint8_t *rgb = malloc(pixels * 3);
    bool good = rgb || err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", name, pnm.width, pnm.height);
    if (good && pnm.kind == 4)
        read_bits(&pnm, rgb);
    else if (good && pnm.kind > 4)
        read_bytes(&pnm, count, rgb);
    else if (good)
        good = read_text(&pnm, count, rgb, err);
    if (good)
        *ret_image = (Image){pnm.width, pnm.height, rgb, pnm.channels == 1 && pnm.most > 255 ? IMAGE_GREY16 : 0};
    else
        free(rgb);
    return good;
}
