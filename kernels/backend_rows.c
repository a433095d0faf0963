/* Shape checks of the row ops (transformers, statistics), shared by all backends; backend.h has each op's maths.
 * An op with zero rows is complete: it is counted and not passed on. */
#include "kernels/backend.h"

#include "kernels/backend_ops.h"

#define WANT(name, dtype, ndim, ...) backend_want(be, op, #name, &(name), dtype, ndim, __VA_ARGS__)

/* Nine ops in ten start so: nothing after a failure, a name for the messages. */
#define BEGIN(op_name)                                                                                                 \
    const char *op = #op_name;                                                                                         \
    if (!backend_begin(be, OP_##op_name))                                                                              \
    return

static bool want_range(Backend *be, const char *op, const char *name, int64_t value, int64_t lo, int64_t hi)
{
    if (value < lo || value > hi)
        backend_fail(be, ERR_INTERNAL, "be_%s: %s is %lld, wanted %lld..%lld", op, name, (long long)value,
                     (long long)lo, (long long)hi);
    return value >= lo && value <= hi;
}

Linear *be_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err)
{
    if (!w || n < 1 || k < 1) {
        err_set(err, ERR_INTERNAL, "be_linear_pack: weights [%lld,%lld]%s cannot be packed", (long long)n, (long long)k,
                w ? "" : " without data");
        return NULL;
    }
    return be->ops->linear_pack(be, w, bias, n, k, err);
}

void be_linear_free(Backend *be, Linear *linear)
{
    if (linear)
        be->ops->linear_free(be, linear);
}

void be_linear(Backend *be, const Linear *linear, Tensor x, Tensor y, bool accumulate)
{
    BEGIN(linear);
    if (WANT(x, DTYPE_F32, 2, -1, linear->k, 0, 0) && WANT(y, DTYPE_F32, 2, x.shape[0], linear->n, 0, 0) && x.shape[0])
        be->ops->linear(be, linear, x, y, accumulate);
}

void be_rms_norm(Backend *be, Tensor x, Tensor gain, Tensor y)
{
    BEGIN(rms_norm);
    if (WANT(x, DTYPE_F32, 2, -1, -1, 0, 0) && WANT(y, DTYPE_F32, 2, x.shape[0], x.shape[1], 0, 0) &&
        (!gain.data || WANT(gain, DTYPE_F32, 1, x.shape[1], 0, 0, 0)) && tensor_count(&x))
        be->ops->rms_norm(be, x, gain, y);
}

void be_layer_norm_modulate(Backend *be, Tensor x, Tensor shift_scale, Tensor y)
{
    BEGIN(layer_norm_modulate);
    if (WANT(x, DTYPE_F32, 3, -1, -1, -1, 0) && WANT(shift_scale, DTYPE_F32, 3, x.shape[0], 2, x.shape[2], 0) &&
        WANT(y, DTYPE_F32, 3, x.shape[0], x.shape[1], x.shape[2], 0) && tensor_count(&x))
        be->ops->layer_norm_modulate(be, x, shift_scale, y);
}

void be_swiglu(Backend *be, Tensor x, Tensor y)
{
    BEGIN(swiglu);
    if (WANT(y, DTYPE_F32, 2, -1, -1, 0, 0) && WANT(x, DTYPE_F32, 2, y.shape[0], 2 * y.shape[1], 0, 0) &&
        tensor_count(&y))
        be->ops->swiglu(be, x, y);
}

void be_embed_latents(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h)
{
    BEGIN(embed_latents);
    if (WANT(x, DTYPE_F32, 3, -1, -1, -1, 0) && WANT(w, DTYPE_F32, 2, -1, x.shape[2], 0, 0) &&
        WANT(bias, DTYPE_F32, 1, w.shape[0], 0, 0, 0) && WANT(nd, DTYPE_F32, 2, 2, w.shape[0], 0, 0) &&
        WANT(h, DTYPE_F32, 3, x.shape[0], x.shape[1], w.shape[0], 0) && tensor_count(&h))
        be->ops->embed_latents(be, x, w, bias, nd, first, known, h);
}

void be_gather(Backend *be, Tensor table, Tensor ids, Tensor y)
{
    BEGIN(gather);
    if (WANT(ids, DTYPE_I32, 1, -1, 0, 0, 0) && WANT(table, DTYPE_F32, 2, -1, -1, 0, 0) &&
        WANT(y, DTYPE_F32, 2, ids.shape[0], table.shape[1], 0, 0) && tensor_count(&y))
        be->ops->gather(be, table, ids, y);
}

/* The shapes that rope_split and attention share; hd must be even because channels turn in pairs. */
static bool want_heads(Backend *be, const char *op, int64_t d, int heads, int64_t first, int64_t t, const Tensor *k)
{
    return want_range(be, op, "heads", heads, 1, d) && want_range(be, op, "D modulo heads", d % heads, 0, 0) &&
           want_range(be, op, "head size modulo 2", d / heads % 2, 0, 0) &&
           want_range(be, op, "first", first, 0, k->shape[2] - t);
}

void be_slice(Backend *be, Tensor x, int from, Tensor y)
{
    BEGIN(slice);
    if (WANT(x, DTYPE_F32, 3, -1, -1, -1, 0) && WANT(y, DTYPE_F32, 3, x.shape[0], -1, x.shape[2], 0) &&
        want_range(be, op, "from", from, 0, x.shape[1] - y.shape[1]) && tensor_count(&y))
        be->ops->slice(be, x, from, y);
}

void be_rope_split(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v)
{
    BEGIN(rope_split);
    if (!WANT(q, DTYPE_F32, 3, -1, -1, -1, 0) || !WANT(k, DTYPE_F32, 4, q.shape[0], heads, -1, -1) ||
        !want_heads(be, op, q.shape[2], heads, first, q.shape[1], &k))
        return;
    int64_t hd = q.shape[2] / heads;
    if (WANT(k, DTYPE_F32, 4, q.shape[0], heads, -1, hd) && WANT(v, DTYPE_F32, 4, q.shape[0], heads, k.shape[2], hd) &&
        WANT(qkv, DTYPE_F32, 3, q.shape[0], q.shape[1], 3 * q.shape[2], 0) &&
        WANT(cos_sin, DTYPE_F32, 3, -1, hd / 2, 2, 0) &&
        want_range(be, op, "first + T", first + q.shape[1], 0, cos_sin.shape[0]) && tensor_count(&q))
        be->ops->rope_split(be, qkv, cos_sin, heads, first, q, k, v);
}

void be_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y)
{
    BEGIN(attention);
    if (!WANT(q, DTYPE_F32, 3, -1, -1, -1, 0) || !WANT(k, DTYPE_F32, 4, q.shape[0], heads, -1, -1) ||
        !want_heads(be, op, q.shape[2], heads, first, q.shape[1], &k))
        return;
    int64_t hd = q.shape[2] / heads;
    if (WANT(k, DTYPE_F32, 4, q.shape[0], heads, -1, hd) && WANT(v, DTYPE_F32, 4, q.shape[0], heads, k.shape[2], hd) &&
        WANT(v_class, DTYPE_F32, 2, q.shape[0], q.shape[2], 0, 0) &&
        WANT(y, DTYPE_F32, 3, q.shape[0], q.shape[1], q.shape[2], 0) && tensor_count(&q))
        be->ops->attention(be, q, k, v, v_class, heads, first, y);
}

void be_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin)
{
    BEGIN(argmax_linear);
    if (WANT(x, DTYPE_F32, 2, -1, head->k, 0, 0) && WANT(ids, DTYPE_I32, 1, x.shape[0], 0, 0, 0) &&
        (!margin.data || WANT(margin, DTYPE_F32, 1, x.shape[0], 0, 0, 0)) && x.shape[0])
        be->ops->argmax_linear(be, head, x, ids, margin);
}

void be_cfg(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y)
{
    BEGIN(cfg);
    const int64_t *s = y.shape;
    if (want_range(be, op, "ndim", y.ndim, 1, 4) && WANT(y, DTYPE_F32, y.ndim, s[0], s[1], s[2], s[3]) &&
        WANT(cond, DTYPE_F32, y.ndim, s[0], s[1], s[2], s[3]) &&
        WANT(uncond, DTYPE_F32, y.ndim, s[0], s[1], s[2], s[3]) && tensor_count(&y))
        be->ops->cfg(be, cond, uncond, scale, y);
}

void be_sample(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids,
               Tensor probs)
{
    BEGIN(sample);
    if (WANT(logits, DTYPE_F32, 2, -1, -1, 0, 0) && want_range(be, op, "V", logits.shape[1], 1, INT32_MAX) &&
        want_range(be, op, "top_k", top_k, 0, INT32_MAX) &&
        (!uniform.data || WANT(uniform, DTYPE_F32, 1, logits.shape[0], 0, 0, 0)) &&
        WANT(ids, DTYPE_I32, 1, logits.shape[0], 0, 0, 0) &&
        (!probs.data || WANT(probs, DTYPE_F32, 2, logits.shape[0], logits.shape[1], 0, 0)) && logits.shape[0])
        be->ops->sample(be, logits, top_k, top_p, temperature, uniform, ids, probs);
}

void be_nearest_code(Backend *be, Tensor x, Tensor codebook, Tensor ids)
{
    BEGIN(nearest_code);
    if (WANT(x, DTYPE_F32, 2, -1, -1, 0, 0) && WANT(codebook, DTYPE_F32, 2, -1, x.shape[1], 0, 0) &&
        want_range(be, op, "V", codebook.shape[0], 1, INT32_MAX) && WANT(ids, DTYPE_I32, 1, x.shape[0], 0, 0, 0) &&
        x.shape[0])
        be->ops->nearest_code(be, x, codebook, ids);
}
