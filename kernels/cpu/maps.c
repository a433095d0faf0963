/* Maps against rows, and maps side by side. Layout: kernels/cpu/cpu.h. */
#include <string.h>

#include "kernels/cpu/cpu.h"

/* One block of channels: pixel p of block `block` is rows[p][block*16..]. */
static void block_from_rows(const float *rows, int c, int block, int pixels, float *y)
{
    int n = c - block * BLOCK < BLOCK ? c - block * BLOCK : BLOCK;
    for (int p = 0; p < pixels; p++) {
        const float *in = rows + (size_t)p * (size_t)c + (size_t)block * BLOCK;
        float *out = y + (size_t)p * BLOCK;
        memcpy(out, in, (size_t)n * sizeof(float));
        memset(out + n, 0, (size_t)(BLOCK - n) * sizeof(float));
    }
}

void cpu_map_from_rows(Backend *be, Tensor rows, FeatureMap y)
{
    int pixels = y.h * y.w, blocks = map_blocks(y.c);
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int i = 0; i < y.b * blocks; i++)
        block_from_rows((const float *)rows.data + (size_t)(i / blocks) * (size_t)pixels * (size_t)y.c, y.c, i % blocks,
                        pixels, (float *)y.data + (size_t)i * (size_t)pixels * BLOCK);
}

void cpu_map_to_rows(Backend *be, FeatureMap x, Tensor rows)
{
    int pixels = x.h * x.w, blocks = map_blocks(x.c);
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int i = 0; i < x.b * blocks; i++) {
        const float *in = (const float *)x.data + (size_t)i * (size_t)pixels * BLOCK;
        int block = i % blocks, n = x.c - block * BLOCK < BLOCK ? x.c - block * BLOCK : BLOCK;
        float *out = (float *)rows.data + (size_t)(i / blocks) * (size_t)pixels * (size_t)x.c + (size_t)block * BLOCK;
        for (int p = 0; p < pixels; p++)
            memcpy(out + (size_t)p * (size_t)x.c, in + (size_t)p * BLOCK, (size_t)n * sizeof(float));
    }
}

/* Channels that do not start at a block go one by one: the widths of the published networks never need it. */
static void concat_channels(const FeatureMap *x, int b, const FeatureMap *y, int at)
{
    size_t pixels = (size_t)y->h * (size_t)y->w;
    for (int c = 0; c < x->c; c++) {
        const float *in = map_image(x, b) + (size_t)(c / BLOCK) * pixels * BLOCK + (size_t)(c % BLOCK);
        float *out = map_image(y, b) + (size_t)((at + c) / BLOCK) * pixels * BLOCK + (size_t)((at + c) % BLOCK);
        for (size_t p = 0; p < pixels; p++)
            out[p * BLOCK] = in[p * BLOCK];
    }
}

static void clear_padding(const FeatureMap *y, int b)
{
    size_t pixels = (size_t)y->h * (size_t)y->w;
    float *block = map_image(y, b) + (size_t)(map_blocks(y->c) - 1) * pixels * BLOCK;
    for (int c = y->c % BLOCK; c > 0 && c < BLOCK; c++)
        for (size_t p = 0; p < pixels; p++)
            block[p * BLOCK + (size_t)c] = 0;
}

void cpu_concat(Backend *be, const FeatureMap *x, int n, FeatureMap y)
{
    size_t pixels = (size_t)y.h * (size_t)y.w;
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int b = 0; b < y.b; b++) {
        int at = 0;
        for (int i = 0; i < n; at += x[i].c, i++)
            if (at % BLOCK == 0) /* the copied padding is zeros, or overwritten by the next */
                memcpy(map_image(&y, b) + (size_t)at * pixels, map_image(&x[i], b),
                       map_image_floats(&x[i]) * sizeof(float));
            else
                concat_channels(&x[i], b, &y, at);
        clear_padding(&y, b);
    }
}
