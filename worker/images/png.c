/* PNG in: whatever libpng reads, as 8-bit RGB. The only file that includes png.h.
 *
 * Owns the conversions (images.h states them) and the limits: a header that asks for more than IMAGE_MAX_*, or for more
 * pixels than deflate could have packed into the file, is refused before memory is taken, and chunks that are not
 * needed for the pixels are skipped unread, so a decompression bomb in IDAT, iCCP or zTXt costs nothing. Truncated
 * data, a bad checksum of a critical chunk and a missing end are errors: a half image never becomes a sample.
 */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/images/parts.h"

/* One decode. libpng leaves by longjmp, so everything that must be freed hangs here, outside the jump's frame. */
typedef struct Decode {
    const char *name;
    const uint8_t *data;
    size_t size, at;
    png_structp png;
    png_infop info;
    uint8_t *rgb;
    png_bytep *rows;
    int width, height;
    unsigned traits;
    char message[160];
} Decode;

static void on_read(png_structp png, png_bytep dst, size_t size)
{
    Decode *d = png_get_io_ptr(png);
    if (size > d->size - d->at)
        png_error(png, "the file ends too early");
    memcpy(dst, d->data + d->at, size);
    d->at += size;
}

static void on_error(png_structp png, png_const_charp text)
{
    Decode *d = png_get_error_ptr(png);
    snprintf(d->message, sizeof d->message, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text; /* about chunks that do not matter to the pixels */
}

/* Deflate packs at most 1032 bytes into one: pixels beyond that cannot be in the file. */
static bool can_hold(const Decode *d, int64_t row_bytes)
{
    return row_bytes * d->height / 1032 <= (int64_t)d->size;
}

static bool read_header(Decode *d, Err *err)
{
    png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* the check below reports it with more detail */
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(d->png, d->info);
    d->width = (int)png_get_image_width(d->png, d->info);
    d->height = (int)png_get_image_height(d->png, d->info);
    if (!image_size_check(d->name, d->width, d->height, err))
        return false;
    if (!can_hold(d, (int64_t)png_get_rowbytes(d->png, d->info)))
        return err_set(err, ERR_FORMAT, "image %s: its header says %dx%d pixels, but %zu bytes cannot hold them",
                       d->name, d->width, d->height, d->size);
    if (png_get_bit_depth(d->png, d->info) == 16 && png_get_color_type(d->png, d->info) == PNG_COLOR_TYPE_GRAY)
        d->traits = IMAGE_GREY16;
    png_set_expand(d->png); /* palette to RGB, grey of 1, 2, 4 bits to 8, transparent colours to alpha */
    png_set_strip_16(d->png);
    png_set_strip_alpha(d->png);
    png_set_gray_to_rgb(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    if (png_get_rowbytes(d->png, d->info) != (size_t)d->width * 3)
        return err_set(err, ERR_FORMAT, "image %s: colour type %d does not convert to RGB", d->name,
                       png_get_color_type(d->png, d->info));
    return true;
}

static bool read_pixels(Decode *d, Err *err)
{
    size_t row = (size_t)d->width * 3;
    d->rgb = malloc(row * (size_t)d->height);
    d->rows = malloc(sizeof *d->rows * (size_t)d->height);
    if (!d->rgb || !d->rows)
        return err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", d->name, d->width, d->height);
    for (int y = 0; y < d->height; y++)
        d->rows[y] = d->rgb + row * (size_t)y;
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
    return true;
}

static bool decode(Decode *d, Err *err)
{
    if (setjmp(png_jmpbuf(d->png)))
        return err_set(err, ERR_FORMAT, "image %s: damaged PNG: %s", d->name, d->message);
    return read_header(d, err) && read_pixels(d, err);
}

bool image_decode_png(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    Decode d = {.name = name, .data = data, .size = size};
    bool ok = false;
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
    d.info = d.png ? png_create_info_struct(d.png) : NULL;
    if (!d.info) {
        err_set(err, ERR_MEMORY, "image %s: libpng could not start", name);
    } else {
        png_set_read_fn(d.png, &d, on_read);
        ok = decode(&d, err);
    }
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(d.rows);
    if (ok)
        *ret_image = (Image){d.width, d.height, d.rgb, d.traits};
    else
        free(d.rgb);
    return ok;
}
