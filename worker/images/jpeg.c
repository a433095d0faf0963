/* JPEG in: whatever libjpeg-turbo reads, as 8-bit RGB, with its defaults (accurate integer IDCT, fancy upsampling),
 * which are Pillow's too, so pixels are the same to the last bit. The only file that includes jpeglib.h.
 *
 * Grey is replicated; four components are taken for Adobe's inverted CMYK, as Pillow takes them; an orientation in the
 * EXIF is not applied, as pytorch-fid does not apply it. Refused before memory is taken: more than IMAGE_MAX_*, and
 * more pixels than the file has bits for. libjpeg continues after damage and fills the rest with grey; here that is an
 * error, except for warnings that do not concern the pixels (`harmless`). */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "worker/images/parts.h"

enum { SCANS_MAX = 200, PIXELS_A_BYTE = 512 /* one bit a block of 8x8 is the least that Huffman codes need */ };

/* One decode. libjpeg leaves by our longjmp, so everything that must be freed hangs here, outside the jump's frame. */
typedef struct Decode {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    const char *name;
    size_t size;
    uint8_t *rgb, *row; /* row: of four components */
    char message[JMSG_LENGTH_MAX];
} Decode;

static Decode *decode_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static void on_error(j_common_ptr jpeg)
{
    Decode *d = decode_of(jpeg);
    jpeg->err->format_message(jpeg, d->message);
    longjmp(d->leave, 1);
}

/* Warnings about metadata, which do not concern the pixels. */
static bool harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
           code == JWRN_NOT_SEQUENTIAL;
}

static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0 && !harmless(jpeg->err->msg_code))
        on_error(jpeg);
}

/* A small file can ask for its pixels to be refined thousands of times. */
static void on_progress(j_common_ptr jpeg)
{
    Decode *d = decode_of(jpeg);
    if (jpeg->is_decompressor && ((j_decompress_ptr)jpeg)->input_scan_number > SCANS_MAX) {
        snprintf(d->message, sizeof d->message, "more than %d scans", SCANS_MAX);
        longjmp(d->leave, 1);
    }
}

static bool read_header(Decode *d, const uint8_t *data, Err *err)
{
    j_decompress_ptr jpeg = &d->jpeg;
    jpeg_mem_src(jpeg, data, d->size);
    jpeg_read_header(jpeg, TRUE);
    if (!image_size_check(d->name, jpeg->image_width, jpeg->image_height, err))
        return false;
    int64_t pixels = (int64_t)jpeg->image_width * jpeg->image_height;
    if (!jpeg->arith_code && pixels / PIXELS_A_BYTE > (int64_t)d->size)
        return err_set(err, ERR_FORMAT, "image %s: its header says %ux%u pixels, but %zu bytes cannot hold them",
                       d->name, jpeg->image_width, jpeg->image_height, d->size);
    int parts = jpeg->num_components;
    if (parts != 1 && parts != 3 && parts != 4)
        return err_set(err, ERR_FORMAT, "image %s: a JPEG of %d components, wanted 1, 3 or 4", d->name, parts);
    jpeg->out_color_space = parts == 4 ? JCS_CMYK : parts == 3 ? JCS_RGB : JCS_GRAYSCALE;
    return true;
}

/* Ink is stored as 255 - ink. */
static void cmyk_to_rgb(const uint8_t *cmyk, int width, uint8_t *rgb)
{
    for (int x = 0; x < width; x++) {
        uint8_t ink[4];
        for (int c = 0; c < 4; c++)
            ink[c] = (uint8_t)(255 - cmyk[4 * x + c]);
        image_ink_to_rgb(ink, rgb + 3 * x);
    }
}

/* In place: the grey values lie at the front of the row. */
static void grey_to_rgb(uint8_t *row, int width)
{
    for (int x = width - 1; x >= 0; x--)
        row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = row[x];
}

static bool read_pixels(Decode *d, Err *err)
{
    j_decompress_ptr jpeg = &d->jpeg;
    const int width = (int)jpeg->image_width, height = (int)jpeg->image_height, parts = jpeg->num_components;
    d->rgb = malloc((size_t)width * (size_t)height * 3);
    d->row = malloc((size_t)width * 4);
    if (!d->rgb || !d->row)
        return err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", d->name, width, height);
    jpeg_start_decompress(jpeg);
    for (int y = 0; y < height; y++) {
        uint8_t *rgb = d->rgb + (size_t)y * (size_t)width * 3, *row = parts == 4 ? d->row : rgb;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (parts == 4)
            cmyk_to_rgb(row, width, rgb);
        else if (parts == 1)
            grey_to_rgb(row, width);
    }
    jpeg_finish_decompress(jpeg);
    return true;
}

static bool decode(Decode *d, const uint8_t *data, Err *err)
{
    if (setjmp(d->leave))
        return err_set(err, ERR_FORMAT, "image %s: cannot read this JPEG: %s", d->name, d->message);
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.client_data = d;
    d->jpeg.progress = &d->progress;
    return read_header(d, data, err) && read_pixels(d, err);
}

bool image_decode_jpeg(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    Decode d = {.name = name, .size = size};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.jpeg.client_data = &d;
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.progress.progress_monitor = on_progress;
    bool ok = decode(&d, data, err);
    int width = (int)d.jpeg.image_width, height = (int)d.jpeg.image_height;
    jpeg_destroy_decompress(&d.jpeg);
    free(d.row);
    if (ok)
        *ret_image = (Image){width, height, d.rgb, 0};
    else
        free(d.rgb);
    return ok;
}
