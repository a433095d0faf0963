/* PNG out, fast: one IDAT, ISA-L's deflate, a filter chosen per row.
 *
 * Encoding is the only part of writing an image that costs anything: a job writes 50,000 of them and zlib at PIL's
 * default takes 17 ms for one of 256x256. So the container is written here (three chunks), each row gets the filter
 * whose residuals have the smallest sum of absolute values (Sub, Up, Paeth; None for flat rows falls out as Up), and
 * ISA-L deflates at level 3, which costs a few per cent of size and a small part of the time. docs/dev/speed.md has
 * numbers. Levels 1 and 2 are 0.35 ms faster for 256x256 but not the same bytes every time: bits of the stream's
 * address get into their hash table (tests/job/test_same_bytes.c meets it with level 1 at once).
 *
 * The compressed bytes may differ between CPU types (ISA-L picks its match finder by CPU); the pixels never do.
 * Refuses sizes beyond IMAGE_MAX_*. To add a filter: a row in `filters`; the code is the PNG filter type. */
#include "worker/images/images.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/stall.h"

enum { BPP = 3, LEVEL = 3, CHUNK_FRAME = 12 /* length, type, crc */ };

static void put_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24), p[1] = (uint8_t)(value >> 16), p[2] = (uint8_t)(value >> 8), p[3] = (uint8_t)value;
}

/* The loops below are compiled twice and chosen when the program starts: bytes in vectors of 32 halve the time. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) /* TSan runs no resolvers */
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* --- filters -------------------------------------------------------------------------------------
 * row and up point at n bytes with BPP readable zero bytes in front, so the first pixel needs no branch. */

WIDE static void filter_sub(const uint8_t *restrict row, const uint8_t *restrict up, uint8_t *restrict out, int n)
{
    (void)up;
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)(row[i] - row[i - BPP]);
}

WIDE static void filter_up(const uint8_t *restrict row, const uint8_t *restrict up, uint8_t *restrict out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)(row[i] - up[i]);
}

WIDE static void filter_paeth(const uint8_t *restrict row, const uint8_t *restrict up, uint8_t *restrict out, int n)
{
    for (int i = 0; i < n; i++) {
        int16_t a = row[i - BPP], b = up[i], c = up[i - BPP];
        int16_t to_a = (int16_t)(b - c), to_b = (int16_t)(a - c), to_c = (int16_t)(to_a + to_b);
        to_a = (int16_t)(to_a < 0 ? -to_a : to_a);
        to_b = (int16_t)(to_b < 0 ? -to_b : to_b);
        to_c = (int16_t)(to_c < 0 ? -to_c : to_c);
        int16_t near_bc = to_b <= to_c ? b : c;
        int16_t guess = ((to_a <= to_b) & (to_a <= to_c)) ? a : near_bc;
        out[i] = (uint8_t)(row[i] - guess);
    }
}

typedef void (*Filter)(const uint8_t *row, const uint8_t *up, uint8_t *out, int n);
static const struct {
    uint8_t code;
    Filter apply;
} filters[] = {{4, filter_paeth}, {2, filter_up}, {1, filter_sub}};

/* Sum of the residuals' distances from zero: small sums deflate well. */
WIDE static uint32_t row_cost(const uint8_t *out, int n)
{
    uint32_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += (uint32_t)(out[i] < 128 ? out[i] : 256 - out[i]);
    return sum;
}

/* All rows, each with its filter code in front: what the zlib stream holds. */
static uint8_t *filter_image(const uint8_t *rgb, int width, int height, size_t *ret_size)
{
    int n = width * BPP;
    size_t padded = (size_t)n + BPP;
    uint8_t *out = xmalloc(((size_t)n + 1) * (size_t)height);
    uint8_t *rows = xcalloc(2, padded), *trial = xmalloc((size_t)n);
    for (int y = 0; y < height; y++) {
        uint8_t *row = rows + (size_t)(y & 1) * padded + BPP, *up = rows + (size_t)(~y & 1) * padded + BPP;
        uint8_t *best = out + ((size_t)n + 1) * (size_t)y;
        memcpy(row, rgb + (size_t)n * (size_t)y, (size_t)n);
        uint32_t least = UINT32_MAX;
        for (size_t f = 0; f < countof(filters); f++) {
            filters[f].apply(row, up, trial, n);
            uint32_t cost = row_cost(trial, n);
            if (cost < least) {
                least = cost;
                best[0] = filters[f].code;
                memcpy(best + 1, trial, (size_t)n);
            }
        }
    }
    free(rows);
    free(trial);
    *ret_size = ((size_t)n + 1) * (size_t)height;
    return out;
}

/* --- the container ------------------------------------------------------------------------------- */

/* Deflates as a zlib stream behind `head` free bytes of a buffer with `tail` free bytes after it. */
static uint8_t *deflate_rows(uint8_t *data, size_t size, size_t head, size_t tail, size_t *ret_size)
{
    size_t room = size + size / 8 + 4096; /* beyond what deflate adds to incompressible data */
    uint8_t *out = xmalloc(head + room + tail);
    struct isal_zstream *z = xmalloc(sizeof *z);
    isal_deflate_init(z);
    z->level = LEVEL;
    z->level_buf_size = ISAL_DEF_LVL3_DEFAULT;
    z->level_buf = xmalloc(z->level_buf_size);
    z->gzip_flag = IGZIP_ZLIB;
    z->end_of_stream = 1;
    z->next_in = data;
    z->avail_in = (uint32_t)size;
    z->next_out = out + head;
    z->avail_out = (uint32_t)room;
    int status = isal_deflate(z);
    assert(status == COMP_OK && z->internal_state.state == ZSTATE_END);
    *ret_size = z->total_out;
    free(z->level_buf);
    free(z);
    return out;
}

/* Frames `size` bytes that already lie at chunk + 8; returns the first byte after the chunk. */
static uint8_t *frame_chunk(uint8_t *chunk, const char type[4], size_t size)
{
    put_be32(chunk, (uint32_t)size);
    memcpy(chunk + 4, type, 4);
    put_be32(chunk + 8 + size, crc32_gzip_refl(0, chunk + 4, size + 4));
    return chunk + CHUNK_FRAME + size;
}

bool image_encode_png(const uint8_t *rgb, int width, int height, uint8_t **ret_data, size_t *ret_size, Err *err)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    enum { IHDR_SIZE = 13, HEAD = sizeof signature + CHUNK_FRAME + IHDR_SIZE + 8, TAIL = 4 + CHUNK_FRAME };
    if (width < 1 || height < 1 || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE ||
        (int64_t)width * height > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_USAGE, "PNG: %dx%d pixels; a side may be 1 to %d and the area at most %d", width,
                       height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
    size_t raw_size, idat_size;
    uint8_t *raw = filter_image(rgb, width, height, &raw_size);
    uint8_t *png = deflate_rows(raw, raw_size, HEAD, TAIL, &idat_size);
    free(raw);

    memcpy(png, signature, sizeof signature);
    uint8_t *chunk = png + sizeof signature;
    static const uint8_t rgb8[5] = {8, 2, 0, 0, 0}; /* depth, RGB, deflate, adaptive filters, not interlaced */
    put_be32(chunk + 8, (uint32_t)width);
    put_be32(chunk + 12, (uint32_t)height);
    memcpy(chunk + 16, rgb8, sizeof rgb8);
    chunk = frame_chunk(chunk, "IHDR", IHDR_SIZE);
    chunk = frame_chunk(chunk, "IDAT", idat_size);
    chunk = frame_chunk(chunk, "IEND", 0);
    *ret_data = png;
    *ret_size = (size_t)(chunk - png);
    return true;
}

/* --- files --------------------------------------------------------------------------------------- */

bool image_write_png(const char *path, const uint8_t *rgb, int width, int height, bool sync, Err *err)
{
    uint8_t *data;
    size_t size;
    if (!image_encode_png(rgb, width, height, &data, &size, err))
        return err_wrap(err, "image %s", path);
    bool ok = sync ? file_write(path, data, size, err) : file_write_quick(path, data, size, err);
    free(data);
    return ok || err_wrap(err, "image");
}
