/* For each op: how a rig is filled, how the op is called, and with which bounds; then the rows.
 * To add an op: its setup and call, a line in op_tests, rows in op_cases: one element, primes, a real shape thinned. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/ops/ref.h"
#include "tests/ops/rig.h"

static Err ignored; /* a failed pack shows as a NULL handle, and its sentence here */

static Tensor none(void)
{
    return (Tensor){0};
}

/* --- linear: rows, n, k, bias, accumulate -------------------------------------------------------------------------- */

static void pack_linear(Rig *rig, int n, int k, bool bias)
{
    rig->w = rig_values(rig, 1 / sqrtf((float)k), (int64_t)n * k);
    rig->bias = bias ? rig_values(rig, 1, n) : NULL;
    rig->linear = be_linear_pack(rig->be, rig->w, rig->bias, n, k, &ignored);
    if (!rig->linear)
        rig_fail(rig, "%s", ignored.text);
}

static void linear_setup(Rig *rig)
{
    int rows = rig->p[0], n = rig->p[1], k = rig->p[2];
    const float *x = rig_tensor(rig, 1, 2, rows, k, 0, 0);
    Slot *y = rig_output(rig, DTYPE_F32, 2, rows, n, 0, 0);
    if (rig->p[4])
        rig_inout(rig, 1);
    pack_linear(rig, n, k, rig->p[3]);
    ref_linear(x, rig->w, rig->bias, rows, n, k, rig->p[4], y->want);
    rig->count = rows;
}

static void linear_call(Rig *rig, int64_t from, int64_t n)
{
    be_linear(rig->be, rig->linear, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n), rig->p[4]);
}

/* --- rms_norm: rows, d, gain --------------------------------------------------------------------------------------- */

static void rms_norm_setup(Rig *rig)
{
    int rows = rig->p[0], d = rig->p[1];
    const float *x = rig_tensor(rig, 3, 2, rows, d, 0, 0), *gain = rig_tensor(rig, 1, 1, d, 0, 0, 0);
    rig_shared(rig, 1);
    ref_rms_norm(x, rig->p[2] ? gain : NULL, rows, d, rig_output(rig, DTYPE_F32, 2, rows, d, 0, 0)->want);
    rig->count = rows;
}

static void rms_norm_call(Rig *rig, int64_t from, int64_t n)
{
    be_rms_norm(rig->be, rig_part(rig, 0, from, n), rig->p[2] ? rig->slots[1].t : none(), rig_part(rig, 2, from, n));
}

/* --- layer_norm_modulate: b, t, d ---------------------------------------------------------------------------------- */

static void layer_norm_setup(Rig *rig)
{
    int b = rig->p[0], t = rig->p[1], d = rig->p[2];
    float *x = rig_tensor(rig, 2, 3, b, t, d, 0);
    const float *shift_scale = rig_tensor(rig, 0.5f, 3, b, 2, d, 0);
    for (int64_t i = 0; i < (int64_t)b * t * d; i++)
        x[i] += 5; /* a mean away from zero */
    ref_layer_norm_modulate(x, shift_scale, b, t, d, rig_output(rig, DTYPE_F32, 3, b, t, d, 0)->want);
    rig->count = b;
}

static void layer_norm_call(Rig *rig, int64_t from, int64_t n)
{
    be_layer_norm_modulate(rig->be, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n), rig_part(rig, 2, from, n));
}

/* --- swiglu: rows, f, scale ---------------------------------------------------------------------------------------- */

static void swiglu_setup(Rig *rig)
{
    int rows = rig->p[0], f = rig->p[1];
    const float *x = rig_tensor(rig, (float)rig->p[2], 2, rows, 2 * f, 0, 0);
    ref_swiglu(x, rows, f, rig_output(rig, DTYPE_F32, 2, rows, f, 0, 0)->want);
    rig->count = rows;
}

static void swiglu_call(Rig *rig, int64_t from, int64_t n)
{
    be_swiglu(rig->be, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n));
}

/* --- embed_latents: b, t, c, d, first, known ----------------------------------------------------------------------- */

static void embed_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *x = rig_tensor(rig, 1, 3, p[0], p[1], p[2], 0), *w = rig_tensor(rig, 1, 2, p[3], p[2], 0, 0);
    const float *bias = rig_tensor(rig, 1, 1, p[3], 0, 0, 0), *nd = rig_tensor(rig, 1, 2, 2, p[3], 0, 0);
    ref_embed_latents(x, w, bias, nd, p[0], p[1], p[2], p[3], p[4], p[5],
                      rig_output(rig, DTYPE_F32, 3, p[0], p[1], p[3], 0)->want);
    rig->count = p[0];
}

static void embed_call(Rig *rig, int64_t from, int64_t n)
{
    be_embed_latents(rig->be, rig_part(rig, 0, from, n), rig->slots[1].t, rig->slots[2].t, rig->slots[3].t, rig->p[4],
                     rig->p[5], rig_part(rig, 4, from, n));
}

/* --- gather: rows, v, d -------------------------------------------------------------------------------------------- */

static void gather_setup(Rig *rig)
{
    int rows = rig->p[0], v = rig->p[1], d = rig->p[2];
    const float *table = rig_tensor(rig, 1, 2, v, d, 0, 0);
    const int32_t *ids = rig_ids(rig, rows, v);
    ref_gather(table, ids, rows, d, rig_output(rig, DTYPE_F32, 2, rows, d, 0, 0)->want);
    rig->count = rows;
}

static void gather_call(Rig *rig, int64_t from, int64_t n)
{
    be_gather(rig->be, rig->slots[0].t, rig_part(rig, 1, from, n), rig_part(rig, 2, from, n));
}

/* --- rope_split: b, t, heads, hd, s, first ------------------------------------------------------------------------- */

static void rope_setup(Rig *rig)
{
    int b = rig->p[0], t = rig->p[1], heads = rig->p[2], hd = rig->p[3], s = rig->p[4], first = rig->p[5];
    const float *qkv = rig_tensor(rig, 1, 3, b, t, 3 * heads * hd, 0), *angle = rig_tensor(rig, 1, 3, s, hd / 2, 2, 0);
    Slot *q = rig_output(rig, DTYPE_F32, 3, b, t, heads * hd, 0), *k = rig_output(rig, DTYPE_F32, 4, b, heads, s, hd);
    Slot *v = rig_output(rig, DTYPE_F32, 4, b, heads, s, hd);
    rig_inout(rig, 3);
    rig_inout(rig, 4);
    ref_rope_split(qkv, angle, b, t, heads, hd, s, first, q->want, k->want, v->want);
    rig->count = b;
}

static void rope_call(Rig *rig, int64_t from, int64_t n)
{
    be_rope_split(rig->be, rig_part(rig, 0, from, n), rig->slots[1].t, rig->p[2], rig->p[5], rig_part(rig, 2, from, n),
                  rig_part(rig, 3, from, n), rig_part(rig, 4, from, n));
}

/* --- attention: b, t, heads, hd, s, first, query scale ------------------------------------------------------------- */

static void attention_setup(Rig *rig)
{
    int b = rig->p[0], t = rig->p[1], heads = rig->p[2], hd = rig->p[3], s = rig->p[4], first = rig->p[5];
    const float *q = rig_tensor(rig, (float)rig->p[6], 3, b, t, heads * hd, 0);
    float *k = rig_tensor(rig, 1, 4, b, heads, s, hd), *v = rig_tensor(rig, 1, 4, b, heads, s, hd);
    const float *v_class = rig_tensor(rig, 1, 2, b, heads * hd, 0, 0);
    ref_attention(q, k, v, v_class, b, t, heads, hd, s, first, rig_output(rig, DTYPE_F32, 3, b, t, heads * hd, 0)->want);
    for (int64_t i = 0; i < (int64_t)b * heads * s * hd; i++) /* rows that are not filled yet may hold anything */
        if (i / hd % s >= first + t)
            k[i] = v[i] = NAN;
    rig->count = b;
}

static void attention_call(Rig *rig, int64_t from, int64_t n)
{
    be_attention(rig->be, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n), rig_part(rig, 2, from, n),
                 rig_part(rig, 3, from, n), rig->p[2], rig->p[5], rig_part(rig, 4, from, n));
}

/* --- argmax_linear: rows, v, d, ties, no margin -------------------------------------------------------------------- */

static void argmax_setup(Rig *rig)
{
    int rows = rig->p[0], v = rig->p[1], d = rig->p[2];
    rig_tensor(rig, 1, 2, rows, d, 0, 0);
    rig_output(rig, DTYPE_I32, 1, rows, 0, 0, 0);
    rig_output(rig, DTYPE_F32, 1, rows, 0, 0, 0);
    rig->w = rig_values(rig, 1 / sqrtf((float)d), (int64_t)v * d);
    if (rig->p[3]) /* the second half repeats the first: every maximum is a tie, and the first must win */
        memcpy(rig->w + (int64_t)v / 2 * d, rig->w, sizeof(float) * (size_t)(v / 2) * (size_t)d);
    rig->linear = be_linear_pack(rig->be, rig->w, NULL, v, d, &ignored);
    rig->count = rows;
}

static void argmax_call(Rig *rig, int64_t from, int64_t n)
{
    be_argmax_linear(rig->be, rig->linear, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n),
                     rig->p[4] ? none() : rig_part(rig, 2, from, n));
}

/* The chosen logit must be the largest within rounding; the margin the true one. */
static void argmax_judge(Rig *rig)
{
    int rows = rig->p[0], v = rig->p[1], d = rig->p[2];
    static const double bounds[] = {[PREC_F32] = 1e-5, [PREC_TF32] = 0.05 / 8, [PREC_F16] = 0.05 / 8, [PREC_BF16] = 0.05};
    double bound = bounds[backend_precision(rig->be)], worst = 0;
    double *logits = xcalloc((size_t)rows * (size_t)v, sizeof(*logits));
    int32_t *ids = xcalloc((size_t)rows, sizeof(*ids));
    float *margin = xcalloc((size_t)rows, sizeof(*margin));
    be_download(rig->be, ids, rig->slots[1].t);
    be_download(rig->be, margin, rig->slots[2].t);
    ref_linear(rig->slots[0].host, rig->w, NULL, rows, v, d, false, logits);
    for (int r = 0; r < rows; r++) {
        double best = -INFINITY, second = -INFINITY;
        for (int i = 0; i < v; i++) {
            double x = logits[(size_t)r * (size_t)v + (size_t)i];
            second = fmax(second, fmin(best, x));
            best = fmax(best, x);
        }
        if (ids[r] < 0 || ids[r] >= v || (rig->p[3] && ids[r] >= v / 2)) {
            rig_fail(rig, "row %d: id %d of %d%s", r, ids[r], v, rig->p[3] ? ", wanted the first of equal ones" : "");
            continue;
        }
        double loss = best - logits[(size_t)r * (size_t)v + (size_t)ids[r]];
        double off = rig->p[4] ? 0 : fabs(margin[r] - (v > 1 ? best - second : 0));
        worst = fmax(worst, fmax(loss, off));
        if (!(loss <= bound) || !(off <= 2 * bound))
            rig_fail(rig, "row %d: id %d is %.3g below the largest logit, margin %.9g wanted %.9g", r, ids[r], loss,
                     margin[r], best - second);
    }
    rig->max = worst / bound;
    free(logits);
    free(ids);
    free(margin);
}

/* --- guide: a, b, c, scale in tenths ------------------------------------------------------------------------------- */

static void guide_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *cond = rig_tensor(rig, 1, 3, p[0], p[1], p[2], 0), *uncond = rig_tensor(rig, 1, 3, p[0], p[1], p[2], 0);
    ref_guide(cond, uncond, (float)p[3] / 10, (int64_t)p[0] * p[1] * p[2],
              rig_output(rig, DTYPE_F32, 3, p[0], p[1], p[2], 0)->want);
    rig->count = p[0];
}

static void guide_call(Rig *rig, int64_t from, int64_t n)
{
    be_guide(rig->be, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n), (float)rig->p[3] / 10, rig_part(rig, 2, from, n));
}

/* --- pick: rows, v, top_k, top_p in percent, temperature in percent, uniform, levels (0: all different), no probs --- */

static void pick_setup(Rig *rig)
{
    const int *p = rig->p;
    float *logits = rig_tensor(rig, 3, 2, p[0], p[1], 0, 0), *uniform = rig_tensor(rig, 1, 1, p[0], 0, 0, 0);
    Slot *ids = rig_output(rig, DTYPE_I32, 1, p[0], 0, 0, 0), *probs = rig_output(rig, DTYPE_F32, 2, p[0], p[1], 0, 0);
    for (int64_t i = 0; p[6] && i < (int64_t)p[0] * p[1]; i++)
        logits[i] = roundf(logits[i] * (float)p[6]) / (float)p[6]; /* ties */
    for (int r = 0; r < p[0]; r++) {
        uniform[r] = (float)rig_uniform(rig);
        ids->want[r] = ref_pick(logits + (int64_t)r * p[1], p[1], p[2], (float)p[3] / 100, (float)p[4] / 100,
                                p[5] ? uniform + r : NULL, probs->want + (int64_t)r * p[1]);
    }
    if (p[7]) { /* then the slot stays as it is */
        free(probs->want);
        probs->want = NULL;
    }
    rig->count = p[0];
}

static void pick_call(Rig *rig, int64_t from, int64_t n)
{
    const int *p = rig->p;
    be_pick(rig->be, rig_part(rig, 0, from, n), p[2], (float)p[3] / 100, (float)p[4] / 100,
            p[5] ? rig_part(rig, 1, from, n) : none(), rig_part(rig, 2, from, n), p[7] ? none() : rig_part(rig, 3, from, n));
}

static void pick_judge(Rig *rig)
{
    rig_near(rig, 2, rig->slots[2].want, 0, 0);
    if (rig->slots[3].want)
        rig_near(rig, 3, rig->slots[3].want, 1e-12, 1e-5);
}

/* --- nearest_code: rows, v, c, duplicate --------------------------------------------------------------------------- */

static void nearest_setup(Rig *rig)
{
    int rows = rig->p[0], v = rig->p[1], c = rig->p[2];
    float *x = rig_tensor(rig, 1, 2, rows, c, 0, 0), *codes = rig_tensor(rig, 1, 2, v, c, 0, 0);
    if (rig->p[3]) { /* each code twice, and every row is a code: the first one's id */
        memcpy(codes + (int64_t)(v / 2) * c, codes, sizeof(float) * (size_t)(v / 2) * (size_t)c);
        for (int r = 0; r < rows; r++)
            memcpy(x + (int64_t)r * c, codes + (int64_t)(r % v) * c, sizeof(float) * (size_t)c);
    }
    rig_output(rig, DTYPE_I32, 1, rows, 0, 0, 0);
    rig->count = rows;
}

static void nearest_call(Rig *rig, int64_t from, int64_t n)
{
    be_nearest_code(rig->be, rig_part(rig, 0, from, n), rig->slots[1].t, rig_part(rig, 2, from, n));
}

static void nearest_judge(Rig *rig)
{
    int rows = rig->p[0], v = rig->p[1], c = rig->p[2];
    const float *x = rig->slots[0].host, *codes = rig->slots[1].host;
    int32_t *ids = xcalloc((size_t)rows, sizeof(*ids));
    be_download(rig->be, ids, rig->slots[2].t);
    for (int r = 0; r < rows; r++) {
        double best = INFINITY, got = ids[r] >= 0 && ids[r] < v ? ref_distance(x + r * c, codes + ids[r] * c, c) : INFINITY;
        int first = 0;
        for (int i = 0; i < v; i++) {
            double far = ref_distance(x + r * c, codes + i * c, c);
            first = far < best ? i : first;
            best = fmin(best, far);
        }
        if (ids[r] != first && (rig->p[3] || !(got - best <= 1e-5 * best)))
            rig_fail(rig, "row %d: id %d at %.9g, wanted %d at %.9g", r, ids[r], got, first, best);
    }
    free(ids);
}

/* --- conv: b, h, w, c_in, c_out, kernel (kh * 10 + kw), stride, pad (pad_h * 10 + pad_w), flags -------------------- */

enum { BIAS = 1, RESIDUAL = 2, RELU = 4, UPSAMPLE = 8, IN_PLACE = 16, OTHER_HINT = 32 };

static void conv_setup(Rig *rig)
{
    const int *p = rig->p;
    const ConvShape s = {.c_in = p[3], .c_out = p[4], .kh = p[5] / 10, .kw = p[5] % 10, .stride = p[6],
                         .pad_h = p[7] / 10, .pad_w = p[7] % 10, .relu = p[8] & RELU, .upsample = p[8] & UPSAMPLE};
    int scale = s.upsample ? 2 : 1, fan = s.c_in * s.kh * s.kw, hint = p[8] & OTHER_HINT ? 40 : 0;
    int h = (p[1] * scale + 2 * s.pad_h - s.kh) / s.stride + 1, w = (p[2] * scale + 2 * s.pad_w - s.kw) / s.stride + 1;
    const float *x = rig_map(rig, 1, p[0], p[1], p[2], s.c_in), *residual = rig_map(rig, 1, p[0], h, w, s.c_out);
    Slot *y = rig_output_map(rig, p[0], h, w, s.c_out);
    if (p[8] & IN_PLACE) {
        rig_inout(rig, 2);
        residual = y->host;
    }
    rig->w = rig_values(rig, 1 / sqrtf((float)fan), (int64_t)s.c_out * fan);
    rig->bias = p[8] & BIAS ? rig_values(rig, 1, s.c_out) : NULL;
    rig->conv = be_conv_pack(rig->be, rig->w, rig->bias, &s, p[1] + hint, p[2] + hint, &ignored);
    if (!rig->conv)
        rig_fail(rig, "%s", ignored.text);
    ref_conv(x, rig->w, rig->bias, p[8] & (RESIDUAL | IN_PLACE) ? residual : NULL, &s, p[0], p[1], p[2], y->want);
    rig->count = p[0];
}

static void conv_call(Rig *rig, int64_t from, int64_t n)
{
    Map y = rig_map_part(rig, 2, from, n), residual = {0};
    if (rig->p[8] & RESIDUAL)
        residual = rig_map_part(rig, 1, from, n);
    be_conv(rig->be, rig->conv, rig_map_part(rig, 0, from, n), rig->p[8] & IN_PLACE ? y : residual, y);
}

/* --- group_norm: b, h, w, c, groups, silu, in place, mean ---------------------------------------------------------- */

static void group_norm_setup(Rig *rig)
{
    const int *p = rig->p;
    float *x = rig_map(rig, 2, p[0], p[1], p[2], p[3]);
    const float *gamma = rig_tensor(rig, 1, 1, p[3], 0, 0, 0), *beta = rig_tensor(rig, 1, 1, p[3], 0, 0, 0);
    Slot *y = rig_output_map(rig, p[0], p[1], p[2], p[3]);
    for (int64_t i = 0; i < (int64_t)p[0] * p[1] * p[2] * p[3]; i++)
        x[i] += (float)p[7];
    ref_group_norm(x, gamma, beta, p[0], (int64_t)p[1] * p[2], p[3], p[4], p[5], y->want);
    if (p[6])
        memcpy(y->host, x, y->host_bytes);
    rig->count = p[0];
}

static void group_norm_call(Rig *rig, int64_t from, int64_t n)
{
    Map y = rig_map_part(rig, 3, from, n);
    be_group_norm(rig->be, rig->p[6] ? y : rig_map_part(rig, 0, from, n), rig->slots[1].t, rig->slots[2].t, rig->p[4],
                  rig->p[5], y);
}

/* --- pixel_attention: b, h, w, c ----------------------------------------------------------------------------------- */

static void pixel_attention_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *q = rig_map(rig, 1, p[0], p[1], p[2], p[3]), *k = rig_map(rig, 1, p[0], p[1], p[2], p[3]);
    const float *v = rig_map(rig, 1, p[0], p[1], p[2], p[3]);
    ref_pixel_attention(q, k, v, p[0], (int64_t)p[1] * p[2], p[3], (double)(1 / sqrtf((float)p[3])),
                        rig_output_map(rig, p[0], p[1], p[2], p[3])->want);
    rig->count = p[0];
}

static void pixel_attention_call(Rig *rig, int64_t from, int64_t n)
{
    be_pixel_attention(rig->be, rig_map_part(rig, 0, from, n), rig_map_part(rig, 1, from, n),
                       rig_map_part(rig, 2, from, n), 1 / sqrtf((float)rig->p[3]), rig_map_part(rig, 3, from, n));
}

/* --- map_from_rows, map_to_rows: b, h, w, c ------------------------------------------------------------------------ */

static void want_copy(const float *x, Slot *y)
{
    for (size_t i = 0; i < y->host_bytes / sizeof(float); i++)
        y->want[i] = x[i];
}

static void from_rows_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *x = rig_tensor(rig, 1, 4, p[0], p[1], p[2], p[3]);
    want_copy(x, rig_output_map(rig, p[0], p[1], p[2], p[3]));
    rig->count = p[0];
}

static Tensor as_rows(Tensor t)
{
    return tensor_f32(t.data, 2, t.shape[0] * t.shape[1] * t.shape[2], t.shape[3], 0, 0);
}

static void from_rows_call(Rig *rig, int64_t from, int64_t n)
{
    be_map_from_rows(rig->be, as_rows(rig_part(rig, 0, from, n)), rig_map_part(rig, 1, from, n));
}

static void to_rows_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *x = rig_map(rig, 1, p[0], p[1], p[2], p[3]);
    want_copy(x, rig_output(rig, DTYPE_F32, 4, p[0], p[1], p[2], p[3]));
    rig->count = p[0];
}

static void to_rows_call(Rig *rig, int64_t from, int64_t n)
{
    be_map_to_rows(rig->be, rig_map_part(rig, 0, from, n), as_rows(rig_part(rig, 1, from, n)));
}

/* --- to_u8: b, h, w ------------------------------------------------------------------------------------------------ */

static void to_u8_setup(Rig *rig)
{
    const int *p = rig->p;
    float *x = rig_map(rig, 1, p[0], p[1], p[2], 3);
    Slot *y = rig_output(rig, DTYPE_U8, 4, p[0], p[1], p[2], 3);
    for (int64_t i = 0; i < (int64_t)y->bytes; i++) {
        if (i % 3 == 0) /* at and around the points where rounding turns */
            x[i] = ((float)(i % 511) / 2) / 255 * 2 - 1;
        y->want[i] = ref_to_u8(x[i]);
    }
    rig->count = p[0];
}

static void to_u8_call(Rig *rig, int64_t from, int64_t n)
{
    be_to_u8(rig->be, rig_map_part(rig, 0, from, n), rig_part(rig, 1, from, n));
}

/* --- resize_inception: b, h, w, pipeline --------------------------------------------------------------------------- */

static void resize_setup(Rig *rig)
{
    const int *p = rig->p;
    const uint8_t *x = rig_bytes(rig, p[0], p[1], p[2], 3);
    Slot *y = rig_output_map(rig, p[0], 299, 299, 3);
    for (int b = 0; b < p[0]; b++)
        ref_resize(x + (int64_t)b * p[1] * p[2] * 3, p[1], p[2], (Resize)p[3], y->want + (int64_t)b * 299 * 299 * 3);
    rig->count = p[0];
}

static void resize_call(Rig *rig, int64_t from, int64_t n)
{
    be_resize_inception(rig->be, rig_part(rig, 0, from, n), (Resize)rig->p[3], rig_map_part(rig, 1, from, n));
}

/* --- pool: b, h, w, c, kind, size, stride, pad --------------------------------------------------------------------- */

static void pool_setup(Rig *rig)
{
    const int *p = rig->p;
    int h = (p[1] + 2 * p[7] - p[5]) / p[6] + 1, w = (p[2] + 2 * p[7] - p[5]) / p[6] + 1;
    float *x = rig_map(rig, 1, p[0], p[1], p[2], p[3]);
    for (int64_t i = 0; i < (int64_t)p[0] * p[1] * p[2] * p[3]; i++)
        x[i] -= 3; /* negative maxima: padding must not win */
    ref_pool(x, p[0], p[1], p[2], p[3], (Pool)p[4], p[5], p[6], p[7], rig_output_map(rig, p[0], h, w, p[3])->want);
    rig->count = p[0];
}

static void pool_call(Rig *rig, int64_t from, int64_t n)
{
    const int *p = rig->p;
    be_pool(rig->be, rig_map_part(rig, 0, from, n), (Pool)p[4], p[5], p[6], p[7], rig_map_part(rig, 1, from, n));
}

/* --- concat: b, h, w, then four widths (0: fewer) ------------------------------------------------------------------ */

static void concat_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *x[4] = {0};
    int n = 0, c = 0;
    for (; n < 4 && p[3 + n]; n++) {
        x[n] = rig_map(rig, 1, p[0], p[1], p[2], p[3 + n]);
        c += p[3 + n];
    }
    Slot *y = rig_output_map(rig, p[0], p[1], p[2], c);
    for (int64_t pixel = 0, at = 0; pixel < (int64_t)p[0] * p[1] * p[2]; pixel++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < p[3 + i]; j++)
                y->want[at++] = x[i][pixel * p[3 + i] + j];
    rig->count = p[0];
}

static void concat_call(Rig *rig, int64_t from, int64_t n)
{
    Map x[4];
    int parts = rig->nslots - 1;
    for (int i = 0; i < parts; i++)
        x[i] = rig_map_part(rig, i, from, n);
    be_concat(rig->be, x, parts, rig_map_part(rig, parts, from, n));
}

/* --- global_mean: b, h, w, c --------------------------------------------------------------------------------------- */

static void global_mean_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *x = rig_map(rig, 1, p[0], p[1], p[2], p[3]);
    ref_global_mean(x, p[0], (int64_t)p[1] * p[2], p[3], rig_output(rig, DTYPE_F32, 2, p[0], p[3], 0, 0)->want);
    rig->count = p[0];
}

static void global_mean_call(Rig *rig, int64_t from, int64_t n)
{
    be_global_mean(rig->be, rig_map_part(rig, 0, from, n), rig_part(rig, 1, from, n));
}

/* --- moments: rows, d. In pieces the same sums must come out: rows are added in index order. ----------------------- */

static void moments_setup(Rig *rig)
{
    int rows = rig->p[0], d = rig->p[1];
    const float *x = rig_tensor(rig, 1, 2, rows, d, 0, 0);
    Slot *sum = rig_output(rig, DTYPE_F64, 1, d, 0, 0, 0), *outer = rig_output(rig, DTYPE_F64, 2, d, d, 0, 0);
    for (int i = 1; i <= 2; i++) {
        rig_inout(rig, i);
        rig_shared(rig, i);
    }
    ref_moments(x, rows, d, sum->want, outer->want);
    rig->count = rows;
}

static void moments_call(Rig *rig, int64_t from, int64_t n)
{
    be_moments(rig->be, rig_part(rig, 0, from, n), rig->slots[1].t, rig->slots[2].t);
}

/* --- bounds -------------------------------------------------------------------------------------------------------------
 * f32 rounds by 6e-8, so one operation has nmse 1e-15. Sums of some thousand products reach 1e-13; Winograd F(4,3) adds
 * and multiplies transformed values that are some times larger: 1.3e-6 at 256 channels, squared 2e-12, more with 512.
 * Copies are exact. Attention: an error of a score, 1e-6 for a score of 20, is a relative error of its weight.
 * bf16 rounds both factors of a product by 2^-9: nmse about 5e-6. Ops that precision does not touch have 0 there. */
const OpTest op_tests[BACKEND_OP_COUNT] = {
    [OP_linear] = {linear_setup, linear_call, NULL, 1e-12, 1e-5, 2e-5},
    [OP_rms_norm] = {rms_norm_setup, rms_norm_call, NULL, 1e-13, 1e-5, 0},
    [OP_layer_norm_modulate] = {layer_norm_setup, layer_norm_call, NULL, 1e-12, 1e-5, 0},
    [OP_swiglu] = {swiglu_setup, swiglu_call, NULL, 1e-13, 1e-5, 0},
    [OP_embed_latents] = {embed_setup, embed_call, NULL, 1e-13, 1e-5, 0},
    [OP_gather] = {gather_setup, gather_call, NULL, 0, 0, 0},
    [OP_rope_split] = {rope_setup, rope_call, NULL, 1e-13, 1e-5, 0},
    [OP_attention] = {attention_setup, attention_call, NULL, 1e-12, 3e-5, 0},
    [OP_argmax_linear] = {argmax_setup, argmax_call, argmax_judge, 0, 1e-5, 1},
    [OP_guide] = {guide_setup, guide_call, NULL, 1e-13, 1e-5, 0},
    [OP_pick] = {pick_setup, pick_call, pick_judge, 1e-12, 1e-5, 0},
    [OP_nearest_code] = {nearest_setup, nearest_call, nearest_judge, 0, 0, 0},
    [OP_conv] = {conv_setup, conv_call, NULL, 2e-11, 3e-5, 0},
    [OP_group_norm] = {group_norm_setup, group_norm_call, NULL, 1e-12, 2e-5, 0},
    [OP_pixel_attention] = {pixel_attention_setup, pixel_attention_call, NULL, 1e-12, 3e-5, 0},
    [OP_map_from_rows] = {from_rows_setup, from_rows_call, NULL, 0, 0, 0},
    [OP_map_to_rows] = {to_rows_setup, to_rows_call, NULL, 0, 0, 0},
    [OP_to_u8] = {to_u8_setup, to_u8_call, NULL, 0, 0, 0},
    [OP_resize_inception] = {resize_setup, resize_call, NULL, 1e-13, 2e-6, 0},
    [OP_pool] = {pool_setup, pool_call, NULL, 1e-13, 1e-6, 0},
    [OP_concat] = {concat_setup, concat_call, NULL, 0, 0, 0},
    [OP_global_mean] = {global_mean_setup, global_mean_call, NULL, 1e-12, 1e-5, 0},
    [OP_moments] = {moments_setup, moments_call, NULL, 1e-28, 1e-13, 0},
};

/* --- rows ---------------------------------------------------------------------------------------------------------- */

const Case op_cases[] = {
    {OP_linear, "one", {1, 1, 1}},
    {OP_linear, "one_bias_sum", {1, 1, 1, 1, 1}},
    {OP_linear, "primes", {13, 7, 11, 1}},
    {OP_linear, "all_small_rows", {120, 48, 40, 0, 1}},
    {OP_linear, "latents_out", {31, 8, 768, 1}},
    {OP_linear, "prime_width", {37, 101, 211, 0}},
    {OP_linear, "qkv_thin", {257, 720, 768}},
    {OP_linear, "down_l_sum", {65, 256, 2816, 0, 1}},
    {OP_linear, "head_thin", {20, 16384, 64}},
    {OP_linear, "long_sum", {19, 64, 6912, 1}},
    {OP_linear, "inception_fc", {5, 1008, 2048, 1}},
    {OP_rms_norm, "one", {1, 1, 1}},
    {OP_rms_norm, "prime", {7, 131, 0}},
    {OP_rms_norm, "l", {257, 1024, 1}},
    {OP_layer_norm_modulate, "one", {1, 1, 1}},
    {OP_layer_norm_modulate, "prime", {5, 3, 37}},
    {OP_layer_norm_modulate, "b", {3, 64, 768}},
    {OP_swiglu, "one", {1, 1, 1}},
    {OP_swiglu, "prime", {7, 13, 3}},
    {OP_swiglu, "steep", {5, 257, 60}},
    {OP_swiglu, "l", {67, 2816, 2}},
    {OP_embed_latents, "one", {1, 1, 1, 1, 0, 0}},
    {OP_embed_latents, "part_known", {7, 19, 8, 37, 5, 11}},
    {OP_embed_latents, "b", {3, 81, 8, 768, 0, 80}},
    {OP_gather, "one", {1, 1, 1}},
    {OP_gather, "prime", {37, 101, 13}},
    {OP_gather, "codes", {512, 4096, 8}},
    {OP_rope_split, "one", {1, 1, 1, 2, 1, 0}},
    {OP_rope_split, "later", {3, 5, 3, 12, 11, 4}},
    {OP_rope_split, "b", {3, 80, 12, 64, 256, 0}},
    {OP_attention, "one", {1, 1, 1, 2, 1, 0, 1}},
    {OP_attention, "prime", {7, 13, 3, 10, 17, 3, 1}},
    {OP_attention, "decode", {7, 1, 2, 64, 256, 100, 1}},
    {OP_attention, "sharp", {2, 70, 2, 64, 80, 5, 8}},
    {OP_attention, "grid_16", {2, 256, 3, 64, 256, 0, 2}},
    {OP_attention, "grid_24", {1, 60, 2, 64, 576, 516, 2}},
    {OP_argmax_linear, "one", {1, 1, 1}},
    {OP_argmax_linear, "prime", {13, 101, 37}},
    {OP_argmax_linear, "ties", {33, 206, 64, 1}},
    {OP_argmax_linear, "codes", {70, 16384, 48}},
    {OP_argmax_linear, "no_margin", {9, 512, 768, 0, 1}},
    {OP_guide, "one", {1, 1, 1, 20}},
    {OP_guide, "prime", {7, 13, 101, 15}},
    {OP_pick, "one", {1, 1, 0, 100, 100, 1}},
    {OP_pick, "argmax", {7, 101, 5, 90, 100, 0}},
    {OP_pick, "argmax_ties", {7, 101, 0, 100, 100, 0, 1, 1}},
    {OP_pick, "all", {31, 257, 0, 100, 100, 1}},
    {OP_pick, "top_k", {31, 257, 17, 100, 80, 1}},
    {OP_pick, "top_k_ties", {31, 257, 17, 100, 100, 1, 2}},
    {OP_pick, "top_k_over", {5, 64, 1000, 100, 100, 1, 0, 1}},
    {OP_pick, "top_p", {31, 257, 0, 70, 100, 1}},
    {OP_pick, "top_p_first", {9, 64, 0, 0, 100, 1}},
    {OP_pick, "both_ties", {31, 509, 100, 90, 130, 1, 4}},
    {OP_pick, "cold", {5, 101, 0, 100, 0, 1}},
    {OP_pick, "teacher", {2, 16384, 8000, 95, 100, 1}},
    {OP_nearest_code, "one", {1, 1, 1}},
    {OP_nearest_code, "prime", {37, 101, 3}},
    {OP_nearest_code, "duplicates", {67, 202, 8, 1}},
    {OP_nearest_code, "codes", {29, 16384, 8}},
    {OP_conv, "one", {1, 1, 1, 1, 1, 11, 1, 0, BIAS}},
    {OP_conv, "tiny", {3, 5, 7, 3, 12, 33, 1, 11, BIAS}},
    {OP_conv, "tiny_relu", {7, 4, 4, 8, 4, 33, 1, 11, BIAS | RELU}},
    {OP_conv, "tiny_upsample", {3, 3, 5, 12, 12, 33, 1, 11, BIAS | UPSAMPLE}},
    {OP_conv, "post_quant", {3, 16, 16, 8, 256, 11, 1, 0, BIAS}},
    {OP_conv, "conv_in_9", {2, 16, 16, 9, 512, 33, 1, 11, 0}},
    {OP_conv, "mid_thin", {2, 16, 16, 512, 48, 33, 1, 11, BIAS | RESIDUAL}},
    {OP_conv, "res_in_place", {2, 32, 32, 64, 64, 33, 1, 11, BIAS | IN_PLACE}},
    {OP_conv, "res_128", {1, 61, 67, 128, 64, 33, 1, 11, BIAS | RESIDUAL}},
    {OP_conv, "upsample_256", {1, 17, 16, 256, 32, 33, 1, 11, BIAS | UPSAMPLE}},
    {OP_conv, "nin_shortcut", {2, 32, 32, 256, 128, 11, 1, 0, BIAS}},
    {OP_conv, "conv_out", {1, 64, 48, 128, 3, 33, 1, 11, BIAS}},
    {OP_conv, "other_size", {2, 9, 14, 32, 32, 33, 1, 11, BIAS | OTHER_HINT}},
    {OP_conv, "pad_one_axis", {2, 20, 30, 16, 48, 33, 1, 10, BIAS}},
    {OP_conv, "inc_1a", {1, 75, 75, 3, 32, 33, 2, 0, BIAS | RELU}},
    {OP_conv, "inc_2a", {1, 37, 37, 32, 32, 33, 1, 0, BIAS | RELU}},
    {OP_conv, "inc_5x5", {1, 35, 35, 48, 64, 55, 1, 22, BIAS | RELU}},
    {OP_conv, "inc_1x7", {2, 17, 17, 128, 160, 17, 1, 3, BIAS | RELU}},
    {OP_conv, "inc_7x1", {2, 17, 17, 160, 96, 71, 1, 30, BIAS | RELU}},
    {OP_conv, "inc_7a", {2, 17, 17, 192, 80, 33, 2, 0, BIAS | RELU}},
    {OP_conv, "inc_1x3", {2, 8, 8, 384, 96, 13, 1, 1, BIAS | RELU}},
    {OP_conv, "inc_3b", {1, 73, 73, 64, 80, 11, 1, 0, BIAS | RELU}},
    {OP_group_norm, "one", {1, 1, 1, 1, 1, 0}},
    {OP_group_norm, "tiny", {7, 4, 4, 8, 4, 1}},
    {OP_group_norm, "across_blocks", {3, 5, 7, 48, 2, 1}},
    {OP_group_norm, "in_place", {3, 9, 11, 64, 32, 1, 1}},
    {OP_group_norm, "far_mean", {1, 64, 64, 32, 32, 0, 0, 1000}},
    {OP_group_norm, "wide", {2, 16, 16, 512, 32, 1}},
    {OP_group_norm, "large", {1, 128, 120, 128, 32, 1}},
    {OP_pixel_attention, "one", {1, 1, 1, 1}},
    {OP_pixel_attention, "tiny", {7, 4, 4, 8}},
    {OP_pixel_attention, "prime", {3, 5, 7, 37}},
    {OP_pixel_attention, "decoder", {2, 16, 16, 512}},
    {OP_map_from_rows, "one", {1, 1, 1, 1}},
    {OP_map_from_rows, "prime", {7, 3, 5, 37}},
    {OP_map_to_rows, "one", {1, 1, 1, 1}},
    {OP_map_to_rows, "prime", {7, 3, 5, 37}},
    {OP_to_u8, "one", {1, 1, 1}},
    {OP_to_u8, "levels", {7, 31, 37}},
    {OP_resize_inception, "pt_64", {1, 64, 64, RESIZE_PT}},
    {OP_resize_inception, "pt_wide", {3, 20, 301, RESIZE_PT}},
    {OP_resize_inception, "pt_299", {1, 299, 299, RESIZE_PT}},
    {OP_resize_inception, "pt_one", {1, 1, 1, RESIZE_PT}},
    {OP_resize_inception, "tf_256", {1, 256, 256, RESIZE_TF}},
    {OP_resize_inception, "tf_tall", {3, 331, 17, RESIZE_TF}},
    {OP_pool, "one", {1, 1, 1, 1, POOL_MAX, 1, 1, 0}},
    {OP_pool, "max_stride", {3, 17, 17, 37, POOL_MAX, 3, 2, 0}},
    {OP_pool, "max_pad", {7, 8, 8, 32, POOL_MAX, 3, 1, 1}},
    {OP_pool, "avg_pad", {3, 17, 13, 48, POOL_AVG, 3, 1, 1}},
    {OP_pool, "avg_tiny", {3, 2, 1, 5, POOL_AVG, 3, 1, 1}},
    {OP_concat, "one", {1, 1, 1, 1}},
    {OP_concat, "tiny", {3, 5, 7, 4, 4, 6, 2}},
    {OP_concat, "odd", {2, 3, 3, 17, 31, 1}},
    {OP_concat, "blocks", {2, 8, 8, 64, 96, 32}},
    {OP_global_mean, "one", {1, 1, 1, 1}},
    {OP_global_mean, "prime", {7, 3, 5, 37}},
    {OP_global_mean, "pool3", {3, 8, 8, 2048}},
    {OP_moments, "one", {1, 1}},
    {OP_moments, "prime", {37, 131}},
    {OP_moments, "blocks", {100, 256}},
};
const int op_case_count = countof(op_cases);
