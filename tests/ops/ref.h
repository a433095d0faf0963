/* What each op of kernels/backend.h computes, as plain loops in double. Arrays are host memory, row-major; a map is
 * [B][h][w][C]. Slow on purpose: the shortest code that computes what the header defines. */
#ifndef TESTS_OPS_REF_H
#define TESTS_OPS_REF_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/backend.h"

/* y [R,N] in and out when accumulating. */
void ref_linear(const float *x, const float *w, const float *bias, int64_t rows, int64_t n, int64_t k, bool accumulate,
                double *y);
void ref_rms_norm(const float *x, const float *gain, int64_t rows, int64_t d, double *y);
void ref_layer_norm_modulate(const float *x, const float *shift_scale, int64_t b, int64_t t, int64_t d, double *y);
void ref_swiglu(const float *x, int64_t rows, int64_t f, double *y);
void ref_embed_latents(const float *x, const float *w, const float *bias, const float *nd, int64_t b, int64_t t,
                       int64_t c, int64_t d, int first, int known, double *h);
/* y[B,n,D] = rows from.. of x [B,T,D] */
void ref_slice(const float *x, int b, int t, int d, int from, int n, double *y);
void ref_gather(const float *table, const int32_t *ids, int64_t rows, int64_t d, double *y);
/* k and v [B,H,S,hd] are in and out: only rows first..first+t-1 change. */
void ref_rope_split(const float *qkv, const float *cos_sin, int64_t b, int64_t t, int64_t heads, int64_t hd, int64_t s,
                    int first, double *q, double *k, double *v);
void ref_attention(const float *q, const float *k, const float *v, const float *v_class, int64_t b, int64_t t,
                   int64_t heads, int64_t hd, int64_t s, int first, double *y);
void ref_cfg(const float *cond, const float *uncond, float scale, int64_t n, double *y);
/* probs [V] of one row; returns the id drawn, or the argmax without uniform. */
int32_t ref_sample(const float *logits, int64_t v, int top_k, float top_p, float temperature, const float *uniform,
                   double *probs);
/* Squared distance to code id. */
double ref_distance(const float *x, const float *code, int64_t c);

/* residual NULL: none. */
void ref_conv(const float *x, const float *w, const float *bias, const float *residual, const ConvShape *s, int64_t b,
              int64_t h, int64_t width, double *y);
void ref_group_norm(const float *x, const float *gamma, const float *beta, int64_t b, int64_t pixels, int64_t c,
                    int64_t groups, bool silu, double *y);
void ref_pixel_attention(const float *q, const float *k, const float *v, int64_t b, int64_t pixels, int64_t c,
                         double scale, double *y);
uint8_t ref_to_u8(float x); /* f32, as written in the header */
void ref_resize(const uint8_t *image, int64_t h, int64_t w, Resize pipeline, double *y); /* [299,299,3] */
void ref_pool(const float *x, int64_t b, int64_t h, int64_t w, int64_t c, Pool kind, int size, int stride, int pad,
              double *y);
void ref_global_mean(const float *x, int64_t b, int64_t pixels, int64_t c, double *y);
/* sum [D] and outer [D,D] are in and out; only the upper triangle changes. */

#endif
