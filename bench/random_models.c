#include "bench/random_models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

const RandomSize random_sizes[RANDOM_SIZES] = {{12, 768, 2048}, {24, 1024, 2816}};

struct RandomEntry {
    char name[64];
    int ndim;
    int64_t shape[4];
    float spread; /* values are uniform with this standard deviation, around `mean` */
    float mean;
};

static void add(RandomModel *model, const char *name, float mean, float spread, int ndim, int64_t a, int64_t b,
                int64_t c, int64_t d)
{
    model->entries = xrealloc(model->entries, (size_t)(model->count + 1) * sizeof *model->entries);
    RandomEntry entry = {.ndim = ndim, .shape = {a, b, c, d}, .spread = spread, .mean = mean};
    snprintf(entry.name, sizeof entry.name, "%s", name);
    model->entries[model->count++] = entry;
}

static void add_matrix(RandomModel *model, const char *name, int64_t n, int64_t k)
{
    add(model, name, 0, 1 / sqrtf((float)k), 2, n, k, 0, 0);
}

static void add_conv(RandomModel *model, const char *block, const char *conv, int64_t c_in, int64_t c_out, int kernel)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s.weight", block, conv);
    add(model, name, 0, 1 / sqrtf((float)(c_in * kernel * kernel)), 4, c_out, c_in, kernel, kernel);
    snprintf(name, sizeof name, "%s%s.bias", block, conv);
    add(model, name, 0, 0.1f, 1, c_out, 0, 0, 0);
}

static void add_norm(RandomModel *model, const char *block, const char *norm, int64_t c)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s.weight", block, norm);
    add(model, name, 1, 0.1f, 1, c, 0, 0, 0);
    snprintf(name, sizeof name, "%s%s.bias", block, norm);
    add(model, name, 0, 0.1f, 1, c, 0, 0, 0);
}

RandomModel random_transformer(const RandomSize *size, bool student)
{
    RandomModel model = {0};
    int64_t d = size->width, f = size->hidden;
    for (int i = 0; i < size->layers; i++) {
        char name[64];
        const struct {
            const char *leaf;
            int64_t n, k;
        } rows[] = {{"attention.wqkv", 3 * d, d},
                    {"attention.wo", d, d},
                    {"feed_forward.w1", f, d},
                    {"feed_forward.w3", f, d},
                    {"feed_forward.w2", d, f}};
        for (size_t r = 0; r < countof(rows); r++) {
            snprintf(name, sizeof name, "layers.%d.%s.weight", i, rows[r].leaf);
            add_matrix(&model, name, rows[r].n, rows[r].k);
        }
        snprintf(name, sizeof name, "layers.%d.attention_norm.weight", i);
        add(&model, name, 1, 0.1f, 1, d, 0, 0, 0);
        snprintf(name, sizeof name, "layers.%d.ffn_norm.weight", i);
        add(&model, name, 1, 0.1f, 1, d, 0, 0, 0);
    }
    add(&model, "norm.weight", 1, 0.1f, 1, d, 0, 0, 0);
    add_matrix(&model, "output.weight", CODES, d);
    add(&model, "cls_embedding.embedding_table.weight", 0, 0.5f, 2, CLASSES + 1, d, 0, 0);
    add(&model, "tok_embeddings.weight", 0, 0.5f, 2, student ? d : CODES, student ? CHANNELS : d, 0, 0);
    if (!student)
        return model;
    add(&model, "tok_embeddings.bias", 0, 0.1f, 1, d, 0, 0, 0);
    add(&model, "n_d_embed.weight", 0, 0.1f, 2, 2, d, 0, 0);
    add(&model, "final_layer_conti.scale_shift_table", 0, 0.1f, 2, 2, d, 0, 0);
    add_matrix(&model, "final_layer_conti.linear.weight", CHANNELS, d);
    add(&model, "final_layer_conti.linear.bias", 0, 0.1f, 1, CHANNELS, 0, 0, 0);
    return model;
}

static void add_res(RandomModel *model, const char *block, int64_t c_in, int64_t c_out)
{
    add_norm(model, block, "norm1", c_in);
    add_conv(model, block, "conv1", c_in, c_out, 3);
    add_norm(model, block, "norm2", c_out);
    add_conv(model, block, "conv2", c_out, c_out, 3);
    if (c_in != c_out)
        add_conv(model, block, "nin_shortcut", c_in, c_out, 1);
}

static void add_attn(RandomModel *model, const char *block, int64_t c)
{
    static const char *const convs[] = {"q", "k", "v", "proj_out"};
    add_norm(model, block, "norm", c);
    for (size_t i = 0; i < countof(convs); i++)
        add_conv(model, block, convs[i], c, c, 1);
}

/* VQ-16: base width 128, multipliers 1,1,2,2,4, z 256. */
RandomModel random_tokenizer(void)
{
    static const int widths[] = {512, 256, 256, 128, 128}; /* from the top */
    RandomModel model = {0};
    int64_t c = widths[0];
    add(&model, "quantize.embedding.weight", 0, 1, 2, CODES, CHANNELS, 0, 0);
    add_conv(&model, "", "post_quant_conv", CHANNELS, 256, 1);
    add_conv(&model, "decoder.", "conv_in", 256, c, 3);
    add_res(&model, "decoder.mid.0.", c, c);
    add_attn(&model, "decoder.mid.1.", c);
    add_res(&model, "decoder.mid.2.", c, c);
    for (int i = 0; i < (int)countof(widths); i++) {
        char block[64];
        for (int j = 0; j < 3; j++) {
            snprintf(block, sizeof block, "decoder.conv_blocks.%d.res.%d.", i, j);
            add_res(&model, block, c, widths[i]);
            c = widths[i];
            snprintf(block, sizeof block, "decoder.conv_blocks.%d.attn.%d.", i, j);
            if (i == 0)
                add_attn(&model, block, c);
        }
        snprintf(block, sizeof block, "decoder.conv_blocks.%d.upsample.", i);
        if (i + 1 < (int)countof(widths))
            add_conv(&model, block, "conv", c, c, 3);
    }
    add_norm(&model, "decoder.", "norm_out", c);
    add_conv(&model, "decoder.", "conv_out", c, 3, 3);
    return model;
}

static const RandomEntry *find(const RandomModel *model, const char *name)
{
    for (int i = 0; i < model->count; i++)
        if (!strcmp(model->entries[i].name, name))
            return &model->entries[i];
    return NULL;
}

static bool random_has(const void *ctx, const char *name)
{
    return find(ctx, name) != NULL;
}

static bool random_shape(const void *ctx, const char *name, int ndim, int64_t *shape, Err *err)
{
    const RandomEntry *entry = find(ctx, name);
    if (!entry || entry->ndim != ndim)
        return err_set(err, ERR_INTERNAL, "random weights: no %s with %d axes", name, ndim);
    for (int i = 0; i < ndim; i++) {
        if (shape[i] != -1 && shape[i] != entry->shape[i])
            return err_set(err, ERR_INTERNAL, "random weights: axis %d of %s is %lld, wanted %lld", i, name,
                           (long long)entry->shape[i], (long long)shape[i]);
        shape[i] = entry->shape[i];
    }
    return true;
}

static bool random_read(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst, Err *err)
{
    int64_t want[4] = {0}, count = 1;
    for (int i = 0; i < ndim; i++)
        count *= want[i] = shape[i];
    if (!random_shape(ctx, name, ndim, want, err))
        return false;
    const RandomEntry *entry = find(ctx, name);
    uint64_t x = 0x9E3779B97F4A7C15u ^ (uint64_t)(entry - ((const RandomModel *)ctx)->entries);
    for (int64_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        dst[i] = entry->mean + entry->spread * 3.4641016f * ((float)(x >> 40) * 0x1p-24f - 0.5f);
    }
    return true;
}

Weights random_weights(const RandomModel *model)
{
    return (Weights){"random weights", model, random_has, random_shape, random_read, NULL};
}

void random_model_free(RandomModel *model)
{
    free(model->entries);
    *model = (RandomModel){0};
}
