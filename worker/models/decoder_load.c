/* The decoder's weights: sizes read off the tensors, 1x1 convolutions folded into their neighbours in double. */
#include "worker/models/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { GROUPS = 32, MAX_CHANNELS = 1 << 14 };

typedef struct Loader {
    const Weights *weights;
    Backend *be;
    int size; /* pixels a side of the current level, a hint for packing */
} Loader;

typedef char Name[96];

static const char *join(Name room, const char *block, const char *leaf)
{
    snprintf(room, sizeof(Name), "%.56s.%.32s", block, leaf); /* longer than any name used here */
    return room;
}

static bool load_norm(const Loader *loader, const char *block, const char *norm, int c, DecoderNorm *ret_norm, Err *err)
{
    Name name, gamma, beta;
    join(name, block, norm);
    if (c % GROUPS)
        return err_set(err, ERR_FORMAT, "tokenizer %s: %s normalises %d channels in groups, wanted a multiple of %d",
                       loader->weights->path, name, c, GROUPS);
    return weights_tensor(loader->weights, loader->be, join(gamma, name, "weight"), c, 0, &ret_norm->gamma, err) &&
           weights_tensor(loader->weights, loader->be, join(beta, name, "bias"), c, 0, &ret_norm->beta, err);
}

static Conv *pack(const Loader *loader, const float *w, const float *bias, int c_in, int c_out, int kernel,
                  bool upsample, Err *err)
{
    ConvShape shape = {.c_in = c_in,
                       .c_out = c_out,
                       .kh = kernel,
                       .kw = kernel,
                       .stride = 1,
                       .pad_h = kernel / 2,
                       .pad_w = kernel / 2,
                       .upsample = upsample};
    return be_conv_pack(loader->be, w, bias, &shape, loader->size, loader->size, err);
}

static Conv *load_conv(const Loader *loader, const char *block, const char *conv, int c_in, int c_out, int kernel,
                       bool upsample, Err *err)
{
    Name name, weight, bias_name;
    join(name, block, conv);
    float *w = weights_take(loader->weights, join(weight, name, "weight"), c_out, c_in, kernel, kernel, err);
    float *bias = w ? weights_take(loader->weights, join(bias_name, name, "bias"), c_out, 0, 0, 0, err) : NULL;
    Conv *packed = bias ? pack(loader, w, bias, c_in, c_out, kernel, upsample, err) : NULL;
    free(w);
    free(bias);
    return packed;
}

/* The number of channels a convolution gives, from its bias. */
static bool channels_of(const Loader *loader, const char *block, const char *conv, int *ret_channels, Err *err)
{
    int64_t shape[] = {-1};
    Name name, bias;
    join(name, block, conv);
    if (!weights_shape(loader->weights, join(bias, name, "bias"), 1, shape, err))
        return false;
    if (shape[0] < 1 || shape[0] > MAX_CHANNELS)
        return err_set(err, ERR_FORMAT, "tokenizer %s: %s has %lld channels, wanted 1 to %d", loader->weights->path,
                       bias, (long long)shape[0], MAX_CHANNELS);
    *ret_channels = (int)shape[0];
    return true;
}

static bool load_res(const Loader *loader, const char *block, int c_in, DecoderRes *ret_res, Err *err)
{
    ret_res->c_in = c_in;
    if (!channels_of(loader, block, "conv1", &ret_res->c_out, err))
        return false;
    int c = ret_res->c_out;
    return load_norm(loader, block, "norm1", c_in, &ret_res->norm1, err) &&
           (ret_res->conv1 = load_conv(loader, block, "conv1", c_in, c, 3, false, err)) &&
           load_norm(loader, block, "norm2", c, &ret_res->norm2, err) &&
           (ret_res->conv2 = load_conv(loader, block, "conv2", c, c, 3, false, err)) &&
           (c == c_in || (ret_res->shortcut = load_conv(loader, block, "nin_shortcut", c_in, c, 1, false, err)));
}

/* --- attention, folded ----------------------------------------------------------------------------- */

typedef struct Square { /* a 1x1 convolution c -> c */
    float *w, *bias;
} Square;

static bool read_square(const Loader *loader, const char *block, const char *conv, int c, Square *ret_square, Err *err)
{
    Name name, weight, bias;
    join(name, block, conv);
    ret_square->w = weights_take(loader->weights, join(weight, name, "weight"), c, c, 1, 1, err);
    ret_square->bias = ret_square->w ? weights_take(loader->weights, join(bias, name, "bias"), c, 0, 0, 0, err) : NULL;
    return ret_square->bias != NULL;
}

/* (q n_i + bq) . (k n_j + bk) = (k^T q n_i + k^T bq) . n_j + terms that do not depend on j, which softmax drops. */
static void fold_query(const Square *q, const Square *k, int c, float *w, float *bias)
{
    double *row = xmalloc((size_t)c * sizeof *row);
    for (int a = 0; a < c; a++) {
        double shift = 0;
        memset(row, 0, (size_t)c * sizeof *row);
        for (int o = 0; o < c; o++) {
            double key = (double)k->w[o * c + a];
            shift += key * (double)q->bias[o];
            for (int b = 0; b < c; b++)
                row[b] += key * (double)q->w[o * c + b];
        }
        for (int b = 0; b < c; b++)
            w[a * c + b] = (float)row[b];
        bias[a] = (float)shift;
    }
    free(row);
}

/* Attention weights sum to 1: p(A(v n + bv)) + bp = (p v)(A n) + p bv + bp. */
static void fold_out(const Square *v, const Square *p, int c, float *w, float *bias)
{
    double *row = xmalloc((size_t)c * sizeof *row);
    for (int a = 0; a < c; a++) {
        double shift = (double)p->bias[a];
        memset(row, 0, (size_t)c * sizeof *row);
        for (int o = 0; o < c; o++) {
            double out = (double)p->w[a * c + o];
            shift += out * (double)v->bias[o];
            for (int b = 0; b < c; b++)
                row[b] += out * (double)v->w[o * c + b];
        }
        for (int b = 0; b < c; b++)
            w[a * c + b] = (float)row[b];
        bias[a] = (float)shift;
    }
    free(row);
}

static bool load_attn(const Loader *loader, const char *block, int c, DecoderAttn *ret_attn, Err *err)
{
    Square q = {0}, k = {0}, v = {0}, p = {0};
    float *w = NULL, *bias = NULL;
    ret_attn->c = c;
    bool ok = load_norm(loader, block, "norm", c, &ret_attn->norm, err) &&
              read_square(loader, block, "q", c, &q, err) && read_square(loader, block, "k", c, &k, err) &&
              read_square(loader, block, "v", c, &v, err) && read_square(loader, block, "proj_out", c, &p, err) &&
              (w = weights_room(loader->weights, (int64_t)c * c, err)) &&
              (bias = weights_room(loader->weights, c, err));
    if (ok) {
        fold_query(&q, &k, c, w, bias);
        ret_attn->query = pack(loader, w, bias, c, c, 1, false, err);
    }
    if (ok && ret_attn->query) {
        fold_out(&v, &p, c, w, bias);
        ret_attn->out = pack(loader, w, bias, c, c, 1, false, err);
    }
    Square *squares[] = {&q, &k, &v, &p};
    for (size_t i = 0; i < countof(squares); i++) {
        free(squares[i]->w);
        free(squares[i]->bias);
    }
    free(w);
    free(bias);
    return ret_attn->out != NULL;
}

/* --- the whole -------------------------------------------------------------------------------------- */

/* conv_in o post_quant_conv: [top,C+1,3,3]. Channel C of the input is 1 inside the image and carries post_quant_conv's
 * bias, which the zero padding of conv_in must not see. */
static void fold_in(const float *inner, const float *shift, const float *outer, int c, int z, int top, float *ret_w)
{
    for (int o = 0; o < top; o++)
        for (int tap = 0; tap < 9; tap++)
            for (int i = 0; i <= c; i++) {
                double sum = 0;
                for (int m = 0; m < z; m++)
                    sum +=
                        (double)outer[((int64_t)o * z + m) * 9 + tap] * (double)(i < c ? inner[m * c + i] : shift[m]);
                ret_w[((int64_t)o * (c + 1) + i) * 9 + tap] = (float)sum;
            }
}

static bool load_in(Decoder *decoder, const Loader *loader, int *ret_top, Err *err)
{
    const Weights *weights = loader->weights;
    int64_t post[] = {-1, -1, 1, 1};
    int top = 0;
    if (!weights_shape(weights, "post_quant_conv.weight", 4, post, err) ||
        !channels_of(loader, "decoder", "conv_in", &top, err))
        return false;
    if (post[0] < 1 || post[0] > MAX_CHANNELS || post[1] < 1 || post[1] > 4096)
        return err_set(err, ERR_FORMAT, "tokenizer %s: post_quant_conv.weight has [%lld,%lld,1,1], no such decoder",
                       weights->path, (long long)post[0], (long long)post[1]);
    int z = (int)post[0], c = decoder->channels = (int)post[1];
    float *inner = NULL, *shift = NULL, *outer = NULL, *bias = NULL, *w = NULL;
    bool ok = (inner = weights_take(weights, "post_quant_conv.weight", z, c, 1, 1, err)) &&
              (shift = weights_take(weights, "post_quant_conv.bias", z, 0, 0, 0, err)) &&
              (outer = weights_take(weights, "decoder.conv_in.weight", top, z, 3, 3, err)) &&
              (bias = weights_take(weights, "decoder.conv_in.bias", top, 0, 0, 0, err)) &&
              (w = weights_room(weights, (int64_t)top * (c + 1) * 9, err));
    if (ok) {
        fold_in(inner, shift, outer, c, z, top, w);
        decoder->conv_in = pack(loader, w, bias, c + 1, top, 3, false, err);
    }
    free(inner);
    free(shift);
    free(outer);
    free(bias);
    free(w);
    *ret_top = top;
    return decoder->conv_in != NULL;
}

/* Whether the file has anything of a block: a block that lacks one weight must not be taken for an absent block. */
static bool has_block(const Weights *weights, const char *kind, int level, int index)
{
    static const char *const leaves[] = {"norm", "norm1", "norm2", "conv1", "conv2", "q", "k", "v", "proj_out"};
    static const char *const ends[] = {"weight", "bias"};
    Name name;
    for (size_t i = 0; i < countof(leaves); i++)
        for (size_t j = 0; j < countof(ends); j++) {
            snprintf(name, sizeof name, "decoder.conv_blocks.%d.%s.%d.%s.%s", level, kind, index, leaves[i], ends[j]);
            if (weights_has(weights, name))
                return true;
        }
    return false;
}

/* As in every tokenizer of this kind: the blocks are numbered from 0 on; at level 0 each has attention, elsewhere all
 * or none. */
static bool check_blocks(const Weights *weights, const DecoderLevel *level, int index, Err *err)
{
    Name block;
    bool first = index == 0 || level->attn[0].c;
    snprintf(block, sizeof block, "decoder.conv_blocks.%d.res", index);
    if (level->blocks < DECODER_BLOCKS && !weights_no_gap(weights, "tokenizer", block, level->blocks, err))
        return false;
    for (int j = 0; j < level->blocks; j++)
        if (!level->attn[j].c == first)
            return err_set(err, ERR_FORMAT,
                           "tokenizer %s: %s decoder.conv_blocks.%d.attn.%d, wanted attention after every block of "
                           "level 0, and after all or none of another level",
                           weights->path, first ? "it lacks" : "it has", index, j);
    snprintf(block, sizeof block, "decoder.conv_blocks.%d.attn", index);
    return weights_no_gap(weights, "tokenizer", block, level->blocks, err);
}

static bool load_level(DecoderLevel *level, Loader *loader, int index, bool last, int c, Err *err)
{
    const Weights *weights = loader->weights;
    Name block, probe;
    for (int j = 0; j < DECODER_BLOCKS && has_block(weights, "res", index, j); j++) {
        snprintf(block, sizeof block, "decoder.conv_blocks.%d.res.%d", index, j);
        if (!load_res(loader, block, c, &level->res[j], err))
            return false;
        level->blocks = j + 1;
        c = level->res[j].c_out;
        snprintf(block, sizeof block, "decoder.conv_blocks.%d.attn.%d", index, j);
        if (has_block(weights, "attn", index, j) && !load_attn(loader, block, c, &level->attn[j], err))
            return false;
    }
    level->c = c;
    if (!check_blocks(weights, level, index, err))
        return false;
    if (has_block(weights, "res", index, DECODER_BLOCKS))
        return err_set(err, ERR_FORMAT, "tokenizer %s: level %d has more than the %d blocks that a decoder may have",
                       weights->path, index, DECODER_BLOCKS);
    snprintf(block, sizeof block, "decoder.conv_blocks.%d", index);
    if (last && weights_has(weights, join(probe, block, "upsample.conv.weight")))
        return err_set(err, ERR_FORMAT, "tokenizer %s: %s, but there is no decoder.conv_blocks.%d for what it enlarges",
                       weights->path, probe, index + 1);
    if (last)
        return true;
    loader->size *= 2;
    return (level->upsample = load_conv(loader, block, "upsample.conv", c, c, 3, true, err)) != NULL;
}

int decoder_levels(const Weights *weights)
{
    int levels = 0;
    while (levels <= DECODER_LEVELS && has_block(weights, "res", levels, 0))
        levels++;
    return levels;
}

static bool read_sizes(Decoder *decoder, const Weights *weights, int grid, Err *err)
{
    decoder->levels = decoder_levels(weights);
    if (decoder->levels < 1 || decoder->levels > DECODER_LEVELS)
        return err_set(err, ERR_FORMAT,
                       "tokenizer %s: %d decoder levels (decoder.conv_blocks.K), wanted 1 to %d; is it a VQ tokenizer?",
                       weights->path, decoder->levels, DECODER_LEVELS);
    if (!weights_no_gap(weights, "tokenizer", "decoder.conv_blocks", decoder->levels, err))
        return false;
    decoder->grid = grid;
    if (!decoder->grid)
        return err_set(err, ERR_FORMAT,
                       "tokenizer %s: it has %d levels, and no file says how many tokens an image has; give a noise "
                       "file [n,tokens,channels] or set grid",
                       weights->path, decoder->levels);
    decoder->image_size = decoder->grid << (decoder->levels - 1);
    return true;
}

static bool load_all(Decoder *decoder, const Weights *weights, int grid, Err *err)
{
    int c = 0;
    if (!read_sizes(decoder, weights, grid, err))
        return false;
    Loader loader = {weights, decoder->be, decoder->grid};
    if (!load_in(decoder, &loader, &c, err) || !load_res(&loader, "decoder.mid.0", c, &decoder->mid[0], err))
        return false;
    c = decoder->mid[0].c_out;
    if (!load_attn(&loader, "decoder.mid.1", c, &decoder->mid_attn, err) ||
        !load_res(&loader, "decoder.mid.2", c, &decoder->mid[1], err))
        return false;
    c = decoder->mid[1].c_out;
    for (int i = 0; i < decoder->levels; i++) {
        if (!load_level(&decoder->level[i], &loader, i, i == decoder->levels - 1, c, err))
            return false;
        c = decoder->level[i].c;
        if (decoder->level[i].blocks != decoder->level[0].blocks)
            return err_set(err, ERR_FORMAT, "tokenizer %s: level 0 of its decoder has %d blocks and level %d has %d",
                           weights->path, decoder->level[0].blocks, i, decoder->level[i].blocks);
    }
    return load_norm(&loader, "decoder", "norm_out", c, &decoder->norm_out, err) &&
           (decoder->conv_out = load_conv(&loader, "decoder", "conv_out", c, 3, 3, false, err));
}

bool decoder_load(Decoder *ret_decoder, const Weights *weights, Backend *be, int grid, Err *err)
{
    Decoder *decoder = xcalloc(1, sizeof *decoder); /* too large for a stack frame */
    decoder->be = be;
    bool ok = load_all(decoder, weights, grid, err);
    if (ok)
        *ret_decoder = *decoder;
    else
        decoder_free(decoder);
    free(decoder);
    return ok;
}

/* --- freeing ---------------------------------------------------------------------------------------- */

static void free_norm(Backend *be, const DecoderNorm *norm)
{
    be_free(be, norm->gamma.data);
    be_free(be, norm->beta.data);
}

static void free_res(Backend *be, const DecoderRes *res)
{
    free_norm(be, &res->norm1);
    free_norm(be, &res->norm2);
    be_conv_free(be, res->conv1);
    be_conv_free(be, res->conv2);
    be_conv_free(be, res->shortcut);
}

static void free_attn(Backend *be, const DecoderAttn *attn)
{
    free_norm(be, &attn->norm);
    be_conv_free(be, attn->query);
    be_conv_free(be, attn->out);
}

void decoder_free(Decoder *decoder)
{
    Backend *be = decoder->be;
    if (!be)
        return;
    be_conv_free(be, decoder->conv_in);
    be_conv_free(be, decoder->conv_out);
    free_res(be, &decoder->mid[0]);
    free_res(be, &decoder->mid[1]);
    free_attn(be, &decoder->mid_attn);
    for (int i = 0; i < DECODER_LEVELS; i++) {
        for (int j = 0; j < DECODER_BLOCKS; j++) {
            free_res(be, &decoder->level[i].res[j]);
            free_attn(be, &decoder->level[i].attn[j]);
        }
        be_conv_free(be, decoder->level[i].upsample);
    }
    free_norm(be, &decoder->norm_out);
    memset(decoder, 0, sizeof *decoder);
}
