/* The row ops: how a rig is filled, how the op is called, what it should give, and its bounds (nmse, largest, nmse in
 * bf16). The numbers of a case are named beside each op. To add an op: its section here, its rows in op_cases.c.
 *
 * Bounds: f32 rounds by 6e-8, so one operation has nmse 1e-15 and sums of some thousand products reach 1e-13. Copies
 * are exact. Attention: an error of a score, 1e-6 for a score of 20, is a relative error of its weight. bf16 rounds
 * both factors of a product by 2^-9: nmse about 5e-6; ops that precision does not touch have 0 there. CUDA's attention
 * takes 16-bit operands: a score of 20 is then off by 0.01 in bf16, and so is its weight. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/ops/op_tests.h"
#include "tests/ops/ref.h"

static Tensor none(void)
{
    return (Tensor){0};
}

/* --- linear: rows, n, k, bias, accumulate --------------------------------------------------------------------------
 */

static void pack_linear(Rig *rig, int n, int k, bool bias)
{
    rig->w = rig_values(rig, 1 / sqrtf((float)k), (int64_t)n * k);
    rig->bias = bias ? rig_values(rig, 1, n) : NULL;
    Err err = {0};
    rig->linear = be_linear_pack(rig->be, rig->w, rig->bias, n, k, &err);
    if (!rig->linear)
        rig_fail(rig, "%s", err.text);
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

const OpTest linear_test = {linear_setup, linear_call, NULL, 1e-12, 1e-5, 2e-5};

/* --- rms_norm: rows, d, gain, in place
 * --------------------------------------------------------------------------------------- */

static void rms_norm_setup(Rig *rig)
{
    int rows = rig->p[0], d = rig->p[1];
    const float *x = rig_tensor(rig, 3, 2, rows, d, 0, 0), *gain = rig_tensor(rig, 1, 1, d, 0, 0, 0);
    rig_shared(rig, 1);
    Slot *y = rig_output(rig, DTYPE_F32, 2, rows, d, 0, 0);
    ref_rms_norm(x, rig->p[2] ? gain : NULL, rows, d, y->want);
    if (rig->p[3])
        memcpy(y->host, x, y->host_bytes);
    rig->count = rows;
}

static void rms_norm_call(Rig *rig, int64_t from, int64_t n)
{
    Tensor y = rig_part(rig, 2, from, n);
    be_rms_norm(rig->be, rig->p[3] ? y : rig_part(rig, 0, from, n), rig->p[2] ? rig->slots[1].t : none(), y);
}

const OpTest rms_norm_test = {rms_norm_setup, rms_norm_call, NULL, 1e-13, 1e-5, 0};

/* --- layer_norm_modulate: b, t, d, in place
 * ---------------------------------------------------------------------------------- */

static void layer_norm_setup(Rig *rig)
{
    int b = rig->p[0], t = rig->p[1], d = rig->p[2];
    float *x = rig_tensor(rig, 2, 3, b, t, d, 0);
    const float *shift_scale = rig_tensor(rig, 0.5f, 3, b, 2, d, 0);
    for (int64_t i = 0; i < (int64_t)b * t * d; i++)
        x[i] += 5; /* a mean away from zero */
    Slot *y = rig_output(rig, DTYPE_F32, 3, b, t, d, 0);
    ref_layer_norm_modulate(x, shift_scale, b, t, d, y->want);
    if (rig->p[3])
        memcpy(y->host, x, y->host_bytes);
    rig->count = b;
}

static void layer_norm_call(Rig *rig, int64_t from, int64_t n)
{
    Tensor y = rig_part(rig, 2, from, n);
    be_layer_norm_modulate(rig->be, rig->p[3] ? y : rig_part(rig, 0, from, n), rig_part(rig, 1, from, n), y);
}

const OpTest layer_norm_modulate_test = {layer_norm_setup, layer_norm_call, NULL, 1e-12, 1e-5, 0};

/* --- swiglu: rows, f, scale ----------------------------------------------------------------------------------------
 */

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

const OpTest swiglu_test = {swiglu_setup, swiglu_call, NULL, 1e-13, 1e-5, 0};

/* --- embed_latents: b, t, c, d, first, known -----------------------------------------------------------------------
 */

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

const OpTest embed_latents_test = {embed_setup, embed_call, NULL, 1e-13, 1e-5, 0};

/* --- gather: rows, v, d --------------------------------------------------------------------------------------------
 */

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

const OpTest gather_test = {gather_setup, gather_call, NULL, 0, 0, 0};

/* --- slice: b, t, d, from, n ---------------------------------------------------------------------------------------
 */

static void slice_setup(Rig *rig)
{
    int b = rig->p[0], t = rig->p[1], d = rig->p[2], from = rig->p[3], n = rig->p[4];
    const float *x = rig_tensor(rig, 1, 3, b, t, d, 0);
    ref_slice(x, b, t, d, from, n, rig_output(rig, DTYPE_F32, 3, b, n, d, 0)->want);
    rig->count = b;
}

static void slice_call(Rig *rig, int64_t from, int64_t n)
{
    be_slice(rig->be, rig_part(rig, 0, from, n), rig->p[3], rig_part(rig, 1, from, n));
}

const OpTest slice_test = {slice_setup, slice_call, NULL, 0, 0, 0};

/* --- rope_split: b, t, heads, hd, s, first -------------------------------------------------------------------------
 */

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

const OpTest rope_split_test = {rope_setup, rope_call, NULL, 1e-13, 1e-5, 0};

/* --- attention: b, t, heads, hd, s, first, query scale -------------------------------------------------------------
 */

static void attention_setup(Rig *rig)
{
    int b = rig->p[0], t = rig->p[1], heads = rig->p[2], hd = rig->p[3], s = rig->p[4], first = rig->p[5];
    const float *q = rig_tensor(rig, (float)rig->p[6], 3, b, t, heads * hd, 0);
    float *k = rig_tensor(rig, 1, 4, b, heads, s, hd), *v = rig_tensor(rig, 1, 4, b, heads, s, hd);
    const float *v_class = rig_tensor(rig, 1, 2, b, heads * hd, 0, 0);
    ref_attention(q, k, v, v_class, b, t, heads, hd, s, first,
                  rig_output(rig, DTYPE_F32, 3, b, t, heads * hd, 0)->want);
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

const OpTest attention_test = {attention_setup, attention_call, NULL, 1e-12, 3e-5, 2e-4};

/* --- argmax_linear: rows, v, d, ties, no margin --------------------------------------------------------------------
 */

static void argmax_setup(Rig *rig)
{
    int rows = rig->p[0], v = rig->p[1], d = rig->p[2];
    rig_tensor(rig, 1, 2, rows, d, 0, 0);
    rig_output(rig, DTYPE_I32, 1, rows, 0, 0, 0);
    rig_output(rig, DTYPE_F32, 1, rows, 0, 0, 0);
    rig->w = rig_values(rig, 1 / sqrtf((float)d), (int64_t)v * d);
    if (rig->p[3]) /* the second half repeats the first: every maximum is a tie, and the first must win */
        memcpy(rig->w + (int64_t)v / 2 * d, rig->w, sizeof(float) * (size_t)(v / 2) * (size_t)d);
    Err err = {0};
    rig->linear = be_linear_pack(rig->be, rig->w, NULL, v, d, &err);
    if (!rig->linear)
        rig_fail(rig, "%s", err.text);
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
    static const double bounds[] = {
        [PREC_F32] = 1e-5, [PREC_TF32] = 0.05 / 8, [PREC_F16] = 0.05 / 8, [PREC_BF16] = 0.05};
    double bound = bounds[backend_precision(rig->be)], worst = 0;
    double *logits = xcalloc((size_t)rows * (size_t)v, sizeof(*logits));
    int32_t *ids = xcalloc((size_t)rows, sizeof(*ids));
    float *margin = xcalloc((size_t)rows, sizeof(*margin));
    be_download(rig->be, ids, rig->slots[1].t);
    be_download(rig->be, margin, rig->slots[2].t);
    rig_check(rig);
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

const OpTest argmax_linear_test = {argmax_setup, argmax_call, argmax_judge, 0, 1e-5, 1};

/* --- guide: a, b, c, scale in tenths -------------------------------------------------------------------------------
 */

static void guide_setup(Rig *rig)
{
    const int *p = rig->p;
    const float *cond = rig_tensor(rig, 1, 3, p[0], p[1], p[2], 0),
                *uncond = rig_tensor(rig, 1, 3, p[0], p[1], p[2], 0);
    ref_cfg(cond, uncond, (float)p[3] / 10, (int64_t)p[0] * p[1] * p[2],
            rig_output(rig, DTYPE_F32, 3, p[0], p[1], p[2], 0)->want);
    rig->count = p[0];
}

static void guide_call(Rig *rig, int64_t from, int64_t n)
{
    be_cfg(rig->be, rig_part(rig, 0, from, n), rig_part(rig, 1, from, n), (float)rig->p[3] / 10,
           rig_part(rig, 2, from, n));
}

const OpTest cfg_test = {guide_setup, guide_call, NULL, 1e-13, 1e-5, 0};

/* --- pick: rows, v, top_k, top_p in percent, temperature in percent, uniform, levels (0: all different), no probs ---
 */

static void pick_setup(Rig *rig)
{
    const int *p = rig->p;
    float *logits = rig_tensor(rig, 3, 2, p[0], p[1], 0, 0), *uniform = rig_tensor(rig, 1, 1, p[0], 0, 0, 0);
    Slot *ids = rig_output(rig, DTYPE_I32, 1, p[0], 0, 0, 0), *probs = rig_output(rig, DTYPE_F32, 2, p[0], p[1], 0, 0);
    for (int64_t i = 0; p[6] && i < (int64_t)p[0] * p[1]; i++)
        logits[i] = roundf(logits[i] * (float)p[6]) / (float)p[6]; /* ties */
    for (int r = 0; r < p[0]; r++) {
        uniform[r] = (float)rig_uniform(rig);
        ids->want[r] = ref_sample(logits + (int64_t)r * p[1], p[1], p[2], (float)p[3] / 100, (float)p[4] / 100,
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
    be_sample(rig->be, rig_part(rig, 0, from, n), p[2], (float)p[3] / 100, (float)p[4] / 100,
              p[5] ? rig_part(rig, 1, from, n) : none(), rig_part(rig, 2, from, n),
              p[7] ? none() : rig_part(rig, 3, from, n));
}

static void pick_judge(Rig *rig)
{
    rig_near(rig, 2, rig->slots[2].want, 0, 0);
    if (rig->slots[3].want)
        rig_near(rig, 3, rig->slots[3].want, 1e-12, 1e-5);
}

const OpTest sample_test = {pick_setup, pick_call, pick_judge, 1e-12, 1e-5, 0};

/* --- nearest_code: rows, v, c, duplicate ---------------------------------------------------------------------------
 */

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
    rig_check(rig);
    for (int r = 0; r < rows; r++) {
        double best = INFINITY,
               got = ids[r] >= 0 && ids[r] < v ? ref_distance(x + r * c, codes + ids[r] * c, c) : INFINITY;
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

const OpTest nearest_code_test = {nearest_setup, nearest_call, nearest_judge, 0, 0, 0};
