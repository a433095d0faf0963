/* Shape checks of the map ops (decoder, Inception), shared by all backends; backend.h has each op's maths. */
#include "kernels/backend.h"

#include "kernels/backend_ops.h"

#define WANT(name, dtype, ndim, ...) backend_want(be, op, #name, &(name), dtype, ndim, __VA_ARGS__)
#define WANT_MAP(name, ...)          backend_want_map(be, op, #name, &(name), __VA_ARGS__)
#define BEGIN(op_name)                                                                                                 \
    const char *op = #op_name;                                                                                         \
    if (!backend_begin(be, OP_##op_name))                                                                              \
    return

static int out_size(int in, int kernel, int stride, int pad)
{
    return in + 2 * pad < kernel ? 0 : (in + 2 * pad - kernel) / stride + 1;
}

Conv *be_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                   Err *err)
{
    const ConvShape *s = shape;
    bool good = w && s->c_in > 0 && s->c_out > 0 && s->kh > 0 && s->kw > 0 && s->stride > 0 && s->pad_h >= 0 &&
                s->pad_w >= 0 && s->pad_h < s->kh && s->pad_w < s->kw && h_hint > 0 && w_hint > 0;
    int scale = s->upsample ? 2 : 1;
    good = good && out_size(h_hint * scale, s->kh, s->stride, s->pad_h) > 0 &&
           out_size(w_hint * scale, s->kw, s->stride, s->pad_w) > 0;
    if (good)
        return be->ops->conv_pack(be, w, bias, shape, h_hint, w_hint, err);
    err_set(err, ERR_INTERNAL, "be_conv_pack: weights [%d,%d,%d,%d]%s, stride %d, padding %d,%d at %dx%d make no map",
            s->c_out, s->c_in, s->kh, s->kw, w ? "" : " without data", s->stride, s->pad_h, s->pad_w, h_hint, w_hint);
    return NULL;
}

void be_conv_free(Backend *be, Conv *conv)
{
    if (conv)
        be->ops->conv_free(be, conv);
}

void be_conv(Backend *be, const Conv *conv, FeatureMap x, FeatureMap residual, FeatureMap y)
{
    BEGIN(conv);
    const ConvShape *s = &conv->shape;
    int scale = s->upsample ? 2 : 1;
    if (x.data == y.data)
        backend_fail(be, ERR_INTERNAL, "be_conv: x and y are the same map, wanted two");
    else if (WANT_MAP(x, -1, -1, -1, s->c_in) &&
             WANT_MAP(y, x.b, out_size(x.h * scale, s->kh, s->stride, s->pad_h),
                      out_size(x.w * scale, s->kw, s->stride, s->pad_w), s->c_out) &&
             (!residual.data || WANT_MAP(residual, y.b, y.h, y.w, y.c)) && x.b)
        be->ops->conv(be, conv, x, residual, y);
}

void be_group_norm(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y)
{
    BEGIN(group_norm);
    if (!WANT_MAP(x, -1, -1, -1, -1) || !WANT(gamma, DTYPE_F32, 1, x.c, 0, 0, 0) ||
        !WANT(beta, DTYPE_F32, 1, x.c, 0, 0, 0) || !WANT_MAP(y, x.b, x.h, x.w, x.c))
        return;
    if (groups < 1 || x.c % groups)
        backend_fail(be, ERR_INTERNAL, "be_group_norm: %d channels do not divide into %d groups", x.c, groups);
    else if (x.b)
        be->ops->group_norm(be, x, gamma, beta, groups, silu, y);
}

void be_pixel_attention(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y)
{
    BEGIN(pixel_attention);
    if (WANT_MAP(q, -1, -1, -1, -1) && WANT_MAP(k, q.b, q.h, q.w, q.c) && WANT_MAP(v, q.b, q.h, q.w, q.c) &&
        WANT_MAP(y, q.b, q.h, q.w, q.c) && q.b)
        be->ops->pixel_attention(be, q, k, v, scale, y);
}

void be_map_from_rows(Backend *be, Tensor rows, FeatureMap y)
{
    BEGIN(map_from_rows);
    if (WANT_MAP(y, -1, -1, -1, -1) && WANT(rows, DTYPE_F32, 2, (int64_t)y.b * y.h * y.w, y.c, 0, 0) && y.b)
        be->ops->map_from_rows(be, rows, y);
}

void be_map_to_rows(Backend *be, FeatureMap x, Tensor rows)
{
    BEGIN(map_to_rows);
    if (WANT_MAP(x, -1, -1, -1, -1) && WANT(rows, DTYPE_F32, 2, (int64_t)x.b * x.h * x.w, x.c, 0, 0) && x.b)
        be->ops->map_to_rows(be, x, rows);
}

void be_to_u8(Backend *be, FeatureMap x, Tensor u8)
{
    BEGIN(to_u8);
    if (WANT_MAP(x, -1, -1, -1, 3) && WANT(u8, DTYPE_U8, 4, x.b, x.h, x.w, 3) && x.b)
        be->ops->to_u8(be, x, u8);
}

void be_resize_inception(Backend *be, Tensor u8, Resize pipeline, FeatureMap y)
{
    BEGIN(resize_inception);
    if (!WANT(u8, DTYPE_U8, 4, -1, -1, -1, 3) || !WANT_MAP(y, (int)u8.shape[0], 299, 299, 3))
        return;
    if (pipeline != RESIZE_PT && pipeline != RESIZE_TF)
        backend_fail(be, ERR_INTERNAL, "be_resize_inception: pipeline %d, wanted RESIZE_PT or RESIZE_TF",
                     (int)pipeline);
    else if (tensor_count(&u8))
        be->ops->resize_inception(be, u8, pipeline, y);
}

void be_pool(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y)
{
    BEGIN(pool);
    if (!WANT_MAP(x, -1, -1, -1, -1))
        return;
    if ((kind != POOL_MAX && kind != POOL_AVG) || size < 1 || stride < 1 || pad < 0 || pad >= size)
        backend_fail(be, ERR_INTERNAL, "be_pool: kind %d, size %d, stride %d, pad %d make no pool", (int)kind, size,
                     stride, pad);
    else if (WANT_MAP(y, x.b, out_size(x.h, size, stride, pad), out_size(x.w, size, stride, pad), x.c) && x.b)
        be->ops->pool(be, x, kind, size, stride, pad, y);
}

void be_concat(Backend *be, const FeatureMap *x, int n, FeatureMap y)
{
    BEGIN(concat);
    int c = 0;
    for (int i = 0; i < n; i++) {
        if (!WANT_MAP(x[i], y.b, y.h, y.w, -1))
            return;
        c += x[i].c;
    }
    if (n > 0 && WANT_MAP(y, -1, -1, -1, c) && y.b)
        be->ops->concat(be, x, n, y);
}

void be_global_mean(Backend *be, FeatureMap x, Tensor y)
{
    BEGIN(global_mean);
    if (WANT_MAP(x, -1, -1, -1, -1) && WANT(y, DTYPE_F32, 2, x.b, x.c, 0, 0) && x.b)
        be->ops->global_mean(be, x, y);
}
