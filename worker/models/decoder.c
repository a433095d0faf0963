/* The decoder's forward pass: three maps in turn, so the largest activation is held three times and nothing else is.
 *
 * `at` names the map that holds the image so far; a block leaves its result in some map and moves `at` there.
 *
 * It goes in two parts. A device is kept busy at 16x16 pixels only by many images, while at 256x256 few of them fill it
 * and should stay near its cache: so up to LOW_SIZE pixels a side a wide group of images runs at once, and the rest of
 * the way in chunks of it. On the host both are one image. */
#include "worker/models/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { GROUPS = 32, LOW_SIZE = 64, WIDE_DEVICE = 64, CHUNK_DEVICE = 4 };

static const FeatureMap NO_MAP = {0};

/* The last level of the wide part; its upsampling belongs to the chunks. */
static int last_low(const Decoder *decoder)
{
    int i = 0;
    while (i + 1 < decoder->levels && decoder->grid << (i + 1) <= LOW_SIZE)
        i++;
    return i;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Bytes of the largest map inside level i, of `b` images. */
static size_t level_map(const Decoder *decoder, int i, int b)
{
    const DecoderLevel *level = &decoder->level[i];
    int size = decoder->grid << i;
    size_t most = 0;
    for (int j = 0; j < level->blocks; j++) {
        int c = level->res[j].c_in > level->res[j].c_out ? level->res[j].c_in : level->res[j].c_out;
        most = larger(most, be_map_bytes(decoder->be, b, size, size, c));
    }
    return most;
}

static size_t largest_low(const Decoder *decoder, int wide)
{
    size_t most = be_map_bytes(decoder->be, wide, decoder->grid, decoder->grid, decoder->mid[0].c_in);
    for (int i = 0; i <= last_low(decoder); i++) {
        int size = decoder->grid << i;
        most = larger(most, level_map(decoder, i, wide));
        if (i < last_low(decoder))
            most = larger(most, be_map_bytes(decoder->be, wide, 2 * size, 2 * size, decoder->level[i].c));
    }
    return most;
}

static size_t largest_high(const Decoder *decoder, int chunk)
{
    int size = decoder->image_size;
    size_t most = be_map_bytes(decoder->be, chunk, size, size, decoder->level[decoder->levels - 1].c);
    for (int i = last_low(decoder); i < decoder->levels; i++) {
        size = decoder->grid << i;
        if (i > last_low(decoder))
            most = larger(most, level_map(decoder, i, chunk));
        if (decoder->level[i].upsample)
            most = larger(most, be_map_bytes(decoder->be, chunk, 2 * size, 2 * size, decoder->level[i].c));
    }
    return most;
}

/* Bytes of the largest map that goes through an attention block. */
static size_t attention_map(const Decoder *decoder, int wide, int chunk)
{
    int size = decoder->grid;
    size_t most = be_map_bytes(decoder->be, wide, size, size, decoder->mid_attn.c);
    for (int i = 0; i < decoder->levels; i++, size *= 2)
        for (int j = 0; j < decoder->level[i].blocks; j++) {
            int c = decoder->level[i].attn[j].c, b = i <= last_low(decoder) ? wide : chunk;
            most = larger(most, c ? be_map_bytes(decoder->be, b, size, size, c) : 0);
        }
    return most;
}

static int at_most(int b, int most)
{
    return b < most ? b : most;
}

void decoder_layout(const Decoder *decoder, Workspace *workspace, int b, DecoderWork *work)
{
    bool host = backend_is_host(decoder->be);
    int wide = at_most(b, host ? 1 : WIDE_DEVICE), chunk = at_most(b, host ? 1 : CHUNK_DEVICE);
    int64_t tokens = (int64_t)decoder->grid * decoder->grid, size = decoder->image_size;
    work->wide = wide;
    work->chunk = chunk;
    work->rows = workspace_take(workspace, DTYPE_F32, 2, wide * tokens, decoder->channels + 1, 0, 0);
    for (int i = 0; i < 2; i++)
        work->pixels[i] = workspace_take(workspace, DTYPE_U8, 4, chunk, size, size, 3);
    work->in = workspace_take_map(workspace, decoder->be, wide, decoder->grid, decoder->grid, decoder->channels + 1);
    work->attention =
        workspace_take(workspace, DTYPE_U8, 1, (int64_t)attention_map(decoder, wide, chunk), 0, 0, 0).data;
    for (int i = 0; i < DECODER_MAPS; i++) {
        work->low[i] = workspace_take(workspace, DTYPE_U8, 1, (int64_t)largest_low(decoder, wide), 0, 0, 0).data;
        work->high[i] = workspace_take(workspace, DTYPE_U8, 1, (int64_t)largest_high(decoder, chunk), 0, 0, 0).data;
    }
}

void decoder_work_open(const Decoder *decoder, DecoderWork *work)
{
    size_t rows = (size_t)work->wide * (size_t)decoder->grid * (size_t)decoder->grid;
    work->host_rows = xcalloc(rows * (size_t)(decoder->channels + 1), sizeof *work->host_rows);
}

void decoder_work_close(DecoderWork *work)
{
    free(work->host_rows);
    memset(work, 0, sizeof *work);
}

typedef struct Pass {
    const Decoder *decoder;
    DecoderWork *work;
    void *const *maps; /* that take turns: work->low or work->high */
    int at;            /* which of them holds the image so far; -1: none, it comes from elsewhere */
    FeatureMap map;    /* that map */
} Pass;

/* The caller's tap for stages; tap NULL: none. */
typedef struct Watch {
    DecoderTap *tap;
    void *ctx;
} Watch;

static void show(const Watch *watch, const char *stage, FeatureMap map)
{
    if (watch->tap)
        watch->tap(watch->ctx, stage, map);
}

/* The n-th map after the current one, with `c` channels; `grow` times as large a side. */
static FeatureMap other(const Pass *pass, int n, int c, int grow)
{
    FeatureMap map = pass->map;
    map.data = pass->maps[(pass->at + n) % DECODER_MAPS];
    map.c = c;
    map.h *= grow;
    map.w *= grow;
    return map;
}

static void move_to(Pass *pass, int n, FeatureMap map)
{
    pass->at = (pass->at + n) % DECODER_MAPS;
    pass->map = map;
}

static void norm_silu(const Pass *pass, const DecoderNorm *norm, FeatureMap x, FeatureMap y)
{
    be_group_norm(pass->decoder->be, x, norm->gamma, norm->beta, GROUPS, true, y);
}

/* x + conv2(silu(gn2(conv1(silu(gn1(x)))))), x through the 1x1 shortcut when widths differ. */
static void res_block(Pass *pass, const DecoderRes *res)
{
    Backend *be = pass->decoder->be;
    FeatureMap x = pass->map, a = other(pass, 1, res->c_in, 1), b = other(pass, 2, res->c_out, 1);
    norm_silu(pass, &res->norm1, x, a);
    be_conv(be, res->conv1, a, NO_MAP, b);
    norm_silu(pass, &res->norm2, b, b);
    if (!res->shortcut) {
        be_conv(be, res->conv2, b, x, x);
        return;
    }
    FeatureMap wide = other(pass, 1, res->c_out, 1);
    be_conv(be, res->shortcut, x, NO_MAP, wide);
    be_conv(be, res->conv2, b, wide, wide);
    move_to(pass, 1, wide);
}

/* x + out(softmax(query(n) . n / sqrt(c)) n), n = gn(x). */
static void attn_block(Pass *pass, const DecoderAttn *attn)
{
    Backend *be = pass->decoder->be;
    FeatureMap x = pass->map, n = other(pass, 1, attn->c, 1), q = other(pass, 2, attn->c, 1), y = x;
    y.data = pass->work->attention;
    be_group_norm(be, x, attn->norm.gamma, attn->norm.beta, GROUPS, false, n);
    be_conv(be, attn->query, n, NO_MAP, q);
    be_pixel_attention(be, q, n, n, (float)(1 / sqrt(attn->c)), y);
    be_conv(be, attn->out, y, x, x);
}

static void level_blocks(Pass *pass, const DecoderLevel *level)
{
    for (int j = 0; j < level->blocks; j++) {
        res_block(pass, &level->res[j]);
        if (level->attn[j].c)
            attn_block(pass, &level->attn[j]);
    }
}

/* The end of level i: twice the size, unless it is the last. */
static void level_end(Pass *pass, int i, const Watch *watch)
{
    const DecoderLevel *level = &pass->decoder->level[i];
    char stage[16];
    if (level->upsample) {
        FeatureMap y = other(pass, 1, level->c, 2);
        be_conv(pass->decoder->be, level->upsample, pass->map, NO_MAP, y);
        move_to(pass, 1, y);
    }
    snprintf(stage, sizeof stage, "level%d", i);
    show(watch, stage, pass->map);
}

static Pass start_pass(const Decoder *decoder, DecoderWork *work, int n)
{
    return (Pass){decoder, work, work->low, 0, {work->low[0], n, decoder->grid, decoder->grid, decoder->mid[0].c_in}};
}

/* The wide part: rows [n*L,C+1] in work->rows to a map of the last low level. */
static void decode_low(Pass *pass, const Watch *watch)
{
    const Decoder *decoder = pass->decoder;
    Backend *be = decoder->be;
    Tensor rows = pass->work->rows;
    FeatureMap in = pass->work->in;
    in.b = pass->map.b;
    rows.shape[0] = (int64_t)in.b * decoder->grid * decoder->grid;
    be_map_from_rows(be, rows, in);
    be_conv(be, decoder->conv_in, in, NO_MAP, pass->map);
    res_block(pass, &decoder->mid[0]);
    attn_block(pass, &decoder->mid_attn);
    res_block(pass, &decoder->mid[1]);
    show(watch, "mid", pass->map);
    for (int i = 0; i <= last_low(decoder); i++) {
        level_blocks(pass, &decoder->level[i]);
        if (i < last_low(decoder))
            level_end(pass, i, watch);
    }
}

/* Images from..from+n-1 of what the wide part left, to u8 pixels [n,S,S,3]. */
static void decode_high(const Pass *low, int from, Tensor pixels, const Watch *watch)
{
    const Decoder *decoder = low->decoder;
    Backend *be = decoder->be;
    Pass pass = *low;
    pass.maps = low->work->high;
    pass.at = -1;
    pass.map.b = (int)pixels.shape[0];
    pass.map.data =
        (char *)low->map.data + be_map_bytes(be, from, low->map.h, low->map.w, low->map.c); /* images lie in a row */
    level_end(&pass, last_low(decoder), watch);
    for (int i = last_low(decoder) + 1; i < decoder->levels; i++) {
        level_blocks(&pass, &decoder->level[i]);
        level_end(&pass, i, watch);
    }
    FeatureMap normed = other(&pass, 1, pass.map.c, 1), image = other(&pass, 2, 3, 1);
    norm_silu(&pass, &decoder->norm_out, pass.map, normed);
    be_conv(be, decoder->conv_out, normed, NO_MAP, image);
    show(watch, "image", image);
    be_to_u8(be, image, pixels);
}

/* Vectors with the constant channel that conv_in wants after them. */
static void fill_rows(const Decoder *decoder, const float *vectors, int64_t count, float *rows)
{
    size_t c = (size_t)decoder->channels;
    for (int64_t i = 0; i < count; i++) {
        memcpy(rows + (size_t)i * (c + 1), vectors + (size_t)i * c, c * sizeof *rows);
        rows[(size_t)i * (c + 1) + c] = 1;
    }
}

/* With a tap nothing is replayed, so that it sees every stage. */
static bool begin_part(Backend *be, const char *part, const Watch *watch, const void *memory, int64_t from, int64_t n)
{
    const int64_t key[] = {(intptr_t)memory, from, n};
    return watch->tap || be_replay_begin(be, be_replay_key(part, key, countof(key)));
}

static void end_part(Backend *be, const Watch *watch)
{
    if (!watch->tap)
        be_replay_end(be);
}

/* One wide group of n images. */
static void run_group(const Decoder *decoder, DecoderWork *work, const float *vectors, int n, uint8_t *pixels,
                      const Watch *watch)
{
    Backend *be = decoder->be;
    int64_t count = (int64_t)n * decoder->grid * decoder->grid;
    size_t image = (size_t)decoder->image_size * (size_t)decoder->image_size * 3;
    Tensor rows = work->rows;
    rows.shape[0] = count;
    fill_rows(decoder, vectors, count, work->host_rows);
    be_upload(be, rows, work->host_rows);
    Pass low = start_pass(decoder, work, n);
    if (begin_part(be, "decoder, low", watch, work->low[0], 0, n)) {
        decode_low(&low, watch);
        work->low_map = low.map; /* the same every time, but only known once it was queued */
        end_part(be, watch);
    }
    low.map = work->low_map;
    low.map.b = n;
    for (int from = 0; from < n; from += work->chunk) {
        Tensor out = work->pixels[from / work->chunk % 2];
        out.shape[0] = at_most(n - from, work->chunk);
        if (begin_part(be, "decoder, high", watch, out.data, from, out.shape[0])) {
            decode_high(&low, from, out, watch);
            end_part(be, watch);
        }
        be_download_beside(be, pixels + (size_t)from * image, out);
    }
}

bool decoder_run(const Decoder *decoder, DecoderWork *work, const float *vectors, int b, uint8_t *pixels,
                 DecoderTap *tap, void *ctx, Err *err)
{
    size_t row = (size_t)decoder->grid * (size_t)decoder->grid * (size_t)decoder->channels;
    size_t image = (size_t)decoder->image_size * (size_t)decoder->image_size * 3;
    Watch watch = {tap, ctx};
    for (int i = 0; i < b; i += work->wide)
        run_group(decoder, work, vectors + (size_t)i * row, at_most(b - i, work->wide), pixels + (size_t)i * image,
                  &watch);
    return be_check(decoder->be, err);
}
