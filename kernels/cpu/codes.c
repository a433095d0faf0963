/* Choosing ids: the largest logit without keeping the logits, and the nearest row of a codebook. */
#include <math.h>

#include "kernels/cpu/cpu.h"

/* --- argmax of a product ------------------------------------------------------------------------------ */

/* Rows whose logits are alive at once: 32 rows of 16384 codes are 2 MiB. */
enum { LOGIT_ROWS = 32 };

/* First on ties; NaN never wins. margin: the largest minus the second largest, 0 for a single code. */
static void largest(const float *x, int64_t n, int32_t *ret_id, float *ret_margin)
{
    float best = -INFINITY, second = -INFINITY;
    int64_t id = 0;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] > best) {
            second = best;
            best = x[i];
            id = i;
        } else if (x[i] > second) {
            second = x[i];
        }
    }
    *ret_id = (int32_t)id;
    if (ret_margin)
        *ret_margin = n > 1 ? best - second : 0;
}

void cpu_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = x.shape[0];
    float *logits = cpu_scratch(cpu, SCRATCH_WORK, (size_t)(LOGIT_ROWS * head->n) * sizeof(float));
    for (int64_t r = 0; logits && r < rows && !be->failed; r += LOGIT_ROWS) {
        int64_t n = rows - r < LOGIT_ROWS ? rows - r : LOGIT_ROWS;
        cpu_linear(be, head, tensor_f32((float *)x.data + r * head->k, 2, n, head->k, 0, 0),
                   tensor_f32(logits, 2, n, head->n, 0, 0), false);
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
        for (int64_t i = 0; i < n; i++)
            largest(logits + i * head->n, head->n, (int32_t *)ids.data + r + i,
                    margin.data ? (float *)margin.data + r + i : NULL);
    }
}

/* --- nearest code --------------------------------------------------------------------------------------- */

/* Codes that one step compares: each lane keeps its own nearest, the first of the lanes' nearest wins. */
enum { CODES = 32 };

/* codes_t [C][ld]: the codebook turned, padded with infinity to a multiple of CODES. */
CPU_CLONES static int32_t nearest(const float *restrict x, const float *restrict codes_t, int64_t ld, int64_t c)
{
    float best[CODES];
    int32_t id[CODES];
    for (int l = 0; l < CODES; l++) {
        best[l] = INFINITY;
        id[l] = 0;
    }
    for (int64_t v = 0; v < ld; v += CODES) {
        float sum[CODES] = {0};
        for (int64_t i = 0; i < c; i++)
            for (int l = 0; l < CODES; l++)
                sum[l] += (x[i] - codes_t[i * ld + v + l]) * (x[i] - codes_t[i * ld + v + l]);
        for (int l = 0; l < CODES; l++) {
            id[l] = sum[l] < best[l] ? (int32_t)v + l : id[l];
            best[l] = sum[l] < best[l] ? sum[l] : best[l];
        }
    }
    int first = 0;
    for (int l = 1; l < CODES; l++)
        if (best[l] < best[first] || (best[l] == best[first] && id[l] < id[first]))
            first = l;
    return id[first];
}

void cpu_nearest_code(Backend *be, Tensor x, Tensor codebook, Tensor ids)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = x.shape[0], v = codebook.shape[0], c = codebook.shape[1], ld = round_up(v, CODES);
    float *codes_t = cpu_scratch(cpu, SCRATCH_WORK, (size_t)(c * ld) * sizeof(float));
    if (!codes_t)
        return;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < ld; j++)
            codes_t[i * ld + j] = j < v ? ((const float *)codebook.data)[j * c + i] : INFINITY;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        ((int32_t *)ids.data)[r] = nearest((const float *)x.data + r * c, codes_t, ld, c);
}
