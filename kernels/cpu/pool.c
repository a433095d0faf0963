/* Pools of maps. Padding takes no part: a maximum ignores it, an average divides by the pixels inside the image. */
#include <math.h>

#include "kernels/cpu/cpu.h"

typedef struct Window {
    int top, bottom, left, right; /* inside the image: rows top..bottom-1 */
} Window;

CPU_CLONES static void pool_max(const float *restrict x, int width, Window win, float *restrict y)
{
    float best[BLOCK];
    for (int c = 0; c < BLOCK; c++)
        best[c] = -INFINITY;
    for (int i = win.top; i < win.bottom; i++)
        for (int j = win.left; j < win.right; j++)
#pragma omp                                                                                                            \
    simd /* else the loop is unrolled before it is made vectors of: 3 ms instead of 0.4 at Inception's first pool */
            for (int c = 0; c < BLOCK; c++) {
                float v = x[((size_t)i * (size_t)width + (size_t)j) * BLOCK + (size_t)c];
                float larger = best[c] < v ? v : best[c];
                best[c] = v != v ? v : larger; /* a NaN stays */
            }
    for (int c = 0; c < BLOCK; c++)
        y[c] = best[c];
}

CPU_CLONES static void pool_average(const float *restrict x, int width, Window win, float *restrict y)
{
    float sum[BLOCK] = {0}, count = (float)((win.bottom - win.top) * (win.right - win.left));
    for (int i = win.top; i < win.bottom; i++)
        for (int j = win.left; j < win.right; j++)
            for (int c = 0; c < BLOCK; c++)
                sum[c] += x[((size_t)i * (size_t)width + (size_t)j) * BLOCK + (size_t)c];
    for (int c = 0; c < BLOCK; c++)
        y[c] = sum[c] / count;
}

static int at_least(int value, int least)
{
    return value < least ? least : value;
}

static int at_most(int value, int most)
{
    return value > most ? most : value;
}

void cpu_pool(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y)
{
    int blocks = map_blocks(x.c);
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int task = 0; task < x.b * blocks * y.h; task++) {
        int plane = task / y.h, i = task % y.h;
        const float *in = (const float *)x.data + (size_t)plane * (size_t)x.h * (size_t)x.w * BLOCK;
        float *out = (float *)y.data + (size_t)task * (size_t)y.w * BLOCK;
        for (int j = 0; j < y.w; j++) {
            Window win = {.top = at_least(i * stride - pad, 0),
                          .bottom = at_most(i * stride - pad + size, x.h),
                          .left = at_least(j * stride - pad, 0),
                          .right = at_most(j * stride - pad + size, x.w)};
            (kind == POOL_MAX ? pool_max : pool_average)(in, x.w, win, out + (size_t)j * BLOCK);
        }
    }
}

void cpu_global_mean(Backend *be, FeatureMap x, Tensor y)
{
    int blocks = map_blocks(x.c);
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int task = 0; task < x.b * blocks; task++) {
        float mean[BLOCK];
        Window all = {.bottom = x.h, .right = x.w};
        pool_average((const float *)x.data + (size_t)task * (size_t)x.h * (size_t)x.w * BLOCK, x.w, all, mean);
        for (int c = 0; c < BLOCK && task % blocks * BLOCK + c < x.c; c++)
            ((float *)y.data)[(size_t)(task / blocks) * (size_t)x.c + (size_t)(task % blocks * BLOCK + c)] = mean[c];
    }
}
