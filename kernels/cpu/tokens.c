/* Moving rows about in the transformers: embedding, gathering, rotary positions, guidance. */
#include "kernels/cpu/cpu.h"

#include <string.h>

/* h = bias + nd, then one latent channel after the other: a row of w^T times a scalar, so that the loop over D is a
 * vector. w_t is [C,D]. */
CPU_CLONES static void embed_row(const float *restrict x, const float *restrict w_t, const float *restrict bias,
                                 const float *restrict nd, float *restrict h, int64_t c, int64_t d)
{
    for (int64_t j = 0; j < d; j++)
        h[j] = bias[j] + nd[j];
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < d; j++)
            h[j] += x[i] * w_t[i * d + j];
}

void cpu_embed_latents(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = x.shape[0] * x.shape[1], t = x.shape[1], c = x.shape[2], d = w.shape[0];
    float *w_t = cpu_scratch(cpu, SCRATCH_WORK, (size_t)(c * d) * sizeof(float));
    if (!w_t)
        return;
    for (int64_t j = 0; j < d; j++)
        for (int64_t i = 0; i < c; i++)
            w_t[i * d + j] = ((const float *)w.data)[j * c + i];
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        embed_row((const float *)x.data + r * c, w_t, bias.data,
                  (const float *)nd.data + (first + r % t < known ? d : 0), (float *)h.data + r * d, c, d);
}

void cpu_gather(Backend *be, Tensor table, Tensor ids, Tensor y)
{
    int64_t rows = ids.shape[0], v = table.shape[0], d = table.shape[1];
    for (int64_t r = 0; r < rows; r++) {
        int32_t id = ((const int32_t *)ids.data)[r];
        if (id < 0 || id >= v) {
            backend_fail(be, ERR_INTERNAL, "be_gather: id %d of row %lld, the table has %lld rows", id, (long long)r,
                         (long long)v);
            return;
        }
        memcpy((float *)y.data + r * d, (const float *)table.data + (int64_t)id * d, (size_t)d * sizeof(float));
    }
}

void cpu_slice(Backend *be, Tensor x, int from, Tensor y)
{
    (void)be;
    int64_t b = x.shape[0], t = x.shape[1], d = x.shape[2], n = y.shape[1];
    for (int64_t i = 0; i < b; i++)
        memcpy((float *)y.data + i * n * d, (const float *)x.data + (i * t + from) * d,
               (size_t)(n * d) * sizeof(float));
}

/* Pairs (2j,2j+1) are complex numbers times cos + i sin of entry j. */
CPU_CLONES static void rotate(const float *restrict x, const float *restrict cos_sin, float *restrict y, int64_t hd)
{
    for (int64_t j = 0; j < hd; j += 2) {
        float c = cos_sin[j], s = cos_sin[j + 1];
        y[j] = x[j] * c - x[j + 1] * s;
        y[j + 1] = x[j + 1] * c + x[j] * s;
    }
}

void cpu_rope_split(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v)
{
    int64_t b = q.shape[0], t = q.shape[1], d = q.shape[2], hd = d / heads, s = k.shape[2];
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t r = 0; r < b * t; r++) {
        const float *in = (const float *)qkv.data + r * 3 * d;
        const float *turn = (const float *)cos_sin.data + (first + r % t) * hd;
        for (int64_t h = 0; h < heads; h++) {
            int64_t at = ((r / t * heads + h) * s + first + r % t) * hd;
            rotate(in + h * hd, turn, (float *)q.data + r * d + h * hd, hd);
            rotate(in + d + h * hd, turn, (float *)k.data + at, hd);
            memcpy((float *)v.data + at, in + 2 * d + h * hd, (size_t)hd * sizeof(float));
        }
    }
}

CPU_CLONES static void guide(const float *cond, const float *uncond, float scale, float *y, int64_t n)
{
#pragma omp simd /* y may be either of them */
    for (int64_t i = 0; i < n; i++)
        y[i] = uncond[i] + (cond[i] - uncond[i]) * scale;
}

void cpu_cfg(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y)
{
    enum { CHUNK = 1 << 13 };
    int64_t n = tensor_count(&y);
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t i = 0; i < n; i += CHUNK)
        guide((const float *)cond.data + i, (const float *)uncond.data + i, scale, (float *)y.data + i,
              n - i < CHUNK ? n - i : CHUNK);
}
