/* Inflate (RFC 1951, RFC 1950 around it) as a machine that stops wherever input or room ends.
 *
 * It decodes from a bit buffer that is filled byte by byte; each step needs at most 48 bits and is taken only when they
 * are there or the input has ended, so a step is never half done. The last 32 KiB stand in a window of their own. */
#include <zlib.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 15, BITS_MAX = 15, LITERALS = 288, DISTANCES = 32 };

/* A canonical Huffman code: how many codes of each length, and the symbols in order of their codes. */
typedef struct Code {
    uint16_t count[BITS_MAX + 1], symbol[LITERALS];
} Code;

typedef enum Step { HEAD, BLOCK, STORED, CODED, COPY, TAIL, DONE, BAD } Step;

struct internal_state {
    Step step;
    bool wrapped, last;
    uint64_t bits;
    int count;     /* bits that are there */
    uint32_t left; /* of a stored block, or of a copy */
    uint32_t back; /* distance of the copy */
    uint32_t a, b; /* Adler-32 */
    Code literals, distances;
    uint32_t at; /* in the window */
    uint64_t made;
    uint8_t window[WINDOW];
};

int inflateInit2_(z_stream *z, int bits, const char *version, int size)
{
    (void)version, (void)size;
    z->state = calloc(1, sizeof *z->state);
    if (!z->state)
        return Z_MEM_ERROR;
    z->state->wrapped = bits > 0;
    z->state->step = bits > 0 ? HEAD : BLOCK;
    z->state->a = 1;
    z->total_in = z->total_out = 0;
    z->msg = NULL;
    return Z_OK;
}

int inflateEnd(z_stream *z)
{
    free(z->state);
    z->state = NULL;
    return Z_OK;
}

static void fill(z_stream *z)
{
    struct internal_state *s = z->state;
    for (; s->count <= 56 && z->avail_in; s->count += 8, z->avail_in--, z->total_in++)
        s->bits |= (uint64_t)*z->next_in++ << s->count;
}

static uint32_t take(struct internal_state *s, int n)
{
    uint32_t value = (uint32_t)(s->bits & ((1ull << n) - 1));
    s->bits >>= n;
    s->count -= n;
    return value;
}

/* Gives whole bytes back that were read ahead, so that what follows the stream stays the caller's. */
static void give_back(z_stream *z)
{
    for (; z->state->count >= 8; z->state->count -= 8, z->avail_in++, z->total_in--)
        z->next_in--;
    z->state->bits &= (1ull << z->state->count) - 1;
}

static void put(z_stream *z, uint8_t byte)
{
    struct internal_state *s = z->state;
    *z->next_out++ = byte;
    z->avail_out--;
    z->total_out++;
    s->window[s->at++ % WINDOW] = byte;
    s->made++;
    s->a = (s->a + byte) % 65521;
    s->b = (s->b + s->a) % 65521;
}

static bool bad(z_stream *z, const char *why)
{
    z->msg = why;
    z->state->step = BAD;
    return false;
}

/* False if the lengths promise more codes than there are. */
static bool make_code(Code *code, const uint8_t *lengths, int n)
{
    uint16_t first[BITS_MAX + 2] = {0};
    memset(code->count, 0, sizeof code->count);
    for (int i = 0; i < n; i++)
        code->count[lengths[i]]++;
    code->count[0] = 0;
    int room = 1;
    for (int bits = 1; bits <= BITS_MAX; bits++) {
        room = room * 2 - code->count[bits];
        if (room < 0)
            return false;
        first[bits + 1] = (uint16_t)(first[bits] + code->count[bits]);
    }
    for (int i = 0; i < n; i++)
        if (lengths[i])
            code->symbol[first[lengths[i]]++] = (uint16_t)i;
    return true;
}

/* -1: no such code; -2: the bits that are there do not hold a whole one. */
static int symbol(struct internal_state *s, const Code *code)
{
    int value = 0, first = 0, index = 0;
    for (int bits = 1; bits <= BITS_MAX; bits++) {
        if (bits > s->count)
            return -2;
        value |= (int)(s->bits >> (bits - 1) & 1);
        int count = code->count[bits];
        if (value - first < count) {
            take(s, bits);
            return code->symbol[index + value - first];
        }
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return -1;
}

/* --- the steps: true when one was taken, false when more input or room is needed, or it went BAD -------------------
 */

static bool head(z_stream *z)
{
    struct internal_state *s = z->state;
    if (s->count < 16)
        return false;
    uint32_t method = take(s, 8), flags = take(s, 8);
    if ((method & 15) != 8 || (method * 256 + flags) % 31 != 0 || flags & 32)
        return bad(z, "incorrect header check");
    s->step = BLOCK;
    return true;
}

static void fixed_codes(struct internal_state *s)
{
    uint8_t lengths[LITERALS];
    for (int i = 0; i < LITERALS; i++)
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make_code(&s->literals, lengths, LITERALS);
    memset(lengths, 5, 30);
    make_code(&s->distances, lengths, 30);
}

/* One symbol of the code of code lengths; false at the end of the input. The header of a block is read in one step:
 * enough input for it is asked for by `ready`. */
typedef struct Lengths {
    uint8_t values[LITERALS + DISTANCES];
    int literals, distances;
} Lengths;

static const char *read_lengths(z_stream *z, Lengths *lengths)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    struct internal_state *s = z->state;
    lengths->literals = (int)take(s, 5) + 257;
    lengths->distances = (int)take(s, 5) + 1;
    int count = (int)take(s, 4) + 4;
    if (lengths->literals > 286 || lengths->distances > 30)
        return "too many length or distance symbols";
    uint8_t first[19] = {0};
    Code code;
    for (int i = 0; i < count; i++) {
        fill(z);
        if (s->count < 3)
            return "";
        first[order[i]] = (uint8_t)take(s, 3);
    }
    if (!make_code(&code, first, 19))
        return "invalid code lengths set";
    int all = lengths->literals + lengths->distances;
    for (int i = 0; i < all;) {
        fill(z);
        int what = symbol(s, &code);
        if (what < 0)
            return what == -1 ? "invalid code lengths set" : "";
        if (what < 16) {
            lengths->values[i++] = (uint8_t)what;
            continue;
        }
        int bits = what == 16 ? 2 : what == 17 ? 3 : 7, least = what == 18 ? 11 : 3;
        if (s->count < bits)
            return "";
        int times = least + (int)take(s, bits);
        if ((what == 16 && i == 0) || i + times > all)
            return "invalid bit length repeat";
        memset(lengths->values + i, what == 16 ? lengths->values[i - 1] : 0, (size_t)times);
        i += times;
    }
    return NULL;
}

static bool dynamic_codes(z_stream *z)
{
    struct internal_state *s = z->state;
    Lengths lengths;
    const char *why = read_lengths(z, &lengths);
    if (why)
        return bad(z, *why ? why : NULL);
    if (!lengths.values[256] || !make_code(&s->literals, lengths.values, lengths.literals) ||
        !make_code(&s->distances, lengths.values + lengths.literals, lengths.distances))
        return bad(z, "invalid literal/lengths set");
    return true;
}

/* A header of a block takes at most 290 bytes. Where fewer are there it may still be whole: it is tried on a copy. */
static bool block(z_stream *z)
{
    struct internal_state *s = z->state;
    if (s->last) {
        s->step = s->wrapped ? TAIL : DONE;
        take(s, s->count % 8);
        return true;
    }
    if (s->count < 3)
        return false;
    z_stream before = *z;
    uint64_t bits = s->bits;
    int count = s->count;
    s->last = take(s, 1);
    uint32_t kind = take(s, 2);
    if (kind == 0) {
        take(s, s->count % 8);
        fill(z);
        if (s->count >= 32) {
            s->left = take(s, 16);
            if ((take(s, 16) ^ s->left) != 0xffff)
                return bad(z, "invalid stored block lengths");
            s->step = STORED;
            return true;
        }
    } else if (kind == 1) {
        fixed_codes(s);
        s->step = CODED;
        return true;
    } else if (kind == 2 && s->count + 8 * (int64_t)z->avail_in >= 17 && dynamic_codes(z)) {
        s->step = CODED;
        return true;
    } else if (kind == 3 || (s->step == BAD && z->msg)) {
        return bad(z, z->msg ? z->msg : "invalid block type");
    }
    /* the header is not all there yet */
    s->step = BLOCK;
    s->last = false;
    s->bits = bits;
    s->count = count;
    z->next_in = before.next_in;
    z->avail_in = before.avail_in;
    z->total_in = before.total_in;
    return false;
}

static bool stored(z_stream *z)
{
    struct internal_state *s = z->state;
    if (s->left == 0) {
        s->step = BLOCK;
        return true;
    }
    if (s->count < 8 || !z->avail_out)
        return false;
    put(z, (uint8_t)take(s, 8));
    s->left--;
    return true;
}

static bool coded(z_stream *z)
{
    static const uint16_t length[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_more[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                          2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    struct internal_state *s = z->state;
    if (!z->avail_out)
        return false;
    uint64_t bits = s->bits;
    int count = s->count, what = symbol(s, &s->literals);
    if (what >= 0 && what < 256) {
        put(z, (uint8_t)what);
        return true;
    }
    if (what == 256) {
        s->step = BLOCK;
        return true;
    }
    if (what == -1 || what > 285)
        return bad(z, "invalid literal/length code");
    int where = -2;
    if (what > 256 && s->count >= length_more[what - 257]) {
        s->left = length[what - 257] + take(s, length_more[what - 257]);
        where = symbol(s, &s->distances);
    }
    if (where == -1 || where > 29)
        return bad(z, "invalid distance code");
    int more = where < 4 ? 0 : where / 2 - 1;
    if (where < 0 || s->count < more) { /* not all there yet */
        s->bits = bits;
        s->count = count;
        return false;
    }
    s->back = where < 4 ? (uint32_t)where + 1 : ((2u + (uint32_t)where % 2) << more) + 1;
    s->back += take(s, more);
    if (s->back > s->made || s->back > WINDOW)
        return bad(z, "invalid distance too far back");
    s->step = COPY;
    return true;
}

static bool copy(z_stream *z)
{
    struct internal_state *s = z->state;
    for (; s->left && z->avail_out; s->left--)
        put(z, s->window[(s->at - s->back) % WINDOW]);
    if (s->left)
        return false;
    s->step = CODED;
    return true;
}

static bool tail(z_stream *z)
{
    struct internal_state *s = z->state;
    if (s->count < 32)
        return false;
    uint32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum = sum << 8 | take(s, 8);
    if (sum != (s->b << 16 | s->a))
        return bad(z, "incorrect data check");
    s->step = DONE;
    return true;
}

int inflate(z_stream *z, int flush)
{
    static bool (*const steps[])(z_stream *) = {head, block, stored, coded, copy, tail};
    (void)flush;
    if (!z->state)
        return Z_STREAM_ERROR;
    uLong in = z->total_in, out = z->total_out;
    do {
        fill(z);
    } while (z->state->step < DONE && steps[z->state->step](z));
    if (z->state->step == BAD)
        return Z_DATA_ERROR;
    if (z->state->step == DONE) {
        give_back(z);
        return Z_STREAM_END;
    }
    return z->total_in != in || z->total_out != out ? Z_OK : Z_BUF_ERROR;
}
