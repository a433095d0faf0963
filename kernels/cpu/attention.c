/* Attention: y_i = sum_j softmax_j(q_i . k_j * scale) v_j, for the transformers (causal, many small heads, a class
 * column) and for the decoder (all pixels, one wide head).
 *
 * Four query rows at a time against all their keys. Keys of a head are first turned to [width][keys], so that scores of
 * neighbouring keys lie side by side; a row of scores (at most some thousand) stays in L1. The order of each sum
 * depends on the row's own position alone. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/math.h"

enum { ROWS = 4, KEYS = 32, WIDTH = 32 };

/* scores[r][j] = q[r] . k_t[:,j] for KEYS keys from j. */
CPU_CLONES static void score_tile(const float *const q[ROWS], const float *restrict k_t, int64_t ld, int64_t d,
                                  float *restrict scores, int64_t ld_scores)
{
    float sum[ROWS][KEYS] = {{0}};
    for (int64_t i = 0; i < d; i++) {
        const float *restrict k = k_t + i * ld;
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < KEYS; j++)
                sum[r][j] += q[r][i] * k[j];
    }
    for (int r = 0; r < ROWS; r++)
        memcpy(scores + r * ld_scores, sum[r], sizeof(sum[r]));
}

/* In place: scores of `keys` keys to weights e^((s - max) scale), zeros up to `padded`. Returns their sum. With
 * class_score the class column's score 0 takes part; its weight goes to *ret_class. */
CPU_CLONES static float soften(float *restrict scores, int64_t keys, int64_t padded, float scale, bool class_column,
                               float *ret_class)
{
    float lanes[KEYS] = {0}, max = class_column ? 0 : -INFINITY, sum = 0;
    for (int64_t j = 0; j < keys; j++) {
        scores[j] *= scale;
        max = scores[j] > max ? scores[j] : max;
    }
    for (int64_t j = 0; j < keys; j++)
        scores[j] = exp_f32(scores[j] - max);
    for (int64_t j = keys; j < padded; j++)
        scores[j] = 0;
    for (int64_t j = 0; j < padded; j += KEYS)
        for (int l = 0; l < KEYS; l++)
            lanes[l] += scores[j + l];
    for (int l = 0; l < KEYS; l++)
        sum += lanes[l];
    *ret_class = class_column ? exp_f32(-max) : 0;
    return sum + *ret_class;
}

/* y[r][0..n) = (start[r] * first + sum_j w[r][j] v[j][0..n)) * inverse[r], n <= WIDTH. */
CPU_CLONES static void mix_tile(const float *restrict w, int64_t ld_w, const float *restrict v, int64_t ld_v,
                                int64_t keys, const float *start, const float *restrict first, const float *inverse,
                                float *const y[ROWS], int64_t n)
{
    float sum[ROWS][WIDTH] = {{0}};
    for (int64_t c = 0; first && c < n; c++)
        for (int r = 0; r < ROWS; r++)
            sum[r][c] = start[r] * first[c];
    if (n == WIDTH)
        for (int64_t j = 0; j < keys; j++)
            for (int r = 0; r < ROWS; r++)
                for (int c = 0; c < WIDTH; c++)
                    sum[r][c] += w[r * ld_w + j] * v[j * ld_v + c];
    else
        for (int64_t j = 0; j < keys; j++)
            for (int r = 0; r < ROWS; r++)
                for (int64_t c = 0; c < n; c++)
                    sum[r][c] += w[r * ld_w + j] * v[j * ld_v + c];
    for (int r = 0; r < ROWS; r++)
        for (int64_t c = 0; c < n; c++)
            y[r][c] = sum[r][c] * inverse[r];
}

/* k [keys][d] -> k_t [d][ld], zeros from `keys` to ld. */
CPU_CLONES static void turn_keys(const float *restrict k, int64_t keys, int64_t d, float *restrict k_t, int64_t ld)
{
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = 0; j < keys; j++)
            k_t[i * ld + j] = k[j * d + i];
        memset(k_t + i * ld + keys, 0, (size_t)(ld - keys) * sizeof(float));
    }
}

/* One head of one image: rows i..i+n-1 (n <= ROWS); row r sees keys[r] keys, rising with r. */
typedef struct Head {
    const float *k_t, *v, *v_class; /* v_class NULL: no class column */
    int64_t ld, d, ld_v;
    float scale;
} Head;

static void attend(const Head *head, int n, const float *const q[ROWS], const int64_t keys[ROWS], float *const y[ROWS],
                   float *scores)
{
    int64_t padded = round_up(keys[n - 1], KEYS);
    for (int64_t j = 0; j < padded; j += KEYS)
        score_tile(q, head->k_t + j, head->ld, head->d, scores + j, head->ld);
    float start[ROWS] = {0}, inverse[ROWS] = {0};
    for (int r = 0; r < n; r++)
        inverse[r] = 1.0f / soften(scores + r * head->ld, keys[r], padded, head->scale, head->v_class != NULL, &start[r]);
    for (int64_t c = 0; c < head->d; c += WIDTH) {
        float *out[ROWS] = {y[0] + c, y[1] + c, y[2] + c, y[3] + c};
        mix_tile(scores, head->ld, head->v + c, head->ld_v, keys[n - 1], start,
                 head->v_class ? head->v_class + c : NULL, inverse, out, head->d - c < WIDTH ? head->d - c : WIDTH);
    }
}

/* Rows beyond n point at the last one for reading and at `spill` for writing. */
static void row_pointers(const float *q, float *y, int64_t ld, int n, float *spill, const float *ret_q[ROWS],
                         float *ret_y[ROWS])
{
    for (int r = 0; r < ROWS; r++) {
        ret_q[r] = q + (r < n ? r : n - 1) * ld;
        ret_y[r] = r < n ? y + r * ld : spill;
    }
}

/* Floats of one thread's memory: turned keys, scores, a row nobody reads. */
static size_t work_floats(int64_t d, int64_t keys)
{
    int64_t ld = round_up(keys, KEYS);
    return (size_t)round_up(d * ld + ROWS * ld + d, MAP_BLOCK);
}

static void attend_head(const Tensor *q, const Tensor *k, const Tensor *v, const Tensor *v_class, int heads, int first,
                        const Tensor *y, int64_t task, float *work)
{
    int64_t t = q->shape[1], d = q->shape[2], hd = d / heads, s = k->shape[2], b = task / heads, h = task % heads;
    int64_t keys = first + t, ld = round_up(keys, KEYS);
    float *k_t = work, *scores = k_t + hd * ld, *spill = scores + ROWS * ld;
    turn_keys((const float *)k->data + task * s * hd, keys, hd, k_t, ld);
    memset(scores, 0, (size_t)(ROWS * ld) * sizeof(float));
    Head head = {.k_t = k_t,
                 .v = (const float *)v->data + task * s * hd,
                 .v_class = (const float *)v_class->data + b * d + h * hd,
                 .ld = ld,
                 .d = hd,
                 .ld_v = hd,
                 .scale = 1.0f / sqrtf((float)hd)};
    for (int64_t i = 0; i < t; i += ROWS) {
        int n = (int)(t - i < ROWS ? t - i : ROWS);
        const float *rows_q[ROWS];
        float *rows_y[ROWS];
        int64_t at = (b * t + i) * d + h * hd;
        row_pointers((const float *)q->data + at, (float *)y->data + at, d, n, spill, rows_q, rows_y);
        attend(&head, n, rows_q, (int64_t[ROWS]){first + i + 1, first + i + 2, first + i + 3, first + i + 4}, rows_y,
               scores);
    }
}

void cpu_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y)
{
    Cpu *cpu = cpu_of(be);
    size_t floats = work_floats(q.shape[2] / heads, k.shape[2]);
    float *work = cpu_scratch(cpu, SCRATCH_WORK, (size_t)cpu->threads * floats * sizeof(float));
    if (!work)
        return;
#pragma omp parallel num_threads(cpu->threads)
    {
        float *mine = work + (size_t)cpu_thread() * floats;
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < q.shape[0] * heads; task++)
            attend_head(&q, &k, &v, &v_class, heads, first, &y, task, mine);
    }
}

/* --- pixels ---------------------------------------------------------------------------------------- */

static void image_to_rows(const Map *m, int b, float *rows)
{
    int pixels = m->h * m->w;
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < m->c; c++)
            rows[(size_t)p * (size_t)m->c + (size_t)c] =
                map_image(m, b)[((size_t)(c / MAP_BLOCK) * (size_t)pixels + (size_t)p) * MAP_BLOCK + (size_t)(c % MAP_BLOCK)];
}

static void image_from_rows(const float *rows, const Map *m, int b)
{
    int pixels = m->h * m->w;
    for (int c = 0; c < map_blocks(m->c) * MAP_BLOCK; c++)
        for (int p = 0; p < pixels; p++)
            map_image(m, b)[((size_t)(c / MAP_BLOCK) * (size_t)pixels + (size_t)p) * MAP_BLOCK + (size_t)(c % MAP_BLOCK)] =
                c < m->c ? rows[(size_t)p * (size_t)m->c + (size_t)c] : 0.0f;
}

void cpu_pixel_attention(Backend *be, Map q, Map k, Map v, float scale, Map y)
{
    Cpu *cpu = cpu_of(be);
    int64_t pixels = (int64_t)q.h * q.w, d = q.c, ld = round_up(pixels, KEYS), image = pixels * d;
    size_t shared = (size_t)round_up(4 * image + d * ld, MAP_BLOCK), own = (size_t)round_up(ROWS * ld + d, MAP_BLOCK);
    float *rows_q = cpu_scratch(cpu, SCRATCH_WORK, (shared + (size_t)cpu->threads * own) * sizeof(float));
    if (!rows_q)
        return;
    float *rows_k = rows_q + image, *rows_v = rows_k + image, *rows_y = rows_v + image, *k_t = rows_y + image;
    memset(rows_q + shared, 0, (size_t)cpu->threads * own * sizeof(float));
    Head head = {.k_t = k_t, .v = rows_v, .ld = ld, .d = d, .ld_v = d, .scale = scale};
    for (int b = 0; b < q.b; b++) {
        image_to_rows(&q, b, rows_q);
        image_to_rows(&k, b, rows_k);
        image_to_rows(&v, b, rows_v);
        turn_keys(rows_k, pixels, d, k_t, ld);
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
        for (int64_t i = 0; i < pixels; i += ROWS) {
            float *scores = rows_q + shared + (size_t)cpu_thread() * own, *spill = scores + ROWS * ld;
            int n = (int)(pixels - i < ROWS ? pixels - i : ROWS);
            const float *in[ROWS];
            float *out[ROWS];
            row_pointers(rows_q + i * d, rows_y + i * d, d, n, spill, in, out);
            attend(&head, n, in, (int64_t[ROWS]){pixels, pixels, pixels, pixels}, out, scores);
        }
        image_from_rows(rows_y, &y, b);
    }
}
