/* BMP in: what Pillow reads of it, as 8-bit RGB. Headers of OS/2 1 (12 bytes) and Windows (40 to 124 bytes), 1, 4 and
 * 8 bits with a palette, 16, 24 and 32 bits by the masks of `layouts`, 8 bits with run lengths; rows from the bottom or
 * the top. A fourth channel is dropped. Refused with a sentence: other compressions and masks, a pixel without a colour
 * in the palette, and pixels that the file does not have. */
#include <stdlib.h>
#include <string.h>

#include "worker/files/bytes.h"
#include "worker/images/parts.h"

enum { FILE_HEADER = 14, OS2_HEADER = 12 };
enum { PLAIN = 0, RLE8 = 1, BITFIELDS = 3 };

/* How a pixel of 16, 24 or 32 bits holds its colours. */
typedef struct Layout {
    int bits;
    uint32_t red, green, blue;
} Layout;
static const Layout layouts[] = {
    {32, 0xff0000, 0xff00, 0xff}, /* the first of its width is that of files without masks */
    {32, 0xff000000, 0xff0000, 0xff00}, {32, 0xff, 0xff00, 0xff0000}, {24, 0xff0000, 0xff00, 0xff},
    {16, 0x7c00, 0x3e0, 0x1f},          {16, 0xf800, 0x7e0, 0x1f},
};

typedef struct Bmp {
    const char *name;
    const uint8_t *data;
    size_t size;
    int width, height, bits;
    bool from_top;
    unsigned compression;
    const Layout *layout;   /* of 16 bits and more */
    const uint8_t *palette; /* of up to 8 bits: blue, green, red and perhaps a byte of nothing */
    uint32_t colours, colour_bytes;
    size_t at; /* of the pixels */
} Bmp;

static bool too_short(const Bmp *bmp, Err *err)
{
    return err_set(err, ERR_FORMAT, "image %s: damaged BMP: the file of %zu bytes ends too early", bmp->name,
                   bmp->size);
}

/* --- the header ------------------------------------------------------------------------------------- */

static bool find_layout(Bmp *bmp, const uint32_t masks[3], Err *err)
{
    for (size_t i = 0; i < countof(layouts); i++)
        if (layouts[i].bits == bmp->bits &&
            (!masks || (layouts[i].red == masks[0] && layouts[i].green == masks[1] && layouts[i].blue == masks[2]))) {
            bmp->layout = &layouts[i];
            return true;
        }
    return err_set(err, ERR_FORMAT,
                   "image %s: a BMP of %d bits with the masks %x, %x, %x, which are not read; save it "
                   "as PNG",
                   bmp->name, bmp->bits, masks ? masks[0] : 0, masks ? masks[1] : 0, masks ? masks[2] : 0);
}

/* The masks lie in the header, or after one of 40 bytes. All zero means none. */
static bool read_masks(Bmp *bmp, size_t header, Err *err)
{
    if (bmp->size < FILE_HEADER + 40 + 12)
        return too_short(bmp, err);
    const uint8_t *at = bmp->data + FILE_HEADER + 40;
    const uint32_t masks[3] = {(uint32_t)bytes_get(at, 4), (uint32_t)bytes_get(at + 4, 4),
                               (uint32_t)bytes_get(at + 8, 4)};
    bool none = !masks[0] && !masks[1] && !masks[2] && header > 40;
    return find_layout(bmp, none ? NULL : masks, err);
}

static bool read_palette(Bmp *bmp, size_t header, Err *err)
{
    size_t at = FILE_HEADER + header;
    if (bmp->colours == 0)
        bmp->colours = 1u << bmp->bits;
    if (bmp->colours > 65536)
        return err_set(err, ERR_FORMAT, "image %s: damaged BMP: a palette of %u colours", bmp->name, bmp->colours);
    if (bmp->size - at < (size_t)bmp->colours * bmp->colour_bytes)
        return too_short(bmp, err);
    bmp->palette = bmp->data + at;
    at += (size_t)bmp->colours * bmp->colour_bytes;
    if (bmp->at == 0 || bmp->at == FILE_HEADER + header)
        bmp->at = at; /* some writers do not count the palette */
    return true;
}

static bool read_header(Bmp *bmp, Err *err)
{
    if (bmp->size < FILE_HEADER + OS2_HEADER)
        return too_short(bmp, err);
    const uint8_t *header = bmp->data + FILE_HEADER;
    const size_t size = bytes_get(header, 4);
    const bool old = size == OS2_HEADER;
    if (!old && size != 40 && size != 52 && size != 56 && size != 64 && size != 108 && size != 124)
        return err_set(err, ERR_FORMAT, "image %s: damaged BMP: a header of %zu bytes", bmp->name, size);
    if (bmp->size - FILE_HEADER < size)
        return too_short(bmp, err);
    int64_t width = (int64_t)bytes_get(header + 4, old ? 2 : 4),
            height = (int64_t)bytes_get(header + (old ? 6 : 8), old ? 2 : 4);
    bmp->from_top = !old && header[11] == 0xff; /* a small negative number */
    if (bmp->from_top)
        height = ((int64_t)1 << 32) - height;
    bmp->at = bytes_get(bmp->data + 10, 4);
    bmp->bits = (int)bytes_get(header + (old ? 10 : 14), 2);
    bmp->compression = old ? PLAIN : (unsigned)bytes_get(header + 16, 4);
    bmp->colours = old ? 0 : (uint32_t)bytes_get(header + 32, 4);
    bmp->colour_bytes = old ? 3 : 4;
    if (!image_size_check(bmp->name, width, height, err))
        return false;
    bmp->width = (int)width;
    bmp->height = (int)height;
    if (bmp->bits == 1 || bmp->bits == 4 || bmp->bits == 8) {
        if (bmp->compression != PLAIN && (bmp->compression != RLE8 || bmp->bits != 8))
            return err_set(err, ERR_FORMAT,
                           "image %s: a BMP of %d bits with compression %u, which is not read; save it "
                           "as PNG",
                           bmp->name, bmp->bits, bmp->compression);
        return read_palette(bmp, size, err);
    }
    if (bmp->bits != 16 && bmp->bits != 24 && bmp->bits != 32)
        return err_set(err, ERR_FORMAT, "image %s: damaged BMP: %d bits per pixel", bmp->name, bmp->bits);
    if (bmp->at == 0)
        bmp->at = FILE_HEADER + size + (bmp->compression == BITFIELDS && size == 40 ? 12 : 0);
    if (bmp->compression == BITFIELDS)
        return read_masks(bmp, size, err);
    if (bmp->compression != PLAIN)
        return err_set(err, ERR_FORMAT,
                       "image %s: a BMP of %d bits with compression %u, which is not read; save it as PNG", bmp->name,
                       bmp->bits, bmp->compression);
    return find_layout(bmp, NULL, err);
}

/* --- pixels ----------------------------------------------------------------------------------------- */

/* A colour of 5, 6 or 8 bits as one of 8, cut as Pillow cuts it. */
static uint8_t channel(uint32_t pixel, uint32_t mask)
{
    int shift = __builtin_ctz(mask);
    uint32_t most = mask >> shift;
    return (uint8_t)((pixel >> shift & most) * 255 / most);
}

static bool paint(const Bmp *bmp, uint32_t index, uint8_t *rgb, Err *err)
{
    if (index >= bmp->colours)
        return err_set(err, ERR_FORMAT, "image %s: damaged BMP: a pixel of colour %u, and the palette has %u",
                       bmp->name, index, bmp->colours);
    const uint8_t *colour = bmp->palette + (size_t)index * bmp->colour_bytes;
    rgb[0] = colour[2];
    rgb[1] = colour[1];
    rgb[2] = colour[0];
    return true;
}

static bool read_row(const Bmp *bmp, const uint8_t *row, uint8_t *rgb, Err *err)
{
    const Layout *layout = bmp->layout;
    for (int x = 0; x < bmp->width; x++, rgb += 3) {
        if (!layout) {
            uint32_t first = (uint32_t)x * (uint32_t)bmp->bits, shift = 8 - (uint32_t)bmp->bits - first % 8;
            if (!paint(bmp, (uint32_t)row[first / 8] >> shift & ((1u << bmp->bits) - 1), rgb, err))
                return false;
            continue;
        }
        uint32_t pixel = (uint32_t)bytes_get(row + (size_t)x * (size_t)bmp->bits / 8, bmp->bits / 8);
        rgb[0] = channel(pixel, layout->red);
        rgb[1] = channel(pixel, layout->green);
        rgb[2] = channel(pixel, layout->blue);
    }
    return true;
}

static uint8_t *row_of(const Bmp *bmp, uint8_t *rgb, int64_t y)
{
    return rgb + (size_t)(bmp->from_top ? y : bmp->height - 1 - y) * (size_t)bmp->width * 3;
}

static bool read_plain(const Bmp *bmp, uint8_t *rgb, Err *err)
{
    const size_t stride = ((size_t)bmp->width * (size_t)bmp->bits + 31) / 32 * 4;
    if (bmp->at > bmp->size || (bmp->size - bmp->at) / stride < (size_t)bmp->height)
        return too_short(bmp, err);
    for (int y = 0; y < bmp->height; y++)
        if (!read_row(bmp, bmp->data + bmp->at + (size_t)y * stride, row_of(bmp, rgb, y), err))
            return false;
    return true;
}

/* --- run lengths ------------------------------------------------------------------------------------ */

/* indices [height,width], rows in the order of the file; *ret_done: how many were told. What a delta steps over, and
 * what is left of a row at its end, has colour 0. */
static bool unpack(const Bmp *bmp, uint8_t *indices, Err *err)
{
    const size_t all = (size_t)bmp->width * (size_t)bmp->height, width = (size_t)bmp->width;
    const uint8_t *at = bmp->data + bmp->at, *end = bmp->data + bmp->size;
    size_t done = 0;
    while (done < all && end - at >= 2) {
        const size_t run = at[0], value = at[1], x = done % width;
        at += 2;
        if (run) {
            size_t take = run < width - x ? run : width - x; /* what is too much for its row is dropped */
            memset(indices + done, (int)value, take);
            done += take;
        } else if (value == 0) {
            done += x ? width - x : 0;
        } else if (value == 1) {
            break;
        } else if (value == 2) {
            if (end - at < 2)
                break;
            done += at[0] + at[1] * width;
            at += 2;
        } else {
            size_t padded = (value + 1) / 2 * 2;
            if ((size_t)(end - at) < value || value > all - done)
                break;
            memcpy(indices + done, at, value);
            done += value;
            at += padded < (size_t)(end - at) ? padded : (size_t)(end - at);
        }
    }
    return done >= all || err_set(err, ERR_FORMAT, "image %s: damaged BMP: its run lengths end after %zu of %zu pixels",
                                  bmp->name, done, all);
}

static bool read_runs(const Bmp *bmp, uint8_t *rgb, Err *err)
{
    if (bmp->at > bmp->size)
        return too_short(bmp, err);
    uint8_t *indices = calloc((size_t)bmp->width, (size_t)bmp->height);
    bool good = (indices || err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", bmp->name, bmp->width,
                                    bmp->height)) &&
                unpack(bmp, indices, err);
    for (int y = 0; good && y < bmp->height; y++)
        good = read_row(bmp, indices + (size_t)y * (size_t)bmp->width, row_of(bmp, rgb, y), err);
    free(indices);
    return good;
}

bool image_decode_bmp(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    Bmp bmp = {.name = name, .data = data, .size = size};
    if (!read_header(&bmp, err))
        return false;
    if (bmp.compression != RLE8 && (size_t)bmp.width * (size_t)bmp.height / 8 > size)
        return too_short(&bmp, err); /* before memory is taken */
    uint8_t *rgb = malloc((size_t)bmp.width * (size_t)bmp.height * 3);
    bool good = rgb || err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", name, bmp.width, bmp.height);
    good = good && (bmp.compression == RLE8 ? read_runs(&bmp, rgb, err) : read_plain(&bmp, rgb, err));
    if (good)
        *ret_image = (Image){bmp.width, bmp.height, rgb, 0};
    else
        free(rgb);
    return good;
}
