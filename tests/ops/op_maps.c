/* The map ops, as op_rows.c has the row ops.
 *
 * Bounds: Winograd F(4,3) adds and multiplies transformed values that are some times larger than the input: 1.3e-6 at
 * 256 channels, squared 2e-12, more with 512. The rest rounds some times by 6e-8. Copies and bytes are exact. In bf16 a
 * convolution may round both factors, as a product of rows does.
 *
 * On CUDA a map of a 16-bit precision holds 16-bit values. The references start from what a map holds (rig_hold), so
 * only what an op writes into a map is rounded: STORED, at most 2^-8 of each value in bf16. Attention rounds its
 * weights as well. What only moves maps or reads them stays exact. */
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "tests/ops/op_tests.h"
#include "tests/ops/ref.h"

#define STORED 1.6e-5
#define EXACT  1e-30 /* above 0: such a row runs in every precision */

/* --- conv: b, h, w, c_in, c_out, kernel (kh * 10 + kw), stride, pad (pad_h * 10 + pad_w), flags --------------------
 */

static void conv_setup(Rig *rig)
{
    const int *p = rig->p;
    const ConvShape s = {.c_in = p[3],
                         .c_out = p[4],
                         .kh = p[5] / 10,
                         .kw = p[5] % 10,
                         .stride = p[6],
                         .pad_h = p[7] / 10,
                         .pad_w = p[7] % 10,
                         .relu = p[8] & RELU,
                         .upsample = p[8] & UPSAMPLE};
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
    Err err = {0};
    rig->conv = be_conv_pack(rig->be, rig->w, rig->bias, &s, p[1] + hint, p[2] + hint, &err);
    if (!rig->conv)
        rig_fail(rig, "%s", err.text);
    ref_conv(x, rig->w, rig->bias, p[8] & (RESIDUAL | IN_PLACE) ? residual : NULL, &s, p[0], p[1], p[2], y->want);
    rig->count = p[0];
}

static void conv_call(Rig *rig, int64_t from, int64_t n)
{
    FeatureMap y = rig_map_part(rig, 2, from, n), residual = {0};
    if (rig->p[8] & RESIDUAL)
        residual = rig_map_part(rig, 1, from, n);
    be_conv(rig->be, rig->conv, rig_map_part(rig, 0, from, n), rig->p[8] & IN_PLACE ? y : residual, y);
}

const OpTest conv_test = {conv_setup, conv_call, NULL, 2e-11, 3e-5, 2e-5};

/* --- group_norm: b, h, w, c, groups, silu, in place, mean ----------------------------------------------------------
 */

static void group_norm_setup(Rig *rig)
{
    const int *p = rig->p;
    float *x = rig_map(rig, 2, p[0], p[1], p[2], p[3]);
    const float *gamma = rig_tensor(rig, 1, 1, p[3], 0, 0, 0), *beta = rig_tensor(rig, 1, 1, p[3], 0, 0, 0);
    Slot *y = rig_output_map(rig, p[0], p[1], p[2], p[3]);
    for (int64_t i = 0; i < (int64_t)p[0] * p[1] * p[2] * p[3]; i++)
        x[i] += (float)p[7];
    rig_hold(rig, 0);
    ref_group_norm(x, gamma, beta, p[0], (int64_t)p[1] * p[2], p[3], p[4], p[5], y->want);
    if (p[6])
        memcpy(y->host, x, y->host_bytes);
    rig->count = p[0];
}

static void group_norm_call(Rig *rig, int64_t from, int64_t n)
{
    FeatureMap y = rig_map_part(rig, 3, from, n);
    be_group_norm(rig->be, rig->p[6] ? y : rig_map_part(rig, 0, from, n), rig->slots[1].t, rig->slots[2].t, rig->p[4],
                  rig->p[5], y);
}

const OpTest group_norm_test = {group_norm_setup, group_norm_call, NULL, 1e-12, 2e-5, STORED};

/* --- pixel_attention: b, h, w, c -----------------------------------------------------------------------------------
 */

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

const OpTest pixel_attention_test = {pixel_attention_setup, pixel_attention_call, NULL, 1e-12, 3e-5, 2 * STORED};

/* --- map_from_rows, map_to_rows: b, h, w, c ------------------------------------------------------------------------
 */

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

const OpTest map_from_rows_test = {from_rows_setup, from_rows_call, NULL, 0, 0, STORED};

const OpTest map_to_rows_test = {to_rows_setup, to_rows_call, NULL, 0, 0, EXACT};

/* --- to_u8: b, h, w ------------------------------------------------------------------------------------------------
 */

static void to_u8_setup(Rig *rig)
{
    const int *p = rig->p;
    float *x = rig_map(rig, 1, p[0], p[1], p[2], 3);
    Slot *y = rig_output(rig, DTYPE_U8, 4, p[0], p[1], p[2], 3);
    for (int64_t i = 0; i < (int64_t)y->bytes; i += 3) /* at and around the points where rounding turns */
        x[i] = ((float)(i % 511) / 2) / 255 * 2 - 1;
    rig_hold(rig, 0);
    for (int64_t i = 0; i < (int64_t)y->bytes; i++)
        y->want[i] = ref_to_u8(x[i]);
    rig->count = p[0];
}

static void to_u8_call(Rig *rig, int64_t from, int64_t n)
{
    be_to_u8(rig->be, rig_map_part(rig, 0, from, n), rig_part(rig, 1, from, n));
}

const OpTest to_u8_test = {to_u8_setup, to_u8_call, NULL, 0, 0, EXACT};

/* --- resize_inception: b, h, w, pipeline ---------------------------------------------------------------------------
 */

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

const OpTest resize_inception_test = {resize_setup, resize_call, NULL, 1e-13, 2e-6, STORED};

/* --- pool: b, h, w, c, kind, size, stride, pad ---------------------------------------------------------------------
 */

static void pool_setup(Rig *rig)
{
    const int *p = rig->p;
    int h = (p[1] + 2 * p[7] - p[5]) / p[6] + 1, w = (p[2] + 2 * p[7] - p[5]) / p[6] + 1;
    float *x = rig_map(rig, 1, p[0], p[1], p[2], p[3]);
    for (int64_t i = 0; i < (int64_t)p[0] * p[1] * p[2] * p[3]; i++)
        x[i] -= 3; /* negative maxima: padding must not win */
    rig_hold(rig, 0);
    ref_pool(x, p[0], p[1], p[2], p[3], (Pool)p[4], p[5], p[6], p[7], rig_output_map(rig, p[0], h, w, p[3])->want);
    rig->count = p[0];
}

static void pool_call(Rig *rig, int64_t from, int64_t n)
{
    const int *p = rig->p;
    be_pool(rig->be, rig_map_part(rig, 0, from, n), (Pool)p[4], p[5], p[6], p[7], rig_map_part(rig, 1, from, n));
}

const OpTest pool_test = {pool_setup, pool_call, NULL, 1e-13, 1e-6, STORED};

/* --- concat: b, h, w, then four widths (0: fewer) ------------------------------------------------------------------
 */

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
    FeatureMap x[4];
    int parts = rig->nslots - 1;
    for (int i = 0; i < parts; i++)
        x[i] = rig_map_part(rig, i, from, n);
    be_concat(rig->be, x, parts, rig_map_part(rig, parts, from, n));
}

const OpTest concat_test = {concat_setup, concat_call, NULL, 0, 0, EXACT};

/* --- global_mean: b, h, w, c ---------------------------------------------------------------------------------------
 */

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

const OpTest global_mean_test = {global_mean_setup, global_mean_call, NULL, 1e-12, 1e-5, 1e-11};
