/* The decoder's forward: three maps take turns, so the largest activation is held three times and nothing else is.
 *
 * `at` names the map that holds the image so far; a block leaves its result in some map and moves `at` there. */
#include "worker/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* On the host one image's maps stay near the caches. */
enum { GROUPS = 32, HOST_CHUNK = 1, DEVICE_CHUNK = 8 };

static const Map NO_MAP = {0};

int decoder_chunk(const Decoder *decoder, int b)
{
    int most = backend_is_host(decoder->be) ? HOST_CHUNK : DEVICE_CHUNK;
    return b < most ? b : most;
}

/* Bytes of the largest of the three maps. */
static size_t largest_map(const Decoder *decoder, int chunk)
{
    int size = decoder->grid;
    size_t most = be_map_bytes(decoder->be, chunk, size, size, decoder->mid[0].c_in);
    for (int i = 0; i < decoder->levels; i++) {
        const DecoderLevel *level = &decoder->level[i];
        for (int j = 0; j < level->blocks; j++) {
            int c = level->res[j].c_in > level->res[j].c_out ? level->res[j].c_in : level->res[j].c_out;
            size_t bytes = be_map_bytes(decoder->be, chunk, size, size, c);
            most = bytes > most ? bytes : most;
        }
        size *= level->upsample ? 2 : 1;
        size_t bytes = be_map_bytes(decoder->be, chunk, size, size, level->c);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Bytes of the largest map that goes through an attention block. */
static size_t attention_map(const Decoder *decoder, int chunk)
{
    int size = decoder->grid;
    size_t most = be_map_bytes(decoder->be, chunk, size, size, decoder->mid_attn.c);
    for (int i = 0; i < decoder->levels; i++, size *= 2)
        for (int j = 0; j < decoder->level[i].blocks; j++) {
            int c = decoder->level[i].attn[j].c;
            size_t bytes = c ? be_map_bytes(decoder->be, chunk, size, size, c) : 0;
            most = bytes > most ? bytes : most;
        }
    return most;
}

void decoder_layout(const Decoder *decoder, Slab *slab, int chunk, DecoderWork *work)
{
    int64_t tokens = (int64_t)decoder->grid * decoder->grid, size = decoder->image_size;
    size_t bytes = largest_map(decoder, chunk);
    work->chunk = chunk;
    work->rows = slab_take(slab, DTYPE_F32, 2, chunk * tokens, decoder->channels + 1, 0, 0);
    for (int i = 0; i < 2; i++)
        work->pixels[i] = slab_take(slab, DTYPE_U8, 4, chunk, size, size, 3);
    work->in = slab_take_map(slab, decoder->be, chunk, decoder->grid, decoder->grid, decoder->channels + 1);
    work->attention = slab_take(slab, DTYPE_U8, 1, (int64_t)attention_map(decoder, chunk), 0, 0, 0).data;
    for (int i = 0; i < DECODER_MAPS; i++)
        work->map[i] = slab_take(slab, DTYPE_U8, 1, (int64_t)bytes, 0, 0, 0).data;
}

void decoder_work_open(const Decoder *decoder, DecoderWork *work)
{
    size_t rows = (size_t)work->chunk * (size_t)decoder->grid * (size_t)decoder->grid;
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
    int at;  /* which map holds the image so far */
    Map map; /* that map */
} Pass;

/* The n-th map after the current one, with `c` channels; `grow` times as large a side. */
static Map other(const Pass *pass, int n, int c, int grow)
{
    Map map = pass->map;
    map.data = pass->work->map[(pass->at + n) % DECODER_MAPS];
    map.c = c;
    map.h *= grow;
    map.w *= grow;
    return map;
}

static void move_to(Pass *pass, int n, Map map)
{
    pass->at = (pass->at + n) % DECODER_MAPS;
    pass->map = map;
}

static void norm_silu(const Pass *pass, const DecoderNorm *norm, Map x, Map y)
{
    be_group_norm(pass->decoder->be, x, norm->gamma, norm->beta, GROUPS, true, y);
}

/* x + conv2(silu(gn2(conv1(silu(gn1(x)))))), x through the 1x1 shortcut when widths differ. */
static void res_block(Pass *pass, const DecoderRes *res)
{
    Backend *be = pass->decoder->be;
    Map x = pass->map, a = other(pass, 1, res->c_in, 1), b = other(pass, 2, res->c_out, 1);
    norm_silu(pass, &res->norm1, x, a);
    be_conv(be, res->conv1, a, NO_MAP, b);
    norm_silu(pass, &res->norm2, b, b);
    if (!res->shortcut) {
        be_conv(be, res->conv2, b, x, x);
        return;
    }
    Map wide = other(pass, 1, res->c_out, 1);
    be_conv(be, res->shortcut, x, NO_MAP, wide);
    be_conv(be, res->conv2, b, wide, wide);
    move_to(pass, 1, wide);
}

/* x + out(softmax(query(n) . n / sqrt(c)) n), n = gn(x). */
static void attn_block(Pass *pass, const DecoderAttn *attn)
{
    Backend *be = pass->decoder->be;
    Map x = pass->map, n = other(pass, 1, attn->c, 1), q = other(pass, 2, attn->c, 1), y = x;
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
    if (level->upsample) {
        Map y = other(pass, 1, level->c, 2);
        be_conv(pass->decoder->be, level->upsample, pass->map, NO_MAP, y);
        move_to(pass, 1, y);
    }
}

/* One chunk: rows [n*L,C+1] in work->rows to u8 pixels [n,S,S,3]. */
static void decode(const Decoder *decoder, DecoderWork *work, int n, Tensor pixels, DecoderTap *tap, void *ctx)
{
    Backend *be = decoder->be;
    int64_t tokens = (int64_t)decoder->grid * decoder->grid;
    Tensor rows = work->rows;
    Map in = work->in;
    rows.shape[0] = n * tokens;
    in.b = n;
    be_map_from_rows(be, rows, in);
    Pass pass = {decoder, work, 0, {work->map[0], n, decoder->grid, decoder->grid, decoder->mid[0].c_in}};
    be_conv(be, decoder->conv_in, in, NO_MAP, pass.map);
    res_block(&pass, &decoder->mid[0]);
    attn_block(&pass, &decoder->mid_attn);
    res_block(&pass, &decoder->mid[1]);
    if (tap)
        tap(ctx, "mid", pass.map);
    for (int i = 0; i < decoder->levels; i++) {
        char stage[16];
        level_blocks(&pass, &decoder->level[i]);
        snprintf(stage, sizeof stage, "level%d", i);
        if (tap)
            tap(ctx, stage, pass.map);
    }
    Map normed = other(&pass, 1, pass.map.c, 1), image = other(&pass, 2, 3, 1);
    norm_silu(&pass, &decoder->norm_out, pass.map, normed);
    be_conv(be, decoder->conv_out, normed, NO_MAP, image);
    if (tap)
        tap(ctx, "image", image);
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

bool decoder_run(const Decoder *decoder, DecoderWork *work, const float *vectors, int b, uint8_t *pixels,
                 DecoderTap *tap, void *ctx, Err *err)
{
    Backend *be = decoder->be;
    int64_t tokens = (int64_t)decoder->grid * decoder->grid;
    size_t image = (size_t)decoder->image_size * (size_t)decoder->image_size * 3;
    for (int i = 0; i < b; i += work->chunk) {
        int n = b - i < work->chunk ? b - i : work->chunk;
        Tensor rows = work->rows, out = work->pixels[i / work->chunk % 2];
        rows.shape[0] = n * tokens;
        out.shape[0] = n;
        fill_rows(decoder, vectors + (size_t)i * (size_t)tokens * (size_t)decoder->channels, n * tokens,
                  work->host_rows);
        be_upload(be, rows, work->host_rows);
        const int64_t key[] = {(intptr_t)work->map[0], (intptr_t)out.data, n};
        bool tapped = tap != NULL; /* whoever looks at stages wants to see them happen */
        if (tapped || be_replay_begin(be, be_replay_key("decoder", key, countof(key)))) {
            decode(decoder, work, n, out, tap, ctx);
            if (!tapped)
                be_replay_end(be);
        }
        be_download_beside(be, pixels + (size_t)i * image, out);
    }
    return be_check(be, err);
}
