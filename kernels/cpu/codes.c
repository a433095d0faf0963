/* Choosing ids: the largest logit without keeping the logits, and the nearest row of a codebook. */
#include <math.h>

#include "kernels/cpu/linear.h"

/* --- argmax of a product ------------------------------------------------------------------------------ */

/* Logits live for one panel of codes and LINEAR_ROWS rows. There is a run of panels for each thread, which
 * keeps, for each row and each column of a panel, the largest and second largest so far; the rest is decided at the
 * end. */
typedef struct Top {
    float best[PANEL], second[PANEL];
    int32_t id[PANEL];
} Top;

static void tops_clear(Top *tops, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < PANEL; c++) {
            tops[r].best[c] = tops[r].second[c] = -INFINITY;
            tops[r].id[c] = 0;
        }
}

/* An earlier code wins a tie; NaN never wins. */
CPU_CLONES static void tops_update(Top *restrict tops, const float *restrict logits, int rows, int32_t first)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < PANEL; c++) {
            float x = logits[r * PANEL + c], best = tops[r].best[c], second = tops[r].second[c];
            float loser = x > best ? best : x;
            tops[r].second[c] = loser > second ? loser : second;
            tops[r].id[c] = x > best ? first + c : tops[r].id[c];
            tops[r].best[c] = x > best ? x : best;
        }
}

/* One row over all runs' tops: the largest, the lowest id among equals, and what it is ahead of the next. */
static void tops_decide(const Top *tops, int runs, int64_t rows, int64_t r, int64_t n, int32_t *ret_id,
                        float *ret_margin)
{
    float best = -INFINITY, second = -INFINITY;
    int32_t id = 0;
    for (int run = 0; run < runs; run++) {
        const Top *top = &tops[run * rows + r];
        for (int c = 0; c < PANEL; c++) {
            bool wins = top->best[c] > best || (top->best[c] == best && top->id[c] < id);
            float loser = wins ? best : top->best[c];
            second = fmaxf(second, fmaxf(loser, top->second[c]));
            id = wins ? top->id[c] : id;
            best = wins ? top->best[c] : best;
        }
    }
    *ret_id = id;
    if (ret_margin)
        *ret_margin = n > 1 ? best - second : 0;
}

static void argmax_panel(const Cpu *cpu, const Linear *head, const LinearInput *in, int64_t rows, int64_t panel,
                         Top *tops)
{
    float logits[LINEAR_ROWS * PANEL];
    int64_t columns = head->n - panel * PANEL;
    for (int64_t r = 0; r < rows; r += LINEAR_ROWS) {
        int count = (int)(rows - r < LINEAR_ROWS ? rows - r : LINEAR_ROWS);
        linear_panel(cpu, head, in, r, count, panel, logits, PANEL, false);
        for (int i = 0; i < count && columns < PANEL; i++)
            for (int64_t c = columns; c < PANEL; c++)
                logits[i * PANEL + c] = -INFINITY; /* no codes */
        tops_update(tops + r, logits, count, (int32_t)(panel * PANEL));
    }
}

void cpu_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = x.shape[0], panels = linear_panels(head);
    Top *tops = cpu_scratch(cpu, SCRATCH_WORK, (size_t)(cpu->threads * rows) * sizeof(*tops));
    LinearInput in;
    if (!tops || !linear_input(cpu, head, x.data, rows, &in))
        return;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int run = 0; run < cpu->threads; run++) {
        tops_clear(tops + run * rows, rows);
        /* in rising order, so that the first of equal logits is kept */
        for (int64_t p = part_start(panels, run, cpu->threads); p < part_start(panels, run + 1, cpu->threads); p++)
            argmax_panel(cpu, head, &in, rows, p, tops + run * rows);
    }
    for (int64_t r = 0; r < rows; r++)
        tops_decide(tops, cpu->threads, rows, r, head->n, (int32_t *)ids.data + r,
                    margin.data ? (float *)margin.data + r : NULL);
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
