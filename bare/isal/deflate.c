/* Deflate with the fixed codes: one probe of a hash of three bytes finds a match or none. Rows of PNG come out about a
 * fifth larger than with codes made for them. */
#include <isa-l.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_BITS = 15, NEAR = 1 << 15, LONGEST = 258, SHORTEST = 3 };

typedef struct Out {
    uint8_t *at, *end;
    uint64_t bits;
    int count;
    bool full;
} Out;

static void put_bits(Out *out, uint32_t value, int n)
{
    out->bits |= (uint64_t)value << out->count;
    for (out->count += n; out->count >= 8; out->count -= 8, out->bits >>= 8) {
        out->full = out->full || out->at == out->end;
        if (!out->full)
            *out->at++ = (uint8_t)out->bits;
    }
}

/* Huffman codes go with their first bit first. */
static void put_code(Out *out, uint32_t code, int n)
{
    uint32_t turned = 0;
    for (int i = 0; i < n; i++)
        turned |= (code >> i & 1) << (n - 1 - i);
    put_bits(out, turned, n);
}

static void put_literal(Out *out, uint32_t symbol)
{
    if (symbol < 144)
        put_code(out, 0x30 + symbol, 8);
    else if (symbol < 256)
        put_code(out, 0x190 + symbol - 144, 9);
    else if (symbol < 280)
        put_code(out, symbol - 256, 7);
    else
        put_code(out, 0xc0 + symbol - 280, 8);
}

/* Lengths and distances both double their steps: four lengths, then two distances, to a number of extra bits. */
static void put_length(Out *out, uint32_t length)
{
    uint32_t value = length - SHORTEST;
    int more = 0;
    if (length == LONGEST) {
        put_literal(out, 285);
        return;
    }
    while (value >> (more + 3))
        more++;
    put_literal(out, 257 + (uint32_t)more * 4 + (value >> more));
    put_bits(out, value & ((1u << more) - 1), more);
}

static void put_distance(Out *out, uint32_t distance)
{
    uint32_t value = distance - 1;
    int more = 0;
    while (value >> (more + 2))
        more++;
    put_code(out, (uint32_t)more * 2 + (value >> more), 5);
    put_bits(out, value & ((1u << more) - 1), more);
}

static uint32_t hash_of(const uint8_t *p)
{
    return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16) * 2654435761u >> (32 - HASH_BITS);
}

static void put_data(Out *out, const uint8_t *data, uint32_t size)
{
    uint32_t *last = calloc(1u << HASH_BITS, sizeof *last); /* position + 1 */
    if (!last)
        abort();
    for (uint32_t i = 0; i < size;) {
        uint32_t length = 0, from = 0;
        if (size - i >= SHORTEST) {
            uint32_t *slot = &last[hash_of(data + i)];
            from = *slot;
            *slot = i + 1;
            if (from && i + 1 - from <= NEAR)
                while (length < LONGEST && i + length < size && data[from - 1 + length] == data[i + length])
                    length++;
        }
        if (length >= SHORTEST) {
            put_length(out, length);
            put_distance(out, i + 1 - from);
            i += length;
        } else {
            put_literal(out, data[i++]);
        }
    }
    free(last);
}

static uint32_t adler32(const uint8_t *data, uint32_t size)
{
    uint32_t a = 1, b = 0;
    for (uint32_t i = 0; i < size; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

void isal_deflate_init(struct isal_zstream *z)
{
    memset(z, 0, sizeof *z);
}

/* Where nothing matches, literals of 9 bits would make it larger than it was. */
static void put_stored(Out *out, const uint8_t *data, uint32_t size)
{
    do {
        uint32_t part = size < 65535 ? size : 65535;
        put_bits(out, part == size, 3);
        put_bits(out, 0, (8 - out->count) % 8);
        put_bits(out, part | (~part & 0xffff) << 16, 32);
        for (uint32_t i = 0; i < part; i++)
            put_bits(out, data[i], 8);
        data += part;
        size -= part;
    } while (size);
}

static void put_block(Out *out, const uint8_t *data, uint32_t size)
{
    Out before = *out;
    put_bits(out, 1, 1); /* the last block */
    put_bits(out, 1, 2); /* fixed codes */
    put_data(out, data, size);
    put_literal(out, 256);
    if (out->full || out->at - before.at > (int64_t)size + size / 65535 * 5 + 8) {
        *out = before;
        put_stored(out, data, size);
    }
}

int isal_deflate(struct isal_zstream *z)
{
    Out out = {.at = z->next_out, .end = z->next_out + z->avail_out};
    bool wrapped = z->gzip_flag == IGZIP_ZLIB;
    if (wrapped)
        put_bits(&out, 0x0178, 16);
    put_block(&out, z->next_in, z->avail_in);
    put_bits(&out, 0, (8 - out.count) % 8);
    if (wrapped)
        for (int shift = 24; shift >= 0; shift -= 8)
            put_bits(&out, adler32(z->next_in, z->avail_in) >> shift & 255, 8);
    if (out.full)
        return STATELESS_OVERFLOW;
    z->total_out = (uint32_t)(out.at - z->next_out);
    z->next_out = out.at;
    z->avail_out -= z->total_out;
    z->next_in += z->avail_in;
    z->total_in = z->avail_in;
    z->avail_in = 0;
    z->internal_state.state = ZSTATE_END;
    return COMP_OK;
}

uint32_t crc32_gzip_refl(uint32_t crc, const unsigned char *data, uint64_t size)
{
    static uint32_t table[256];
    if (!table[1]) /* threads may fill it at the same time, with the same values */
        for (uint32_t i = 256; i-- > 0;) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
            table[i] = value;
        }
    crc = ~crc;
    for (uint64_t i = 0; i < size; i++)
        crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
    return ~crc;
}
