#include "tests/ops/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static double silu(double x)
{
    return x / (1 + exp(-x));
}

void ref_linear(const float *x, const float *w, const float *bias, int64_t rows, int64_t n, int64_t k, bool accumulate,
                double *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++) {
            double sum = bias ? bias[i] : 0;
            for (int64_t j = 0; j < k; j++)
                sum += (double)x[r * k + j] * w[i * k + j];
            y[r * n + i] = (accumulate ? y[r * n + i] : 0) + sum;
        }
}

void ref_rms_norm(const float *x, const float *gain, int64_t rows, int64_t d, double *y)
{
    for (int64_t r = 0; r < rows; r++) {
        double squares = 0;
        for (int64_t i = 0; i < d; i++)
            squares += (double)x[r * d + i] * x[r * d + i];
        for (int64_t i = 0; i < d; i++)
            y[r * d + i] = x[r * d + i] / sqrt(squares / (double)d + 1e-5) * (gain ? gain[i] : 1);
    }
}

static void moments_of(const float *x, int64_t n, int64_t stride, double *ret_mean, double *ret_var)
{
    double mean = 0, var = 0;
    for (int64_t i = 0; i < n; i++)
        mean += x[i * stride] / (double)n;
    for (int64_t i = 0; i < n; i++)
        var += (x[i * stride] - mean) * (x[i * stride] - mean) / (double)n;
    *ret_mean = mean;
    *ret_var = var;
}

void ref_layer_norm_modulate(const float *x, const float *shift_scale, int64_t b, int64_t t, int64_t d, double *y)
{
    for (int64_t r = 0; r < b * t; r++) {
        const float *shift = shift_scale + r / t * 2 * d, *scale = shift + d;
        double mean, var;
        moments_of(x + r * d, d, 1, &mean, &var);
        for (int64_t i = 0; i < d; i++)
            y[r * d + i] = (x[r * d + i] - mean) / sqrt(var + 1e-6) * (1.0 + scale[i]) + shift[i];
    }
}

void ref_swiglu(const float *x, int64_t rows, int64_t f, double *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < f; i++)
            y[r * f + i] = silu(x[r * 2 * f + i]) * x[r * 2 * f + f + i];
}

void ref_embed_latents(const float *x, const float *w, const float *bias, const float *nd, int64_t b, int64_t t,
                       int64_t c, int64_t d, int first, int known, double *h)
{
    ref_linear(x, w, bias, b * t, d, c, false, h);
    for (int64_t r = 0; r < b * t; r++)
        for (int64_t i = 0; i < d; i++)
            h[r * d + i] += nd[(first + r % t < known ? d : 0) + i];
}

void ref_slice(const float *x, int b, int t, int d, int from, int n, double *y)
{
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t k = 0; k < d; k++)
                y[(i * n + j) * d + k] = x[(i * t + from + j) * d + k];
}

void ref_gather(const float *table, const int32_t *ids, int64_t rows, int64_t d, double *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < d; i++)
            y[r * d + i] = table[ids[r] * d + i];
}

static void turn(const float *x, const float *cos_sin, int64_t hd, double *y)
{
    for (int64_t j = 0; j < hd / 2; j++) {
        double c = cos_sin[2 * j], s = cos_sin[2 * j + 1];
        y[2 * j] = x[2 * j] * c - x[2 * j + 1] * s;
        y[2 * j + 1] = x[2 * j] * s + x[2 * j + 1] * c;
    }
}

void ref_rope_split(const float *qkv, const float *cos_sin, int64_t b, int64_t t, int64_t heads, int64_t hd, int64_t s,
                    int first, double *q, double *k, double *v)
{
    for (int64_t image = 0; image < b; image++)
        for (int64_t i = 0; i < t; i++)
            for (int64_t h = 0; h < heads; h++) {
                const float *in = qkv + ((image * t + i) * 3 * heads + h) * hd, *angle = cos_sin + (first + i) * hd;
                int64_t at = ((image * heads + h) * s + first + i) * hd;
                turn(in, angle, hd, q + ((image * t + i) * heads + h) * hd);
                turn(in + heads * hd, angle, hd, k + at);
                for (int64_t j = 0; j < hd; j++)
                    v[at + j] = in[2 * heads * hd + j];
            }
}

/* One query: scores against n keys, softmax (with a score 0 for the class column), values mixed. */
static void attend(const float *q, const float *k, const float *v, const float *v_class, int64_t n, int64_t d,
                   int64_t ld, double scale, double *y)
{
    double *p = xcalloc((size_t)n, sizeof(*p)), max = v_class ? 0 : -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        for (int64_t c = 0; c < d; c++)
            p[j] += (double)q[c] * k[j * ld + c] * scale;
        max = fmax(max, p[j]);
    }
    for (int64_t j = 0; j < n; j++)
        sum += p[j] = exp(p[j] - max);
    sum += v_class ? exp(-max) : 0;
    for (int64_t c = 0; c < d; c++) {
        y[c] = v_class ? exp(-max) * v_class[c] : 0;
        for (int64_t j = 0; j < n; j++)
            y[c] += p[j] * v[j * ld + c];
        y[c] /= sum;
    }
    free(p);
}

void ref_attention(const float *q, const float *k, const float *v, const float *v_class, int64_t b, int64_t t,
                   int64_t heads, int64_t hd, int64_t s, int first, double *y)
{
    for (int64_t image = 0; image < b; image++)
        for (int64_t i = 0; i < t; i++)
            for (int64_t h = 0; h < heads; h++) {
                int64_t at = ((image * t + i) * heads + h) * hd, cache = (image * heads + h) * s * hd;
                attend(q + at, k + cache, v + cache, v_class + (image * heads + h) * hd, first + i + 1, hd, hd,
                       1 / sqrt((double)hd), y + at);
            }
}

void ref_cfg(const float *cond, const float *uncond, float scale, int64_t n, double *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = uncond[i] + ((double)cond[i] - uncond[i]) * scale;
}

/* Ids by falling logit, equal ones by rising id: insertion into place, for small V. */
static void order_ids(const float *z, int64_t v, int32_t *order)
{
    for (int64_t i = 0; i < v; i++) {
        int64_t at = i;
        for (; at > 0 && z[order[at - 1]] < z[i]; at--)
            order[at] = order[at - 1];
        order[at] = (int32_t)i;
    }
}

int32_t ref_sample(const float *logits, int64_t v, int top_k, float top_p, float temperature, const float *uniform,
                   double *probs)
{
    float *z = xcalloc((size_t)v, sizeof(*z));
    int32_t *order = xcalloc((size_t)v, sizeof(*order)), best;
    for (int64_t i = 0; i < v; i++)
        z[i] = logits[i] / fmaxf(temperature, 1e-5f);
    order_ids(z, v, order);
    best = order[0];
    float least = top_k > 0 && top_k < v ? z[order[top_k - 1]] : -INFINITY;
    double total = 0, before = 0, kept = 0;
    for (int64_t i = 0; i < v; i++)
        total += z[i] >= least ? exp((double)z[i] - z[best]) : 0;
    for (int64_t i = 0; i < v; i++) {
        int32_t id = order[i];
        double p = z[id] >= least ? exp((double)z[id] - z[best]) / total : 0;
        probs[id] = i > 0 && before > top_p ? 0 : p;
        kept += probs[id];
        before += p;
    }
    double cumulative = 0;
    int32_t drawn = -1;
    for (int64_t i = 0; i < v; i++) {
        probs[i] /= kept;
        cumulative += probs[i];
        if (drawn < 0 && uniform && cumulative > *uniform)
            drawn = (int32_t)i;
    }
    free(z);
    free(order);
    return uniform ? drawn : best;
}

double ref_distance(const float *x, const float *code, int64_t c)
{
    double sum = 0;
    for (int64_t i = 0; i < c; i++)
        sum += ((double)x[i] - code[i]) * ((double)x[i] - code[i]);
    return sum;
}

void ref_conv(const float *x, const float *w, const float *bias, const float *residual, const ConvShape *s, int64_t b,
              int64_t h, int64_t width, double *y)
{
    int64_t scale = s->upsample ? 2 : 1, big_h = h * scale, big_w = width * scale;
    int64_t out_h = (big_h + 2 * s->pad_h - s->kh) / s->stride + 1,
            out_w = (big_w + 2 * s->pad_w - s->kw) / s->stride + 1;
    for (int64_t at = 0; at < b * out_h * out_w; at++)
        for (int64_t o = 0; o < s->c_out; o++) {
            int64_t image = at / (out_h * out_w), i = at / out_w % out_h, j = at % out_w;
            double sum = (bias ? bias[o] : 0) + (residual ? residual[at * s->c_out + o] : 0);
            for (int64_t u = 0; u < s->kh; u++)
                for (int64_t v = 0; v < s->kw; v++) {
                    int64_t row = i * s->stride + u - s->pad_h, col = j * s->stride + v - s->pad_w;
                    if (row < 0 || row >= big_h || col < 0 || col >= big_w)
                        continue;
                    const float *in = x + ((image * h + row / scale) * width + col / scale) * s->c_in;
                    for (int64_t c = 0; c < s->c_in; c++)
                        sum += (double)in[c] * w[((o * s->c_in + c) * s->kh + u) * s->kw + v];
                }
            y[at * s->c_out + o] = s->relu && sum < 0 ? 0 : sum;
        }
}

void ref_group_norm(const float *x, const float *gamma, const float *beta, int64_t b, int64_t pixels, int64_t c,
                    int64_t groups, bool silu_after, double *y)
{
    int64_t width = c / groups;
    for (int64_t image = 0; image < b; image++)
        for (int64_t g = 0; g < groups; g++) {
            double mean = 0, var = 0, n = (double)(pixels * width);
            const float *in = x + image * pixels * c + g * width;
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t i = 0; i < width; i++)
                    mean += in[p * c + i] / n;
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t i = 0; i < width; i++)
                    var += (in[p * c + i] - mean) * (in[p * c + i] - mean) / n;
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t i = 0; i < width; i++) {
                    double v = (in[p * c + i] - mean) / sqrt(var + 1e-6) * gamma[g * width + i] + beta[g * width + i];
                    y[image * pixels * c + p * c + g * width + i] = silu_after ? silu(v) : v;
                }
        }
}

void ref_pixel_attention(const float *q, const float *k, const float *v, int64_t b, int64_t pixels, int64_t c,
                         double scale, double *y)
{
    for (int64_t image = 0; image < b; image++)
        for (int64_t p = 0; p < pixels; p++) {
            int64_t at = image * pixels * c;
            attend(q + at + p * c, k + at, v + at, NULL, pixels, c, c, scale, y + at + p * c);
        }
}

uint8_t ref_to_u8(float x)
{
    volatile float value = x + 1.0f; /* volatile: each step rounds to f32 */
    value = value / 2.0f;
    value = value * 255.0f;
    value = value + 0.5f;
    return value >= 255.0f ? 255 : value <= 0.0f ? 0 : (uint8_t)value;
}

void ref_resize(const uint8_t *image, int64_t h, int64_t w, Resize pipeline, double *y)
{
    for (int64_t i = 0; i < 299; i++)
        for (int64_t j = 0; j < 299; j++) {
            /* Positions too: the golden inputs are float64 throughout. The public tools keep them in f32 and so differ
             * by up to 1e-4 in a noisy image. */
            double sh = (double)h / 299, sw = (double)w / 299;
            double row = pipeline == RESIZE_PT ? fmax(((double)i + 0.5) * sh - 0.5, 0) : (double)i * sh;
            double col = pipeline == RESIZE_PT ? fmax(((double)j + 0.5) * sw - 0.5, 0) : (double)j * sw;
            int64_t h0 = (int64_t)row, w0 = (int64_t)col;
            int64_t h1 = h0 + 1 < h ? h0 + 1 : h - 1, w1 = w0 + 1 < w ? w0 + 1 : w - 1;
            double lh = row - (double)h0, lw = col - (double)w0;
            for (int64_t c = 0; c < 3; c++) {
                double a = image[(h0 * w + w0) * 3 + c], b = image[(h0 * w + w1) * 3 + c];
                double d = image[(h1 * w + w0) * 3 + c], e = image[(h1 * w + w1) * 3 + c];
                double v = (1 - lh) * ((1 - lw) * a + lw * b) + lh * ((1 - lw) * d + lw * e);
                y[(i * 299 + j) * 3 + c] = pipeline == RESIZE_PT ? 2 * v / 255 - 1 : (v - 128) / 128;
            }
        }
}

void ref_pool(const float *x, int64_t b, int64_t h, int64_t w, int64_t c, Pool kind, int size, int stride, int pad,
              double *y)
{
    int64_t out_h = (h + 2 * pad - size) / stride + 1, out_w = (w + 2 * pad - size) / stride + 1;
    for (int64_t at = 0; at < b * out_h * out_w * c; at++) {
        int64_t image = at / (out_h * out_w * c), i = at / (out_w * c) % out_h, j = at / c % out_w;
        double max = -INFINITY, sum = 0, n = 0;
        for (int64_t row = i * stride - pad; row < i * stride - pad + size; row++)
            for (int64_t col = j * stride - pad; col < j * stride - pad + size; col++)
                if (row >= 0 && row < h && col >= 0 && col < w) {
                    double v = x[((image * h + row) * w + col) * c + at % c];
                    max = fmax(max, v);
                    sum += v;
                    n++;
                }
        y[at] = kind == POOL_MAX ? max : sum / n;
    }
}

void ref_global_mean(const float *x, int64_t b, int64_t pixels, int64_t c, double *y)
{
    for (int64_t i = 0; i < b * c; i++) {
        y[i] = 0;
        for (int64_t p = 0; p < pixels; p++)
            y[i] += x[(i / c * pixels + p) * c + i % c] / (double)pixels;
    }
}
