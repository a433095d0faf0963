/* Matrix products with packed weights: oneDNN's inner product.
 *
 * y[R,N] = x[R,K] w^T + bias (+ y). Weights are in the layout that oneDNN's kernel for many rows likes; every row count
 * uses the same layout. Primitives are made for certain row counts and a call is cut into those, largest first.
 *
 * Batch invariance: the brgemm kernels (AVX-512) sum a row's products in an order that does not depend on how many rows
 * are in the call; the test of ops holds them to it over all row counts. Of other kernels this is not known, so there
 * every call is cut into panels of one size, the last one filled up with zero rows. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/primitive.h"

enum { PANEL = 16, ROWS_SMALL = 16 };

/* Row counts with a primitive of their own: 1..16 (decoding one token is bound by reading the weights, so its rows must
 * not be cut), then powers of two. */
static const int large_rows[] = {32, 64, 128, 256};

/* One for each (N, K, bias), shared by all layers of that shape. */
typedef struct LinearPlan {
    struct LinearPlan *next;
    int64_t n, k;
    bool bias;
    bool fixed_panels;
    dnnl_memory_desc_t weights;
    Primitive rows[ROWS_SMALL + countof(large_rows)][2]; /* [1]: accumulate */
} LinearPlan;

typedef struct CpuLinear {
    Linear base;
    LinearPlan *plan;
    void *w;
    float *bias;
} CpuLinear;

static bool plan_primitive(Cpu *cpu, LinearPlan *plan, Primitive *p, int64_t rows, bool accumulate, Err *err)
{
    dnnl_data_type_t type = cpu->base.precision == PREC_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t x = primitive_dense(type, dnnl_ab, 2, (int64_t[]){rows, plan->k});
    dnnl_memory_desc_t y = primitive_dense(dnnl_f32, dnnl_ab, 2, (int64_t[]){rows, plan->n});
    dnnl_memory_desc_t bias = primitive_dense(dnnl_f32, dnnl_a, 1, (int64_t[]){plan->n});
    dnnl_inner_product_desc_t desc;
    dnnl_primitive_attr_t attr = primitive_attr(accumulate, false);
    bool good = dnnl_inner_product_forward_desc_init(&desc, dnnl_forward_inference, &x, &plan->weights,
                                                     plan->bias ? &bias : NULL, &y) == dnnl_success
                    ? primitive_make(cpu, p, &desc, attr, err)
                    : err_set(err, ERR_DEVICE, "oneDNN refuses the product");
    dnnl_primitive_attr_destroy(attr);
    if (!good)
        return err_wrap(err, "product of %lld rows [%lld,%lld]", (long long)rows, (long long)plan->n,
                        (long long)plan->k);
    primitive_arg(cpu, p, DNNL_ARG_SRC);
    primitive_arg(cpu, p, DNNL_ARG_WEIGHTS);
    primitive_arg(cpu, p, DNNL_ARG_DST);
    if (plan->bias)
        primitive_arg(cpu, p, DNNL_ARG_BIAS);
    return true;
}

/* The plan's first primitive, for the most rows, chooses the weights' layout. */
static LinearPlan *plan_get(Cpu *cpu, int64_t n, int64_t k, bool bias, Err *err)
{
    for (LinearPlan *p = cpu->linear_plans; p; p = p->next)
        if (p->n == n && p->k == k && p->bias == bias)
            return p;
    LinearPlan *plan = xcalloc(1, sizeof(*plan));
    *plan = (LinearPlan){.n = n, .k = k, .bias = bias};
    dnnl_data_type_t type = cpu->base.precision == PREC_BF16 ? dnnl_bf16 : dnnl_f32;
    plan->weights = primitive_dense(type, dnnl_format_tag_any, 2, (int64_t[]){n, k});
    Primitive *first = &plan->rows[countof(plan->rows) - 1][0];
    if (!plan_primitive(cpu, plan, first, large_rows[countof(large_rows) - 1], false, err)) {
        free(plan);
        return NULL;
    }
    plan->weights = *primitive_md(first, DNNL_ARG_WEIGHTS);
    plan->fixed_panels = strncmp(primitive_name(first), "brgemm", 6) != 0;
    plan->next = cpu->linear_plans;
    return cpu->linear_plans = plan;
}

void cpu_linear_plans_free(Cpu *cpu)
{
    while (cpu->linear_plans) {
        LinearPlan *plan = cpu->linear_plans;
        cpu->linear_plans = plan->next;
        for (size_t i = 0; i < countof(plan->rows); i++)
            for (int j = 0; j < 2; j++)
                primitive_done(&plan->rows[i][j]);
        free(plan);
    }
}

Linear *cpu_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err)
{
    Cpu *cpu = cpu_of(be);
    LinearPlan *plan = plan_get(cpu, n, k, bias != NULL, err);
    if (!plan)
        return NULL;
    CpuLinear *linear = xcalloc(1, sizeof(*linear));
    *linear = (CpuLinear){.base = {.n = n, .k = k}, .plan = plan};
    linear->w = be_alloc(be, dnnl_memory_desc_get_size(&plan->weights), err);
    linear->bias = linear->w && bias ? be_alloc(be, (size_t)n * sizeof(float), err) : NULL;
    dnnl_memory_desc_t plain = primitive_dense(dnnl_f32, dnnl_ab, 2, (int64_t[]){n, k});
    if (!linear->w || (bias && !linear->bias) || !primitive_reorder(cpu, &plain, w, &plan->weights, linear->w, err)) {
        cpu_linear_free(be, &linear->base);
        return NULL;
    }
    if (bias)
        memcpy(linear->bias, bias, (size_t)n * sizeof(float));
    return &linear->base;
}

void cpu_linear_free(Backend *be, Linear *base)
{
    CpuLinear *linear = (CpuLinear *)base;
    be_free(be, linear->w);
    be_free(be, linear->bias);
    free(linear);
}

/* --- running --------------------------------------------------------------------------------------- */

/* The largest row count with a primitive that fits into what is left, and its place in plan->rows. */
static int64_t piece_rows(int64_t left, size_t *ret_slot)
{
    for (size_t i = countof(large_rows); i-- > 0;)
        if (left >= large_rows[i]) {
            *ret_slot = ROWS_SMALL + i;
            return large_rows[i];
        }
    int64_t rows = left < ROWS_SMALL ? left : ROWS_SMALL;
    *ret_slot = (size_t)rows - 1;
    return rows;
}

static void run_piece(Cpu *cpu, const CpuLinear *linear, size_t slot, int64_t rows, const void *x, float *y, bool accumulate)
{
    Primitive *p = &linear->plan->rows[slot][accumulate];
    Err err = {0};
    if (!p->handle && !plan_primitive(cpu, linear->plan, p, rows, accumulate, &err))
        backend_fail(&cpu->base, err.kind, "be_linear: %s", err.text);
    else
        primitive_run(cpu, p, (void *[]){(void *)x, linear->w, y, linear->bias});
}

/* Where only one row count is trusted: whole panels in place, the last one through a copy. */
static void run_panels(Cpu *cpu, const CpuLinear *linear, int64_t rows, const char *x, size_t x_row, float *y,
                       bool accumulate)
{
    int64_t n = linear->base.n, r = 0;
    for (; r + PANEL <= rows; r += PANEL)
        run_piece(cpu, linear, PANEL - 1, PANEL, x + (size_t)r * x_row, y + r * n, accumulate);
    if (r == rows)
        return;
    char *x_panel = cpu_scratch(cpu, SCRATCH_PANEL_X, PANEL * x_row);
    float *y_panel = cpu_scratch(cpu, SCRATCH_PANEL_Y, (size_t)(PANEL * n) * sizeof(float));
    if (!x_panel || !y_panel)
        return;
    size_t left = (size_t)(rows - r);
    memcpy(x_panel, x + (size_t)r * x_row, left * x_row);
    memset(x_panel + left * x_row, 0, (PANEL - left) * x_row);
    memset(y_panel, 0, (size_t)(PANEL * n) * sizeof(float));
    memcpy(y_panel, y + r * n, left * (size_t)n * sizeof(float));
    run_piece(cpu, linear, PANEL - 1, PANEL, x_panel, y_panel, accumulate);
    memcpy(y + r * n, y_panel, left * (size_t)n * sizeof(float));
}

void cpu_linear(Backend *be, const Linear *base, Tensor x, Tensor y, bool accumulate)
{
    Cpu *cpu = cpu_of(be);
    const CpuLinear *linear = (const CpuLinear *)base;
    int64_t rows = x.shape[0], k = base->k;
    const char *in = x.data;
    size_t x_row = (size_t)k * sizeof(float);
    if (be->precision == PREC_BF16) {
        in = bf16_from_f32(cpu, x.data, rows * k);
        x_row = (size_t)k * sizeof(uint16_t);
        if (!in)
            return;
    }
    if (linear->plan->fixed_panels) {
        run_panels(cpu, linear, rows, in, x_row, y.data, accumulate);
        return;
    }
    for (int64_t r = 0, n; r < rows && !be->failed; r += n) {
        size_t slot;
        n = piece_rows(rows - r, &slot);
        run_piece(cpu, linear, slot, n, in + (size_t)r * x_row, (float *)y.data + r * base->n, accumulate);
    }
}
