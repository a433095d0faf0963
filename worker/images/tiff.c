/* TIFF in: its first page, as 8-bit RGB, as Pillow reads it. libtiff unpacks strips and tiles; what their samples mean is
 * said in tiff_samples.c. No other file includes libtiff.
 *
 * Read are grey of 1, 2, 4, 8 and 16 bits (the high byte: IMAGE_GREY16), RGB of 8 and 16 bits (the high byte), palettes
 * of 1 to 8 bits, CMYK of 8 bits, and what JPEG made of YCbCr; samples together or in planes; alpha is dropped, after
 * it is divided out where the colours were multiplied by it. The orientation is applied, as Pillow does for TIFF alone.
 * Everything else is refused with a sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/images/tiff_parts.h"

enum { MEMORY_MAX = 512 << 20 };

/* --- bytes ------------------------------------------------------------------------------------------ */

static tmsize_t on_read(thandle_t ctx, void *dst, tmsize_t size)
{
    Tiff *tiff = ctx;
    int64_t left = (int64_t)tiff->size - tiff->at;
    tmsize_t take = size < left ? size : left > 0 ? (tmsize_t)left : 0;
    if (take > 0)
        memcpy(dst, tiff->data + tiff->at, (size_t)take);
    tiff->at += take;
    return take;
}

static tmsize_t on_write(thandle_t ctx, void *src, tmsize_t size)
{
    (void)ctx, (void)src, (void)size;
    return -1;
}

static toff_t on_seek(thandle_t ctx, toff_t offset, int whence)
{
    Tiff *tiff = ctx;
    int64_t from = whence == SEEK_CUR ? tiff->at : whence == SEEK_END ? (int64_t)tiff->size : 0, to;
    if (__builtin_add_overflow(from, (int64_t)offset, &to) || to < 0)
        return (toff_t)-1;
    tiff->at = to;
    return (toff_t)to;
}

static int on_close(thandle_t ctx)
{
    (void)ctx;
    return 0;
}

static toff_t on_size(thandle_t ctx)
{
    return ((Tiff *)ctx)->size;
}

static int on_error(TIFF *tif, void *ctx, const char *module, const char *format, va_list args)
{
    (void)tif, (void)module;
    Tiff *tiff = ctx;
    if (!tiff->message[0])
        vsnprintf(tiff->message, sizeof tiff->message, format, args);
    return 1; /* nothing on stderr */
}

static int on_warning(TIFF *tif, void *ctx, const char *module, const char *format, va_list args)
{
    (void)tif, (void)ctx, (void)module, (void)format, (void)args; /* about tags that do not matter to the pixels */
    return 1;
}

/* --- the header ------------------------------------------------------------------------------------- */

static bool compression_is_read(uint16_t compression)
{
    static const uint16_t read[] = {COMPRESSION_NONE,      COMPRESSION_CCITTRLE,      COMPRESSION_CCITTFAX3,
                                    COMPRESSION_CCITTFAX4, COMPRESSION_LZW,           COMPRESSION_JPEG,
                                    COMPRESSION_DEFLATE,   COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS,
                                    COMPRESSION_LZMA,      COMPRESSION_ZSTD,          COMPRESSION_WEBP};
    for (size_t i = 0; i < countof(read); i++)
        if (read[i] == compression)
            return true;
    return false;
}

static uint16_t field(const Tiff *tiff, uint32_t tag, uint16_t otherwise)
{
    uint16_t value = otherwise;
    return TIFFGetField(tiff->tif, tag, &value) ? value : otherwise;
}

static bool read_header(Tiff *tiff, Err *err)
{
    uint32_t width = 0, height = 0;
    uint16_t extras = 0, *extra = NULL;
    TIFFGetField(tiff->tif, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff->tif, TIFFTAG_IMAGELENGTH, &height);
    if (!image_size_check(tiff->name, width, height, err))
        return false;
    tiff->width = (int)width;
    tiff->height = (int)height;
    tiff->photometric = field(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
    tiff->compression = field(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    tiff->bits = field(tiff, TIFFTAG_BITSPERSAMPLE, 1);
    tiff->samples = field(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    tiff->planar = tiff->samples == 1 ? PLANARCONFIG_CONTIG : field(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    tiff->format = field(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    tiff->orientation = field(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    if (TIFFGetField(tiff->tif, TIFFTAG_EXTRASAMPLES, &extras, &extra) && extras)
        tiff->multiplied = tiff->photometric == PHOTOMETRIC_RGB && extra[0] == EXTRASAMPLE_ASSOCALPHA;
    const bool jpeg = tiff->compression == COMPRESSION_JPEG,
               wrong = (tiff->photometric == PHOTOMETRIC_YCBCR && !jpeg) ||
                       (tiff->photometric == PHOTOMETRIC_SEPARATED && jpeg) ||
                       (tiff->multiplied && tiff->planar != PLANARCONFIG_CONTIG);
    if (!tiff_kind(tiff) || tiff->format != SAMPLEFORMAT_UINT || wrong || !compression_is_read(tiff->compression))
        return err_set(
            err, ERR_FORMAT,
            "image %s: a TIFF of %u samples of %u bits%s, photometric %u, compression %u, planes %u, which is "
            "not read; save it as PNG",
            tiff->name, tiff->samples, tiff->bits,
            tiff->format == SAMPLEFORMAT_IEEEFP ? " (float)"
            : tiff->format == SAMPLEFORMAT_INT  ? " (signed)"
                                                : "",
            tiff->photometric, tiff->compression, tiff->planar);
    if (tiff->photometric == PHOTOMETRIC_PALETTE &&
        !TIFFGetField(tiff->tif, TIFFTAG_COLORMAP, &tiff->palette[0], &tiff->palette[1], &tiff->palette[2]))
        return err_set(err, ERR_FORMAT, "image %s: damaged TIFF: it has no palette", tiff->name);
    if (tiff->photometric == PHOTOMETRIC_YCBCR)
        TIFFSetField(tiff->tif, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return true;
}

/* --- strips and tiles ------------------------------------------------------------------------------- */

static bool damaged(const Tiff *tiff, Err *err)
{
    return err_set(err, ERR_FORMAT, "image %s: damaged TIFF: %s", tiff->name,
                   tiff->message[0] ? tiff->message : "its pixels cannot be read");
}

/* *ret_pixels: of the buffer. libtiff's idea of its size must agree with ours, which `take` follows. */
static bool room(Tiff *tiff, int64_t pixels_wide, int64_t rows, int64_t bytes, Err *err)
{
    const int64_t together = tiff->planar == PLANARCONFIG_CONTIG ? tiff->samples : 1;
    const int64_t needs = (pixels_wide * together * tiff->bits + 7) / 8 * rows;
    if (bytes < needs || bytes > MEMORY_MAX)
        return err_set(err, ERR_FORMAT, "image %s: damaged TIFF: %lld bytes for %lldx%lld pixels", tiff->name,
                       (long long)bytes, (long long)pixels_wide, (long long)rows);
    tiff->buffer = calloc(1, (size_t)bytes);
    return tiff->buffer || err_set(err, ERR_MEMORY, "image %s: no memory for %lld bytes", tiff->name, (long long)bytes);
}

static uint8_t *pixel(const Tiff *tiff, int64_t x, int64_t y)
{
    return tiff->rgb + ((size_t)y * (size_t)tiff->width + (size_t)x) * 3;
}

static bool read_strips(Tiff *tiff, TakeFn take, int planes, Err *err)
{
    if (!room(tiff, tiff->width, 1, (int64_t)TIFFScanlineSize64(tiff->tif), err))
        return false;
    for (int plane = 0; plane < planes; plane++)
        for (int y = 0; y < tiff->height; y++) {
            if (TIFFReadScanline(tiff->tif, tiff->buffer, (uint32_t)y, (uint16_t)plane) < 0)
                return damaged(tiff, err);
            take(tiff, tiff->buffer, tiff->width, plane, pixel(tiff, 0, y));
        }
    return true;
}

static void take_tile(const Tiff *tiff, TakeFn take, int plane, int64_t x, int64_t y, int64_t wide, int64_t high,
                      int64_t row_bytes)
{
    const int64_t columns = wide < tiff->width - x ? wide : tiff->width - x,
                  rows = high < tiff->height - y ? high : tiff->height - y;
    for (int64_t row = 0; row < rows; row++)
        take(tiff, tiff->buffer + row * row_bytes, (int)columns, plane, pixel(tiff, x, y + row));
}

static bool read_tiles(Tiff *tiff, TakeFn take, int planes, Err *err)
{
    uint32_t wide = 0, high = 0;
    TIFFGetField(tiff->tif, TIFFTAG_TILEWIDTH, &wide);
    TIFFGetField(tiff->tif, TIFFTAG_TILELENGTH, &high);
    if (!image_size_check(tiff->name, wide, high, err) ||
        !room(tiff, wide, high, (int64_t)TIFFTileSize64(tiff->tif), err))
        return false;
    const int64_t row_bytes = (int64_t)TIFFTileRowSize64(tiff->tif);
    if (row_bytes * high > (int64_t)TIFFTileSize64(tiff->tif))
        return damaged(tiff, err);
    for (int plane = 0; plane < planes; plane++)
        for (int64_t y = 0; y < tiff->height; y += high)
            for (int64_t x = 0; x < tiff->width; x += wide) {
                if (TIFFReadTile(tiff->tif, tiff->buffer, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane) < 0)
                    return damaged(tiff, err);
                take_tile(tiff, take, plane, x, y, wide, high, row_bytes);
            }
    return true;
}

/* libtiff goes on after some kinds of damage, and says so alone. */
static bool read_pixels(Tiff *tiff, TakeFn take, Err *err)
{
    const size_t bytes = (size_t)tiff->width * (size_t)tiff->height * 3;
    tiff->rgb = malloc(bytes);
    if (!tiff->rgb)
        return err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", tiff->name, tiff->width, tiff->height);
    const int planes = tiff->planar == PLANARCONFIG_CONTIG ? 1 : tiff->samples;
    bool good = TIFFIsTiled(tiff->tif) ? read_tiles(tiff, take, planes, err) : read_strips(tiff, take, planes, err);
    return good && (!tiff->message[0] || damaged(tiff, err));
}

/* --- orientation ------------------------------------------------------------------------------------ */

/* Where the pixel (x, y) of the turned image comes from. */
static const uint8_t *turned_from(const Tiff *tiff, int x, int y)
{
    const int right = tiff->width - 1, bottom = tiff->height - 1;
    switch (tiff->orientation) {
    case ORIENTATION_TOPRIGHT:
        return pixel(tiff, right - x, y);
    case ORIENTATION_BOTRIGHT:
        return pixel(tiff, right - x, bottom - y);
    case ORIENTATION_BOTLEFT:
        return pixel(tiff, x, bottom - y);
    case ORIENTATION_LEFTTOP:
        return pixel(tiff, y, x);
    case ORIENTATION_RIGHTTOP:
        return pixel(tiff, y, bottom - x);
    case ORIENTATION_RIGHTBOT:
        return pixel(tiff, right - y, bottom - x);
    case ORIENTATION_LEFTBOT:
        return pixel(tiff, right - y, x);
    default:
        return pixel(tiff, x, y);
    }
}

static bool turn(Tiff *tiff, Err *err)
{
    if (tiff->orientation <= ORIENTATION_TOPLEFT || tiff->orientation > ORIENTATION_LEFTBOT)
        return true;
    const bool sideways = tiff->orientation >= ORIENTATION_LEFTTOP;
    const int width = sideways ? tiff->height : tiff->width, height = sideways ? tiff->width : tiff->height;
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3), *to = rgb;
    if (!rgb)
        return err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", tiff->name, width, height);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, to += 3)
            memcpy(to, turned_from(tiff, x, y), 3);
    free(tiff->rgb);
    tiff->rgb = rgb;
    tiff->width = width;
    tiff->height = height;
    return true;
}

/* --- entry ------------------------------------------------------------------------------------------ */

static TIFF *open_tiff(Tiff *tiff)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, tiff);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, tiff);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, MEMORY_MAX);
    TIFF *tif =
        TIFFClientOpenExt(tiff->name, "rm", tiff, on_read, on_write, on_seek, on_close, on_size, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    return tif;
}

bool image_decode_tiff(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    Tiff tiff = {.name = name, .data = data, .size = size};
    tiff.tif = open_tiff(&tiff);
    bool good = (tiff.tif || damaged(&tiff, err)) && read_header(&tiff, err);
    const TiffKind *kind = good ? tiff_kind(&tiff) : NULL;
    good = good && read_pixels(&tiff, kind->take, err) && turn(&tiff, err);
    if (tiff.tif)
        TIFFClose(tiff.tif);
    free(tiff.buffer);
    if (good)
        *ret_image = (Image){tiff.width, tiff.height, tiff.rgb, kind->traits};
    else
        free(tiff.rgb);
    return good;
}
