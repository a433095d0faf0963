/* Norms and gates, one row (or one image) at a time; sums in f32 lanes for rows, in double for whole images.
 *   rms_norm             y = x / sqrt(mean(x^2) + 1e-5) * gain
 *   layer_norm_modulate  y = (x - mean) / sqrt(var + 1e-6) * (1 + scale) + shift
 *   swiglu               y = silu(a) * b
 *   group_norm           y = (x - mean) / sqrt(var + 1e-6) * gamma + beta over groups of channels, then silu */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/math.h"

/* Sums go into LANES running sums, added up in order at the end: the vector form of a sum, written out so that it has
 * one order on every machine. */
enum { LANES = 16 };

CPU_CLONES static void rms_norm_row(const float *x, const float *restrict gain, float *y, int64_t d)
{
    float lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= d; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += x[i + l] * x[i + l];
    for (; i < d; i++)
        lanes[i % LANES] += x[i] * x[i];
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    float scale = 1.0f / sqrtf(sum / (float)d + 1e-5f);
#pragma omp simd /* y may be x, never a part of it */
    for (i = 0; i < d; i++)
        y[i] = x[i] * scale;
    for (i = 0; gain && i < d; i++)
        y[i] *= gain[i];
}

void cpu_rms_norm(Backend *be, Tensor x, Tensor gain, Tensor y)
{
    int64_t rows = x.shape[0], d = x.shape[1];
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        rms_norm_row((const float *)x.data + r * d, gain.data, (float *)y.data + r * d, d);
}

CPU_CLONES static float sum_row(const float *restrict x, int64_t d)
{
    float lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= d; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += x[i + l];
    for (; i < d; i++)
        lanes[i % LANES] += x[i];
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

CPU_CLONES static float sum_squares(const float *restrict x, float mean, int64_t d)
{
    float lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= d; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += (x[i + l] - mean) * (x[i + l] - mean);
    for (; i < d; i++)
        lanes[i % LANES] += (x[i] - mean) * (x[i] - mean);
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

CPU_CLONES static void modulate(const float *x, float mean, float inverse, const float *restrict shift,
                                const float *restrict scale, float *y, int64_t d)
{
#pragma omp simd
    for (int64_t i = 0; i < d; i++)
        y[i] = (x[i] - mean) * inverse * (1.0f + scale[i]) + shift[i];
}

void cpu_layer_norm_modulate(Backend *be, Tensor x, Tensor shift_scale, Tensor y)
{
    int64_t rows = x.shape[0] * x.shape[1], t = x.shape[1], d = x.shape[2];
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *in = (const float *)x.data + r * d, *ss = (const float *)shift_scale.data + r / t * 2 * d;
        float mean = sum_row(in, d) / (float)d;
        float inverse = 1.0f / sqrtf(sum_squares(in, mean, d) / (float)d + 1e-6f);
        modulate(in, mean, inverse, ss, ss + d, (float *)y.data + r * d, d);
    }
}

CPU_CLONES static void swiglu_row(const float *restrict x, float *restrict y, int64_t f)
{
    for (int64_t i = 0; i < f; i++)
        y[i] = silu_f32(x[i]) * x[f + i];
}

void cpu_swiglu(Backend *be, Tensor x, Tensor y)
{
    int64_t rows = y.shape[0], f = y.shape[1];
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        swiglu_row((const float *)x.data + r * 2 * f, (float *)y.data + r * f, f);
}

/* --- group norm ------------------------------------------------------------------------------------ */

/* Pixels that one task sums: fixed, so that the order of a sum does not depend on the threads. */
enum { STAT_PIXELS = 2048 };

/* Sums and sums of squares of the 16 channels of one block over some pixels; ret [2][16]. In double, the squares of f32
 * are exact and mean(x^2) - mean(x)^2 keeps its digits, which saves a second pass over the map. */
CPU_CLONES static void block_sums(const float *restrict x, int pixels, double *restrict ret)
{
    typedef float Half __attribute__((vector_size(8 * sizeof(float))));
    typedef double Wide __attribute__((vector_size(8 * sizeof(double))));
    Wide sum[2] = {{0}}, squares[2] = {{0}};
    for (int p = 0; p < pixels; p++, x += BLOCK)
        for (int i = 0; i < 2; i++) { /* written as vectors: loops over arrays end up in memory, four times slower */
            Half half;
            memcpy(&half, x + i * 8, sizeof(half));
            Wide v = __builtin_convertvector(half, Wide);
            sum[i] += v;
            squares[i] += v * v;
        }
    memcpy(ret, sum, sizeof(sum));
    memcpy(ret + BLOCK, squares, sizeof(squares));
}

/* y = (x - mean) * scale + shift of each channel. The mean is taken off first: folded into shift, a mean of 1000 would
 * cost three digits. What rounding the mean to f32 loses is in shift. */
typedef struct Affine {
    float mean[BLOCK], scale[BLOCK], shift[BLOCK];
} Affine;

CPU_CLONES static void block_affine(const float *x, const Affine *a, bool silu, float *y, int pixels)
{
    const Affine local = *a; /* y cannot point at it */
    if (silu)
        for (int p = 0; p < pixels; p++, x += BLOCK, y += BLOCK) {
#pragma omp simd /* y may be x, never a part of it */
            for (int c = 0; c < BLOCK; c++)
                y[c] = silu_f32((x[c] - local.mean[c]) * local.scale[c] + local.shift[c]);
        }
    else
        for (int p = 0; p < pixels; p++, x += BLOCK, y += BLOCK) {
#pragma omp simd
            for (int c = 0; c < BLOCK; c++)
                y[c] = (x[c] - local.mean[c]) * local.scale[c] + local.shift[c];
        }
}

/* One image: partial sums [blocks][parts][2][16] -> each block's map; padded channels stay 0. */
static void group_affine(const double *partial, int parts, int pixels, int c, int groups, const float *gamma,
                         const float *beta, Affine *ret)
{
    int width = c / groups;
    memset(ret, 0, (size_t)map_blocks(c) * sizeof(*ret));
    for (int g = 0; g < groups; g++) {
        double sum = 0, squares = 0, n = (double)width * pixels;
        for (int i = g * width; i < (g + 1) * width; i++)
            for (int part = 0; part < parts; part++) {
                const double *two = partial + ((size_t)(i / BLOCK) * (size_t)parts + (size_t)part) * 2 * BLOCK;
                sum += two[i % BLOCK];
                squares += two[BLOCK + i % BLOCK];
            }
        double mean = sum / n, var = squares / n - mean * mean;
        double inverse = 1.0 / sqrt((var < 0 ? 0 : var) + 1e-6);
        for (int i = g * width; i < (g + 1) * width; i++) {
            Affine *a = ret + i / BLOCK;
            float rounded = (float)mean;
            a->mean[i % BLOCK] = rounded;
            a->scale[i % BLOCK] = (float)(inverse * gamma[i]);
            a->shift[i % BLOCK] = (float)(beta[i] - (mean - rounded) * inverse * gamma[i]);
        }
    }
}

void cpu_group_norm(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y)
{
    Cpu *cpu = cpu_of(be);
    int pixels = x.h * x.w, blocks = map_blocks(x.c), parts = (pixels + STAT_PIXELS - 1) / STAT_PIXELS;
    size_t sums = (size_t)blocks * (size_t)parts * 2 * BLOCK;
    double *partial = cpu_scratch(cpu, SCRATCH_WORK, sums * sizeof(double) + (size_t)blocks * sizeof(Affine));
    if (!partial)
        return;
    Affine *affine = (Affine *)(partial + sums);
    for (int b = 0; b < x.b; b++) {
        const float *in = map_image(&x, b);
        float *out = map_image(&y, b);
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
        for (int i = 0; i < blocks * parts; i++) {
            int first = i % parts * STAT_PIXELS, n = pixels - first < STAT_PIXELS ? pixels - first : STAT_PIXELS;
            block_sums(in + ((size_t)(i / parts) * (size_t)pixels + (size_t)first) * BLOCK, n,
                       partial + (size_t)i * 2 * BLOCK);
        }
        group_affine(partial, parts, pixels, x.c, groups, gamma.data, beta.data, affine);
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
        for (int i = 0; i < blocks * parts; i++) {
            int first = i % parts * STAT_PIXELS, n = pixels - first < STAT_PIXELS ? pixels - first : STAT_PIXELS;
            size_t at = ((size_t)(i / parts) * (size_t)pixels + (size_t)first) * BLOCK;
            block_affine(in + at, affine + i / parts, silu, out + at, n);
        }
    }
}
