/* Attention: y_i = sum_j softmax_j(q_i . k_j * scale) v_j, for the transformers (causal, many small heads, a class
 * column) and for the decoder (all pixels, one wide head).
 *
 * A chunk of query rows at a time against all their keys, as two matrix products (Isa's) with a softmax between. For
 * the first one a head's keys are turned to panels [keys/32][width][32], as weights are. The order of each sum depends
 * on a row's own position alone. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/math.h"

enum { ROWS = 16 /* of a chunk: causal rows of one chunk share its longest row of keys */ };

/* In place: scores of `keys` keys to weights e^((s - max) scale) / sum, zeros up to `padded`. With a class column its
 * score 0 takes part, and its weight is returned. */
CPU_CLONES static float soften(float *restrict scores, int64_t keys, int64_t padded, float scale, bool class_column)
{
    float lanes[BLOCK] = {0}, max = class_column ? 0 : -INFINITY;
    for (int64_t j = 0; j < keys; j++) {
        scores[j] *= scale;
        max = scores[j] > max ? scores[j] : max;
    }
    for (int64_t j = 0; j < keys; j++)
        scores[j] = exp_f32(scores[j] - max);
    for (int64_t j = keys; j < padded; j++)
        scores[j] = 0;
    for (int64_t j = 0; j < padded; j += BLOCK)
        for (int l = 0; l < BLOCK; l++)
            lanes[l] += scores[j + l];
    float of_class = class_column ? exp_f32(-max) : 0, sum = of_class;
    for (int l = 0; l < BLOCK; l++)
        sum += lanes[l];
    float inverse = 1.0f / sum;
    for (int64_t j = 0; j < keys; j++)
        scores[j] *= inverse;
    return of_class * inverse;
}

/* Scores of a chunk: q is rows x nsegments x depth as in Product, keys as panels. */
static void score(const Cpu *cpu, const Product *q, const float *panels, int64_t keys, int rows, float *scores,
                  int64_t ld)
{
    Product p = *q;
    p.u_row = PANEL;
    p.width = PANEL;
    p.y_row = (size_t)ld;
    p.y_block = BLOCK;
    for (int64_t j = 0; j < keys; j += PANEL) {
        p.u = panels + (size_t)j * (size_t)(q->nsegments * q->depth);
        p.y = scores + j;
        cpu->isa->product(&p, rows);
    }
}

/* --- transformers ------------------------------------------------------------------------------------- */

/* One head of one image, and a thread's memory for it. */
typedef struct Head {
    const float *q, *v_class;
    float *y;
    int64_t d, hd, hd_padded, ld; /* width of a row of q, of a head; columns of scores */
    const float *v;               /* [keys][v_row], columns padded to blocks */
    size_t v_row;
    float *panels, *v_padded, *scores, *mixed;
} Head;

static size_t head_floats(int64_t hd, int64_t keys)
{
    int64_t ld = round_up(keys, PANEL), padded = round_up(hd, BLOCK);
    return (size_t)round_up(hd * ld + padded * ld + ROWS * ld + ROWS * padded, BLOCK);
}

/* Rows i..i+n-1 of the queries; row i sees `keys` keys, the next one more. */
static void attend_chunk(const Cpu *cpu, const Head *head, int64_t i, int n, int64_t keys)
{
    static const size_t start = 0;
    int64_t longest = keys + n - 1;
    float class_weight[ROWS];
    Product q = {.x = head->q + i * head->d,
                 .x_row = (size_t)head->d,
                 .segments = &start,
                 .nsegments = 1,
                 .depth = (int)head->hd};
    score(cpu, &q, head->panels, longest, n, head->scores, head->ld);
    for (int r = 0; r < n; r++)
        class_weight[r] = soften(head->scores + r * head->ld, keys + r, round_up(longest, PANEL),
                                 1.0f / sqrtf((float)head->hd), true);
    Product mix = {.x = head->scores,
                   .x_row = (size_t)head->ld,
                   .segments = &start,
                   .nsegments = 1,
                   .depth = (int)longest,
                   .u_row = head->v_row,
                   .y_row = (size_t)head->hd_padded,
                   .y_block = BLOCK};
    for (int64_t c = 0; c < head->hd_padded; c += mix.width) {
        mix.width = head->hd_padded - c >= PANEL ? PANEL : BLOCK;
        mix.u = head->v + c;
        mix.y = head->mixed + c;
        cpu->isa->product(&mix, n);
    }
    for (int r = 0; r < n; r++)
        for (int64_t c = 0; c < head->hd; c++)
            head->y[(i + r) * head->d + c] = head->mixed[r * head->hd_padded + c] + class_weight[r] * head->v_class[c];
}

/* Keys to panels, zeros beyond the last; values padded to whole blocks unless they are. */
static void prepare_head(const Cpu *cpu, Head *head, const float *k, const float *v, int64_t keys)
{
    int64_t hd = head->hd, padded = head->hd_padded;
    for (int64_t j = 0; j < keys; j += PANEL) {
        int n = (int)(keys - j < PANEL ? keys - j : PANEL);
        float *panel = head->panels + j * hd;
        if (n < PANEL)
            memset(panel, 0, (size_t)(hd * PANEL) * sizeof(float));
        cpu->isa->transpose(k + j * hd, (size_t)hd, n, (int)hd, panel, PANEL);
    }
    head->v = padded == hd ? v : head->v_padded;
    head->v_row = (size_t)padded;
    for (int64_t j = 0; padded != hd && j < keys; j++) {
        memcpy(head->v_padded + j * padded, v + j * hd, (size_t)hd * sizeof(float));
        memset(head->v_padded + j * padded + hd, 0, (size_t)(padded - hd) * sizeof(float));
    }
}

void cpu_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y)
{
    Cpu *cpu = cpu_of(be);
    int64_t t = q.shape[1], d = q.shape[2], hd = d / heads, s = k.shape[2], keys = first + t, ld = round_up(s, PANEL);
    size_t floats = head_floats(hd, s);
    float *work = cpu_scratch(cpu, SCRATCH_WORK, (size_t)cpu->threads * floats * sizeof(float));
    if (!work)
        return;
#pragma omp parallel for num_threads(cpu->threads) schedule(dynamic)
    for (int64_t task = 0; task < q.shape[0] * heads; task++) {
        float *mine = work + (size_t)cpu_thread() * floats;
        int64_t at = task / heads * t * d + task % heads * hd, padded = round_up(hd, BLOCK);
        Head head = {.q = (const float *)q.data + at,
                     .v_class = (const float *)v_class.data + task / heads * d + task % heads * hd,
                     .y = (float *)y.data + at,
                     .d = d,
                     .hd = hd,
                     .hd_padded = padded,
                     .ld = ld,
                     .panels = mine,
                     .v_padded = mine + hd * ld,
                     .scores = mine + hd * ld + padded * ld,
                     .mixed = mine + hd * ld + padded * ld + ROWS * ld};
        prepare_head(cpu, &head, (const float *)k.data + task * s * hd, (const float *)v.data + task * s * hd, keys);
        for (int64_t i = 0; i < t; i += ROWS)
            attend_chunk(cpu, &head, i, (int)(t - i < ROWS ? t - i : ROWS), first + i + 1);
    }
}

/* --- pixels ---------------------------------------------------------------------------------------- */

/* Straight on the maps: a map's block is [pixels][16], so rows of q are segments of 16, and a block of v is a panel. */
typedef struct Pixels {
    const float *q, *v;
    float *y;
    int64_t pixels, ld;
    int blocks;
    float scale;
    const size_t *segments; /* of q's blocks */
    const float *panels;    /* of k, [pixels/32][channels][32] */
} Pixels;

static void attend_pixels(const Cpu *cpu, const Pixels *a, int64_t i, int n, float *scores)
{
    static const size_t start = 0;
    Product q = {
        .x = a->q + i * BLOCK, .x_row = BLOCK, .segments = a->segments, .nsegments = a->blocks, .depth = BLOCK};
    score(cpu, &q, a->panels, a->pixels, n, scores, a->ld);
    for (int r = 0; r < n; r++)
        soften(scores + r * a->ld, a->pixels, a->ld, a->scale, false);
    Product mix = {.x = scores,
                   .x_row = (size_t)a->ld,
                   .segments = &start,
                   .nsegments = 1,
                   .depth = (int)a->pixels,
                   .u_row = BLOCK,
                   .width = BLOCK,
                   .y_row = BLOCK};
    for (int64_t b = 0; b < a->blocks; b++) {
        mix.u = a->v + b * a->pixels * BLOCK;
        mix.y = a->y + (b * a->pixels + i) * BLOCK;
        cpu->isa->product(&mix, n);
    }
}

/* Keys of some pixels, all channels, to their panel. */
static void turn_pixels(const Cpu *cpu, const float *k, int64_t pixels, int blocks, int64_t first, float *panel)
{
    int n = (int)(pixels - first < PANEL ? pixels - first : PANEL);
    if (n < PANEL)
        memset(panel, 0, (size_t)blocks * BLOCK * PANEL * sizeof(float));
    for (int64_t b = 0; b < blocks; b++)
        cpu->isa->transpose(k + (b * pixels + first) * BLOCK, BLOCK, n, BLOCK, panel + b * BLOCK * PANEL, PANEL);
}

void cpu_pixel_attention(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y)
{
    Cpu *cpu = cpu_of(be);
    int64_t pixels = (int64_t)q.h * q.w, ld = round_up(pixels, PANEL), channels = map_blocks(q.c) * BLOCK;
    size_t shared = (size_t)(channels * ld), own = (size_t)(ROWS * ld);
    float *panels = cpu_scratch(cpu, SCRATCH_WORK, (shared + (size_t)cpu->threads * own) * sizeof(float));
    size_t *segments = cpu_scratch(cpu, SCRATCH_INPUT, (size_t)map_blocks(q.c) * sizeof(*segments));
    if (!panels || !segments)
        return;
    for (int i = 0; i < map_blocks(q.c); i++)
        segments[i] = (size_t)i * (size_t)pixels * BLOCK;
    for (int b = 0; b < q.b; b++) {
        Pixels a = {.q = map_image(&q, b),
                    .v = map_image(&v, b),
                    .y = map_image(&y, b),
                    .pixels = pixels,
                    .ld = ld,
                    .blocks = map_blocks(q.c),
                    .scale = scale,
                    .segments = segments,
                    .panels = panels};
#pragma omp parallel num_threads(cpu->threads)
        {
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < pixels; i += PANEL)
                turn_pixels(cpu, map_image(&k, b), pixels, a.blocks, i, panels + i * channels);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < pixels; i += ROWS)
                attend_pixels(cpu, &a, i, (int)(pixels - i < ROWS ? pixels - i : ROWS),
                              panels + shared + (size_t)cpu_thread() * own);
        }
    }
}
