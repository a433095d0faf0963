/* Convolutions: oneDNN on maps of 16-channel blocks, one image after the other.
 *
 * Image by image keeps a layer's maps in L3 and makes every image's result independent of its batch. Channels are padded
 * to 16 with zero weights. 3x3 convolutions with stride 1 use Winograd F(4x4,3x3), which needs 2.25 to 4 times fewer
 * multiplications at an error of about 2e-6; whatever it does not take runs directly.
 * Packed weights are in the layout of the kernel that serves the hinted size. A kernel is made for each further size that
 * a convolution meets; if it wants another layout the weights are packed again beside the first. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/primitive.h"
#include "kernels/cpu/winograd.h"

/* A kernel for one input size, with or without the sum. */
typedef struct ConvPlan {
    struct ConvPlan *next;
    int h, w; /* after enlarging */
    bool sum;
    Primitive primitive;
    void *weights; /* in this kernel's layout */
    bool owns_weights;
} ConvPlan;

typedef struct CpuConv {
    Conv base;
    int64_t dims[4]; /* of the padded weights: c_out, c_in, kh, kw */
    float *plain;    /* padded weights, OIHW */
    float *bias;     /* padded, or NULL */
    ConvPlan *plans;
    Winograd *winograd; /* NULL: plans run it */
} CpuConv;

static int out_size(int in, int kernel, int stride, int pad)
{
    return (in + 2 * pad - kernel) / stride + 1;
}

/* Which algorithm to ask for, most wanted first. */
static bool make_primitive(Cpu *cpu, const CpuConv *conv, ConvPlan *plan, Err *err)
{
    const ConvShape *s = &conv->base.shape;
    dnnl_data_type_t type = cpu->base.precision == PREC_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t x = primitive_dense(type, dnnl_nChw16c, 4, (int64_t[]){1, conv->dims[1], plan->h, plan->w});
    dnnl_memory_desc_t y = primitive_dense(dnnl_f32, dnnl_nChw16c, 4,
                                           (int64_t[]){1, conv->dims[0], out_size(plan->h, s->kh, s->stride, s->pad_h),
                                                       out_size(plan->w, s->kw, s->stride, s->pad_w)});
    dnnl_memory_desc_t w = primitive_dense(type, dnnl_format_tag_any, 4, conv->dims);
    dnnl_memory_desc_t bias = primitive_dense(dnnl_f32, dnnl_a, 1, conv->dims);
    bool winograd = type == dnnl_f32 && s->kh == 3 && s->kw == 3 && s->stride == 1 && s->pad_h <= 1 && s->pad_w <= 1;
    dnnl_primitive_attr_t attr = primitive_attr(plan->sum, s->relu);
    for (int i = winograd ? 0 : 1; i < 2 && !plan->primitive.handle; i++) {
        dnnl_convolution_desc_t desc;
        const dnnl_dims_t stride = {s->stride, s->stride}, pad = {s->pad_h, s->pad_w};
        if (dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference,
                                               i == 0 ? dnnl_convolution_winograd : dnnl_convolution_direct, &x, &w,
                                               conv->bias ? &bias : NULL, &y, stride, pad, pad) == dnnl_success)
            primitive_make(cpu, &plan->primitive, &desc, attr, err);
    }
    dnnl_primitive_attr_destroy(attr);
    if (!plan->primitive.handle)
        return err_wrap(err, "convolution [%d,%d,%d,%d] at %dx%d", s->c_out, s->c_in, s->kh, s->kw, plan->h, plan->w);
    const int args[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
    for (int i = 0; i < (conv->bias ? 4 : 3); i++)
        primitive_arg(cpu, &plan->primitive, args[i]);
    return true;
}

static bool pack_weights(Cpu *cpu, const CpuConv *conv, ConvPlan *plan, Err *err)
{
    const dnnl_memory_desc_t *layout = primitive_md(&plan->primitive, DNNL_ARG_WEIGHTS);
    for (ConvPlan *other = conv->plans; other; other = other->next)
        if (dnnl_memory_desc_equal(layout, primitive_md(&other->primitive, DNNL_ARG_WEIGHTS))) {
            plan->weights = other->weights;
            return true;
        }
    dnnl_memory_desc_t plain = primitive_dense(dnnl_f32, dnnl_oihw, 4, conv->dims);
    plan->weights = be_alloc(&cpu->base, dnnl_memory_desc_get_size(layout), err);
    plan->owns_weights = plan->weights != NULL;
    return plan->weights && primitive_reorder(cpu, &plain, conv->plain, layout, plan->weights, err);
}

static void plan_free(Cpu *cpu, ConvPlan *plan)
{
    if (plan->owns_weights)
        be_free(&cpu->base, plan->weights);
    primitive_done(&plan->primitive);
    free(plan);
}

static ConvPlan *plan_get(Cpu *cpu, CpuConv *conv, int h, int w, bool sum, Err *err)
{
    for (ConvPlan *plan = conv->plans; plan; plan = plan->next)
        if (plan->h == h && plan->w == w && plan->sum == sum)
            return plan;
    ConvPlan *plan = xcalloc(1, sizeof(*plan));
    *plan = (ConvPlan){.h = h, .w = w, .sum = sum};
    if (!make_primitive(cpu, conv, plan, err) || !pack_weights(cpu, conv, plan, err)) {
        plan_free(cpu, plan);
        return NULL;
    }
    plan->next = conv->plans;
    return conv->plans = plan;
}

static bool pad_weights(Backend *be, CpuConv *conv, const float *w, const float *bias, Err *err)
{
    const ConvShape *s = &conv->base.shape;
    size_t taps = (size_t)s->kh * (size_t)s->kw, row = (size_t)conv->dims[1] * taps;
    size_t bytes = (size_t)conv->dims[0] * row * sizeof(float), bias_bytes = (size_t)conv->dims[0] * sizeof(float);
    conv->plain = be_alloc(be, bytes, err);
    conv->bias = conv->plain && bias ? be_alloc(be, bias_bytes, err) : NULL;
    if (!conv->plain || (bias && !conv->bias))
        return false;
    memset(conv->plain, 0, bytes);
    for (int o = 0; o < s->c_out; o++)
        memcpy(conv->plain + (size_t)o * row, w + (size_t)o * (size_t)s->c_in * taps,
               (size_t)s->c_in * taps * sizeof(float));
    if (bias) {
        memset(conv->bias, 0, bias_bytes);
        memcpy(conv->bias, bias, (size_t)s->c_out * sizeof(float));
    }
    return true;
}

Conv *cpu_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                    Err *err)
{
    CpuConv *conv = xcalloc(1, sizeof(*conv));
    int scale = shape->upsample ? 2 : 1;
    *conv = (CpuConv){.base = {.shape = *shape},
                      .dims = {map_blocks(shape->c_out) * MAP_BLOCK, map_blocks(shape->c_in) * MAP_BLOCK, shape->kh,
                               shape->kw}};
    if (be->precision == PREC_F32 && winograd_takes(shape)) {
        conv->winograd = winograd_pack(be, w, bias, shape, err);
        if (conv->winograd)
            return &conv->base;
    } else if (pad_weights(be, conv, w, bias, err) && plan_get(cpu_of(be), conv, h_hint * scale, w_hint * scale, false, err))
        return &conv->base;
    cpu_conv_free(be, &conv->base);
    return NULL;
}

void cpu_conv_free(Backend *be, Conv *base)
{
    CpuConv *conv = (CpuConv *)base;
    while (conv->plans) {
        ConvPlan *plan = conv->plans;
        conv->plans = plan->next;
        plan_free(cpu_of(be), plan);
    }
    winograd_free(be, conv->winograd);
    be_free(be, conv->plain);
    be_free(be, conv->bias);
    free(conv);
}

/* --- running --------------------------------------------------------------------------------------- */

/* [blocks][h][w][16] -> [blocks][2h][2w][16], each pixel four times. */
static float *enlarge(Cpu *cpu, const Map *x, int b)
{
    size_t row = (size_t)x->w * MAP_BLOCK, rows = map_image_floats(x) / row;
    float *y = cpu_scratch(cpu, SCRATCH_WORK, 4 * map_image_floats(x) * sizeof(float));
    if (!y)
        return NULL;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (size_t i = 0; i < rows; i++) {
        const float *in = map_image(x, b) + i * row;
        float *out = y + 4 * i * row;
        for (size_t j = 0; j < row; j += MAP_BLOCK) {
            memcpy(out + 2 * j, in + j, MAP_BLOCK * sizeof(float));
            memcpy(out + 2 * j + MAP_BLOCK, in + j, MAP_BLOCK * sizeof(float));
        }
        memcpy(out + 2 * row, out, 2 * row * sizeof(float));
    }
    return y;
}

static void run_winograd(Cpu *cpu, const Winograd *winograd, const Map *x, const Map *residual, const Map *y)
{
    for (int b = 0; b < x->b && !cpu->base.failed; b++) {
        WinogradCall call = {.x = map_image(x, b), .h = x->h, .w = x->w,
                             .residual = residual->data ? map_image(residual, b) : NULL, .y = map_image(y, b)};
        winograd_run(cpu, winograd, &call);
    }
}

void cpu_conv(Backend *be, const Conv *base, Map x, Map residual, Map y)
{
    Cpu *cpu = cpu_of(be);
    CpuConv *conv = (CpuConv *)base;
    if (conv->winograd) {
        run_winograd(cpu, conv->winograd, &x, &residual, &y);
        return;
    }
    int scale = base->shape.upsample ? 2 : 1;
    Err err = {0};
    ConvPlan *plan = plan_get(cpu, conv, x.h * scale, x.w * scale, residual.data != NULL, &err);
    if (!plan) {
        backend_fail(be, err.kind, "be_conv: %s", err.text);
        return;
    }
    for (int b = 0; b < x.b && !be->failed; b++) {
        void *in = scale == 2 ? enlarge(cpu, &x, b) : map_image(&x, b);
        if (in && be->precision == PREC_BF16)
            in = bf16_from_f32(cpu, in, (int64_t)map_image_floats(&x) * scale * scale);
        if (!in)
            return;
        /* the sum adds to what y holds */
        if (residual.data && residual.data != y.data)
            memcpy(map_image(&y, b), map_image(&residual, b), map_image_floats(&y) * sizeof(float));
        primitive_run(cpu, &plan->primitive, (void *[]){in, plan->weights, map_image(&y, b), conv->bias});
    }
}
