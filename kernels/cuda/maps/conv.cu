/* Convolutions: the choice of algorithm by shape. conv.h defines the terms, conv_tile.h and conv_fma.cu are the
 * kernels.
 *
 * 3x3 over a map enlarged x2 is folded into four 2x2 phases. Where squares of 16x16 output pixels cover the map well, a
 * block is one of them: with stride 1 and several taps its halo is staged once for all of them, and its statistics go
 * to the group norm that follows. Other maps are cut into runs of 256 pixels. */
#include "kernels/cuda/maps/conv.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/cuda/maps/map_stats.h"

namespace GPU_SPACE
{

enum { SIDE = 16, FEW_TILES = 4, SIDE_MOST = 15000 /* coordinates of an enlarged map are 16 bits in the kernel */ };

static bool folds(const ConvShape *s)
{
    return s->upsample && s->kh == 3 && s->kw == 3 && s->stride == 1 && s->pad_h == 1 && s->pad_w == 1;
}

static int padded_outputs(const Cuda *cuda, int c_out)
{
    int unit = c_out <= CONV_THIN && cuda->base.precision != PREC_F32 ? CONV_THIN : CONV_MIDDLE;
    return static_cast<int>(round_up(c_out, unit));
}

Conv *cuda_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                     Err *err)
{
    (void)h_hint, (void)w_hint; /* the tiling is chosen by the map's shape */
    Cuda *cuda = cuda_of(be);
    CudaConv *conv = static_cast<CudaConv *>(xcalloc(1, sizeof(*conv)));
    conv->base.shape = *shape;
    conv->phases = folds(shape) ? 4 : 1;
    conv->kh = folds(shape) ? 2 : shape->kh;
    conv->kw = folds(shape) ? 2 : shape->kw;
    conv->n = padded_outputs(cuda, shape->c_out);
    size_t bias_bytes = static_cast<size_t>(conv->n) * sizeof(float);
    conv->w = be_alloc(be, static_cast<size_t>(conv_packed_words(cuda, conv)) * 4, err);
    conv->bias = conv->w ? static_cast<float *>(be_alloc(be, bias_bytes, err)) : nullptr;
    if (!conv->bias || !conv_pack_weights(cuda, conv, w, err)) {
        cuda_conv_free(be, &conv->base);
        return nullptr;
    }
    gpu_fill(conv->bias, 0, bias_bytes, cuda->stream);
    if (bias)
        gpu_copy(conv->bias, bias, static_cast<size_t>(shape->c_out) * sizeof(float), cuda->stream);
    return &conv->base;
}

void cuda_conv_free(Backend *be, Conv *base)
{
    CudaConv *conv = reinterpret_cast<CudaConv *>(base);
    be_free(be, conv->w);
    be_free(be, conv->bias);
    free(conv);
}

static ConvCall call_of(const CudaConv *conv, FeatureMap x, FeatureMap residual, FeatureMap y)
{
    const ConvShape *s = &conv->base.shape;
    ConvCall c = {};
    c.x = x.data;
    c.residual = residual.data;
    c.y = y.data;
    c.w = conv->w;
    c.bias = conv->bias;
    c.w_words = conv->w_words;
    c.images = x.b;
    c.h = x.h;
    c.w_in = x.w;
    c.cx = map_channels(x.c);
    c.oh = y.h;
    c.ow = y.w;
    c.cy = map_channels(y.c);
    c.n = conv->n;
    c.kh = conv->kh;
    c.kw = conv->kw;
    c.stride = s->stride;
    c.phases = conv->phases;
    c.shrink = s->upsample && conv->phases == 1;
    c.origin_y = -s->pad_h;
    c.origin_x = -s->pad_w;
    c.gh = conv->phases == 1 ? y.h : x.h;
    c.gw = conv->phases == 1 ? y.w : x.w;
    c.relu = s->relu;
    return c;
}

/* How the tensor-core kernel cuts the map: by its shape, never by the batch. */
static void cut(ConvCall *c)
{
    c->tiles_y = (c->gh + SIDE - 1) / SIDE;
    c->tiles_x = (c->gw + SIDE - 1) / SIDE;
    int64_t covered = static_cast<int64_t>(c->tiles_y) * c->tiles_x * SIDE * SIDE;
    c->square = static_cast<int64_t>(c->gh) * c->gw * 4 >= covered * 3;
    c->halo =
        c->square && c->stride == 1 && c->kh * c->kw > 1 && (SIDE - 1 + c->kh) * (SIDE - 1 + c->kw) <= 2 * SIDE * SIDE;
    c->halo_w = c->halo ? SIDE - 1 + c->kw : SIDE;
    c->staged = c->halo ? c->halo_w * (SIDE - 1 + c->kh) : SIDE * SIDE;
}

/* On a small map narrow blocks: a single image then keeps more processors busy, and a batch loses a tenth of their
 * rate. */
static int block_channels(const ConvCall *c)
{
    if (c->n == CONV_THIN)
        return CONV_THIN;
    if (c->cy <= CONV_NARROW || c->tiles_x * c->tiles_y <= FEW_TILES)
        return CONV_NARROW;
    return c->n % CONV_WIDE == 0 ? CONV_WIDE : CONV_MIDDLE;
}

void cuda_conv(Backend *be, const Conv *base, FeatureMap x, FeatureMap residual, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    ConvCall c = call_of(reinterpret_cast<const CudaConv *>(base), x, residual, y);
    if (be->precision == PREC_F32) {
        conv_fma(cuda, c);
        return;
    }
    if (x.h > SIDE_MOST || x.w > SIDE_MOST) {
        backend_fail(be, ERR_INTERNAL, "be_conv: a map of %dx%d, CUDA takes sides up to %d", x.h, x.w, SIDE_MOST);
        return;
    }
    cut(&c);
    bool measured = c.square && !c.relu && c.n != CONV_THIN; /* no norm follows a network's end or a relu */
    if (measured && !(c.partials = stats_room(cuda, y, c.tiles_x * c.tiles_y * c.phases)))
        return;
    if (be->precision == PREC_F16)
        conv_tile_f16(cuda, c, block_channels(&c));
    else if (be->precision == PREC_BF16)
        conv_tile_bf16(cuda, c, block_channels(&c));
    else
        conv_tile_tf32(cuda, c, block_channels(&c));
}

} // namespace GPU_SPACE
