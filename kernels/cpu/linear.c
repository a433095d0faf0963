/* Matrix products with packed weights: y[R,N] = x[R,K] w^T + bias (+ y).
 *
 * Weights lie in panels of 32 columns, [panel][K][32], so that a task streams one panel, which stays in L2 while its
 * rows go by. A row's sum runs over K in order whatever rows are beside it and however tasks are cut: results do not
 * depend on the batch or on the threads. In bf16, panels and rows are pairs of rounded values and products are exact in
 * f32. */
#include "kernels/cpu/linear.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

typedef struct CpuLinear {
    Linear base;
    float *panels;         /* f32, or */
    uint32_t *panels_bf16; /* [panel][pairs][width] of two rows of K; one of them is NULL */
    float *bias;           /* padded to blocks, or NULL */
} CpuLinear;

static int64_t pairs_of(int64_t k)
{
    return (k + 1) / 2;
}

/* --- rounding ----------------------------------------------------------------------------------------- */

/* Nearest even. */
static inline uint32_t bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40; /* rounding could carry a NaN into infinity */
    return (bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
}

CPU_CLONES static void round_row(const float *restrict x, int64_t k, uint32_t *restrict pairs)
{
    for (int64_t i = 0; i < k / 2; i++)
        pairs[i] = bf16_of(x[2 * i]) | bf16_of(x[2 * i + 1]) << 16;
    if (k % 2)
        pairs[k / 2] = bf16_of(x[k - 1]);
}

bool linear_input(Cpu *cpu, const Linear *linear, const float *x, int64_t rows, LinearInput *ret_input)
{
    *ret_input = (LinearInput){.x = x};
    if (cpu->base.precision != PREC_BF16)
        return true;
    int64_t k = linear->k, pairs = pairs_of(k);
    uint32_t *rounded = cpu_scratch(cpu, SCRATCH_INPUT, (size_t)(rows * pairs) * sizeof(*rounded));
    if (!rounded)
        return false;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        round_row(x + r * k, k, rounded + r * pairs);
    ret_input->pairs = rounded;
    return true;
}

/* --- weights -------------------------------------------------------------------------------------------- */

int64_t linear_panels(const Linear *linear)
{
    return (linear->n + PANEL - 1) / PANEL;
}

int linear_panel_width(const Linear *linear, int64_t panel)
{
    return linear->n - panel * PANEL > BLOCK ? PANEL : BLOCK;
}

static void pack_panel(CpuLinear *linear, const float *w, int64_t panel)
{
    int64_t n = linear->base.n, k = linear->base.k, width = linear_panel_width(&linear->base, panel);
    for (int64_t c = 0; c < width; c++) {
        const float *row = panel * PANEL + c < n ? w + (panel * PANEL + c) * k : NULL;
        for (int64_t i = 0; linear->panels && i < k; i++)
            linear->panels[panel * PANEL * k + i * width + c] = row ? row[i] : 0;
        for (int64_t i = 0; linear->panels_bf16 && i < pairs_of(k); i++) {
            uint32_t low = row ? bf16_of(row[2 * i]) : 0, high = row && 2 * i + 1 < k ? bf16_of(row[2 * i + 1]) : 0;
            linear->panels_bf16[panel * PANEL * pairs_of(k) + i * width + c] = low | high << 16;
        }
    }
}

Linear *cpu_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err)
{
    CpuLinear *linear = xcalloc(1, sizeof(*linear));
    linear->base = (Linear){.n = n, .k = k};
    bool bf16 = be->precision == PREC_BF16;
    int64_t columns = round_up(n, BLOCK);
    void *panels = be_alloc(be, (size_t)(columns * (bf16 ? pairs_of(k) : k)) * sizeof(float), err);
    linear->panels = bf16 ? NULL : panels;
    linear->panels_bf16 = bf16 ? panels : NULL;
    linear->bias = panels && bias ? be_alloc(be, (size_t)columns * sizeof(float), err) : NULL;
    if (!panels || (bias && !linear->bias)) {
        cpu_linear_free(be, &linear->base);
        return NULL;
    }
    if (bias) {
        memset(linear->bias, 0, (size_t)columns * sizeof(float));
        memcpy(linear->bias, bias, (size_t)n * sizeof(float));
    }
#pragma omp parallel for num_threads(cpu_of(be)->threads) schedule(static)
    for (int64_t panel = 0; panel < linear_panels(&linear->base); panel++)
        pack_panel(linear, w, panel);
    return &linear->base;
}

void cpu_linear_free(Backend *be, Linear *base)
{
    CpuLinear *linear = (CpuLinear *)base;
    be_free(be, linear->panels);
    be_free(be, linear->panels_bf16);
    be_free(be, linear->bias);
    free(linear);
}

/* --- running ---------------------------------------------------------------------------------------------- */

void linear_panel(const Cpu *cpu, const Linear *base, const LinearInput *in, int64_t first, int rows, int64_t panel,
                  float *y, size_t y_row, bool accumulate)
{
    static const size_t one_segment = 0;
    const CpuLinear *linear = (const CpuLinear *)base;
    int64_t k = base->k, pairs = pairs_of(k);
    const float *bias = linear->bias ? linear->bias + panel * PANEL : NULL;
    int width = linear_panel_width(base, panel);
    if (in->pairs) {
        ProductBf16 product = {.x = in->pairs + first * pairs,
                               .pairs = (int)pairs,
                               .u = linear->panels_bf16 + panel * PANEL * pairs,
                               .width = width,
                               .bias = bias,
                               .residual = accumulate ? y : NULL,
                               .y = y,
                               .y_row = y_row};
        isa_product_bf16(&product, rows);
        return;
    }
    Product product = {.x = in->x + first * k,
                       .x_row = (size_t)k,
                       .segments = &one_segment,
                       .nsegments = 1,
                       .depth = (int)k,
                       .u = linear->panels + panel * PANEL * k,
                       .u_row = (size_t)width,
                       .width = width,
                       .bias = bias,
                       .residual = accumulate ? y : NULL,
                       .y = y,
                       .y_row = y_row,
                       .y_block = BLOCK};
    cpu->isa->product(&product, rows);
}

/* The last panel when N is no multiple of a block: through a tile with whole blocks. */
static void ragged_panel(const Cpu *cpu, const Linear *base, const LinearInput *in, int64_t first, int rows,
                         int64_t panel, float *y, bool accumulate)
{
    float tile[LINEAR_ROWS * PANEL];
    int64_t columns = base->n - panel * PANEL;
    linear_panel(cpu, base, in, first, rows, panel, tile, PANEL, false);
    for (int r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            y[r * base->n + c] = accumulate ? tile[r * PANEL + c] + y[r * base->n + c] : tile[r * PANEL + c];
}

void cpu_linear(Backend *be, const Linear *base, Tensor x, Tensor y, bool accumulate)
{
    Cpu *cpu = cpu_of(be);
    int64_t rows = x.shape[0], n = base->n, chunks = (rows + LINEAR_ROWS - 1) / LINEAR_ROWS;
    int64_t panels = linear_panels(base);
    LinearInput in;
    if (!linear_input(cpu, base, x.data, rows, &in))
        return;
    /* One panel's chunks go to one thread, which then has it in L2, unless there are too few panels. */
    int64_t together = panels < 4 * cpu->threads ? 1 : chunks;
#pragma omp parallel for num_threads(cpu->threads) schedule(dynamic, together)
    for (int64_t task = 0; task < panels * chunks; task++) {
        int64_t panel = task / chunks, first = task % chunks * LINEAR_ROWS;
        int count = (int)(rows - first < LINEAR_ROWS ? rows - first : LINEAR_ROWS);
        float *out = (float *)y.data + first * n + panel * PANEL;
        if (n - panel * PANEL < linear_panel_width(base, panel))
            ragged_panel(cpu, base, &in, first, count, panel, out, accumulate);
        else
            linear_panel(cpu, base, &in, first, count, panel, out, (size_t)n, accumulate);
    }
}
