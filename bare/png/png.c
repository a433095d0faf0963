/* PNG in: chunks, the unfiltering of rows, Adam7, and the conversion of every colour type to 8-bit RGB. The pixels of
 * IDAT are collected first, then unpacked row by row. */
#include <png.h>
#include <zlib.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_MAX = 1 << 30 };

struct png_struct_def {
    jmp_buf jump;
    png_voidp error_ctx, io_ctx;
    png_error_ptr on_error;
    png_rw_ptr read;
    uint32_t width, height;
    int depth, type, channels, interlaced;
    uint8_t palette[256][3];
    int colours;
    bool updated;
    uint8_t *packed; /* all of IDAT */
    size_t packed_size;
    uint8_t *lines; /* two rows of the file */
    z_stream z;     /* here, since errors jump */
};

struct png_info_def {
    int unused;
};

int png_sig_cmp(png_const_bytep bytes, size_t start, size_t count)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    return memcmp(bytes + start, signature + start, count);
}

/* --- life and errors ------------------------------------------------------------------------------- */

png_structp png_create_read_struct(png_const_charp version, png_voidp error_ctx, png_error_ptr on_error,
                                   png_error_ptr on_warning)
{
    (void)version, (void)on_warning;
    png_structp png = calloc(1, sizeof *png);
    if (png) {
        png->error_ctx = error_ctx;
        png->on_error = on_error;
    }
    return png;
}

png_infop png_create_info_struct(png_structp png)
{
    (void)png;
    return calloc(1, sizeof(png_info));
}

void png_destroy_read_struct(png_structpp png, png_infopp info, png_infopp end)
{
    (void)end;
    if (*png) {
        inflateEnd(&(*png)->z);
        free((*png)->packed);
        free((*png)->lines);
    }
    free(*png);
    free(*info);
    *png = NULL;
    *info = NULL;
}

png_voidp png_get_error_ptr(const png_struct *png)
{
    return png->error_ctx;
}

void png_error(png_structp png, png_const_charp text)
{
    png->on_error(png, text); /* leaves by png_longjmp */
    abort();
}

jmp_buf *png_set_longjmp_fn(png_structp png, png_longjmp_ptr jump, size_t size)
{
    (void)jump, (void)size;
    return &png->jump;
}

void png_longjmp(const png_struct *png, int value)
{
    longjmp(((png_structp)(uintptr_t)png)->jump, value);
}

void png_set_read_fn(png_structp png, png_voidp ctx, png_rw_ptr read)
{
    png->io_ctx = ctx;
    png->read = read;
}

png_voidp png_get_io_ptr(const png_struct *png)
{
    return png->io_ctx;
}

void png_set_user_limits(png_structp png, png_uint_32 width, png_uint_32 height)
{
    (void)png, (void)width, (void)height;
}

void png_set_keep_unknown_chunks(png_structp png, int keep, png_const_bytep names, int count)
{
    (void)png, (void)keep, (void)names, (void)count; /* none is ever kept */
}

/* --- chunks ---------------------------------------------------------------------------------------- */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t crc_more(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return crc;
}

typedef struct Chunk {
    uint32_t size;
    uint8_t type[5]; /* ends with 0 */
    uint32_t crc;
} Chunk;

static bool is_type(const Chunk *chunk, const char *type)
{
    return memcmp(chunk->type, type, 4) == 0;
}

static Chunk chunk_begin(png_structp png)
{
    uint8_t head[8];
    Chunk chunk = {0};
    png->read(png, head, sizeof head);
    chunk.size = be32(head);
    memcpy(chunk.type, head + 4, 4);
    chunk.crc = crc_more(~0u, head + 4, 4);
    if (chunk.size > CHUNK_MAX)
        png_error(png, "a chunk is too long");
    return chunk;
}

static void chunk_read(png_structp png, Chunk *chunk, uint8_t *to, size_t size)
{
    png->read(png, to, size);
    chunk->crc = crc_more(chunk->crc, to, size);
}

/* Small letters in front: it may be wrong. */
static void chunk_end(png_structp png, Chunk *chunk)
{
    uint8_t sum[4];
    png->read(png, sum, sizeof sum);
    if (be32(sum) != ~chunk->crc && !(chunk->type[0] & 32))
        png_error(png, "CRC error in a critical chunk");
}

static void chunk_skip(png_structp png, Chunk *chunk)
{
    uint8_t block[4096];
    if (!(chunk->type[0] & 32) && !is_type(chunk, "IEND") && !is_type(chunk, "IDAT"))
        png_error(png, "unknown critical chunk");
    for (uint32_t left = chunk->size; left > 0;) {
        uint32_t size = left < sizeof block ? left : (uint32_t)sizeof block;
        chunk_read(png, chunk, block, size);
        left -= size;
    }
    chunk_end(png, chunk);
}

static void read_ihdr(png_structp png)
{
    static const int channels[] = {1, 0, 3, 1, 2, 0, 4};
    static const int depths[] = {1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16};
    uint8_t h[13];
    Chunk chunk = chunk_begin(png);
    if (!is_type(&chunk, "IHDR") || chunk.size != sizeof h)
        png_error(png, "Missing IHDR before others");
    chunk_read(png, &chunk, h, sizeof h);
    chunk_end(png, &chunk);
    png->width = be32(h);
    png->height = be32(h + 4);
    png->depth = h[8];
    png->type = h[9];
    png->interlaced = h[12];
    bool known =
        png->type <= 6 && png->depth <= 16 && (depths[png->type] & png->depth) && (png->depth & (png->depth - 1)) == 0;
    if (!png->width || !png->height || png->width > 0x7fffffff || png->height > 0x7fffffff || !known || h[10] ||
        h[11] || h[12] > 1)
        png_error(png, "Invalid IHDR data");
    png->channels = channels[png->type];
}

static void read_palette(png_structp png, Chunk *chunk)
{
    if (chunk->size > sizeof png->palette || chunk->size % 3 || chunk->size == 0)
        png_error(png, "Invalid palette");
    chunk_read(png, chunk, png->palette[0], chunk->size);
    chunk_end(png, chunk);
    png->colours = (int)(chunk->size / 3);
}

/* One after the other; what follows them is left unread but for the head of the next chunk. */
static void read_idat(png_structp png, Chunk *chunk)
{
    uint8_t *more = realloc(png->packed, png->packed_size + chunk->size + 1);
    if (!more)
        png_error(png, "no memory");
    png->packed = more;
    chunk_read(png, chunk, more + png->packed_size, chunk->size);
    chunk_end(png, chunk);
    png->packed_size += chunk->size;
}

void png_read_info(png_structp png, png_infop info)
{
    (void)info;
    uint8_t signature[8];
    png->read(png, signature, sizeof signature);
    if (png_sig_cmp(signature, 0, 8) != 0)
        png_error(png, "Not a PNG file");
    read_ihdr(png);
}

/* --- rows ------------------------------------------------------------------------------------------ */

static size_t file_row(const png_struct *png, uint32_t width)
{
    return ((size_t)width * (size_t)(png->channels * png->depth) + 7) / 8;
}

png_uint_32 png_get_image_width(const png_struct *png, const png_info *info)
{
    (void)info;
    return png->width;
}

png_uint_32 png_get_image_height(const png_struct *png, const png_info *info)
{
    (void)info;
    return png->height;
}

png_byte png_get_color_type(const png_struct *png, const png_info *info)
{
    (void)info;
    return (png_byte)png->type;
}

size_t png_get_rowbytes(const png_struct *png, const png_info *info)
{
    (void)info;
    return png->updated ? (size_t)png->width * 3 : file_row(png, png->width);
}

void png_set_expand(png_structp png)
{
    (void)png;
}

void png_set_strip_16(png_structp png)
{
    (void)png;
}

void png_set_strip_alpha(png_structp png)
{
    (void)png;
}

void png_set_gray_to_rgb(png_structp png)
{
    (void)png;
}

int png_set_interlace_handling(png_structp png)
{
    return png->interlaced ? 7 : 1;
}

void png_read_update_info(png_structp png, png_infop info)
{
    (void)info;
    png->updated = true;
}

static uint8_t paeth(int left, int up, int corner)
{
    int to_left = abs(up - corner), to_up = abs(left - corner), to_corner = abs(left + up - 2 * corner);
    return (uint8_t)(to_left <= to_up && to_left <= to_corner ? left : to_up <= to_corner ? up : corner);
}

static void unfilter(png_structp png, int filter, uint8_t *row, const uint8_t *above, size_t size, size_t step)
{
    for (size_t i = 0; i < size; i++) {
        int left = i >= step ? row[i - step] : 0, up = above[i], corner = i >= step ? above[i - step] : 0;
        switch (filter) {
        case 0:
            return;
        case 1:
            row[i] = (uint8_t)(row[i] + left);
            break;
        case 2:
            row[i] = (uint8_t)(row[i] + up);
            break;
        case 3:
            row[i] = (uint8_t)(row[i] + (left + up) / 2);
            break;
        case 4:
            row[i] = (uint8_t)(row[i] + paeth(left, up, corner));
            break;
        default:
            png_error(png, "bad adaptive filter value");
        }
    }
}

/* Sample `i` of a row, as 8 bits where it is no index. */
static int sample(const png_struct *png, const uint8_t *row, size_t i)
{
    if (png->depth == 16)
        return row[2 * i];
    if (png->depth == 8)
        return row[i];
    size_t bit = i * (size_t)png->depth;
    int most = (1 << png->depth) - 1, value = row[bit / 8] >> (8 - png->depth - (int)(bit % 8)) & most;
    return png->type == PNG_COLOR_TYPE_PALETTE ? value : value * (255 / most);
}

static void put_pixel(png_structp png, const uint8_t *row, size_t x, uint8_t *rgb)
{
    size_t first = x * (size_t)png->channels;
    if (png->type == PNG_COLOR_TYPE_PALETTE) {
        int index = sample(png, row, first);
        memcpy(rgb, png->palette[index], 3); /* beyond the palette: black */
        return;
    }
    bool grey = png->type == PNG_COLOR_TYPE_GRAY || png->type == PNG_COLOR_TYPE_GRAY_ALPHA;
    for (size_t c = 0; c < 3; c++)
        rgb[c] = (uint8_t)sample(png, row, first + (grey ? 0 : c));
}

static void unpack(png_structp png, uint8_t *to, size_t size)
{
    z_stream *z = &png->z;
    z->next_out = to;
    z->avail_out = (uInt)size;
    while (z->avail_out) {
        int code = inflate(z, Z_NO_FLUSH);
        if (code == Z_STREAM_END && z->avail_out)
            png_error(png, "Not enough compressed data");
        if (code != Z_OK && code != Z_STREAM_END)
            png_error(png, z->msg ? z->msg : "Not enough compressed data");
    }
}

typedef struct Pass {
    uint32_t x, y, dx, dy;
} Pass;

static void read_pass(png_structp png, const Pass *pass, png_bytepp rows)
{
    if (png->width <= pass->x || png->height <= pass->y)
        return;
    uint32_t width = (png->width - pass->x + pass->dx - 1) / pass->dx;
    size_t size = file_row(png, width), step = (size_t)(png->channels * png->depth + 7) / 8, room = size + 1;
    memset(png->lines, 0, 2 * (file_row(png, png->width) + 1));
    uint8_t *row = png->lines, *above = png->lines + room;
    for (uint32_t y = pass->y; y < png->height; y += pass->dy) {
        unpack(png, row, room);
        unfilter(png, row[0], row + 1, above + 1, size, step);
        for (uint32_t x = 0; x < width; x++)
            put_pixel(png, row + 1, x, rows[y] + 3 * (size_t)(pass->x + x * pass->dx));
        uint8_t *swap = row;
        row = above;
        above = swap;
    }
}

void png_read_image(png_structp png, png_bytepp rows)
{
    static const Pass whole = {0, 0, 1, 1}, adam7[7] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                                        {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    Chunk chunk = chunk_begin(png);
    for (; !is_type(&chunk, "IDAT"); chunk = chunk_begin(png)) {
        if (is_type(&chunk, "IEND"))
            png_error(png, "Missing IDAT");
        if (is_type(&chunk, "PLTE"))
            read_palette(png, &chunk);
        else
            chunk_skip(png, &chunk);
    }
    if (png->type == PNG_COLOR_TYPE_PALETTE && !png->colours)
        png_error(png, "Missing PLTE before IDAT");
    for (; is_type(&chunk, "IDAT"); chunk = chunk_begin(png))
        read_idat(png, &chunk);
    for (; !is_type(&chunk, "IEND"); chunk = chunk_begin(png))
        chunk_skip(png, &chunk);
    chunk_skip(png, &chunk);
    png->lines = malloc(2 * (file_row(png, png->width) + 1));
    png->z = (z_stream){.next_in = png->packed, .avail_in = (uInt)png->packed_size};
    if (!png->lines || inflateInit(&png->z) != Z_OK)
        png_error(png, "no memory");
    for (int i = 0; i < (png->interlaced ? 7 : 1); i++)
        read_pass(png, png->interlaced ? &adam7[i] : &whole, rows);
}

void png_read_end(png_structp png, png_infop info)
{
    (void)png, (void)info; /* read with the image */
}
