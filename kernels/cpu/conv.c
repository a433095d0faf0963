/* Convolutions: the choice of algorithm by shape, and the loop over images.
 *
 * Image by image keeps a layer's maps in L3 and makes every image's result independent of its batch. Channels are
 * padded to 16 with zero weights. 3x3 convolutions with stride 1 go to Winograd, which needs a quarter of the
 * multiplications but four times the weights; on a map of few tiles reading them costs more than it saves. All others
 * run directly. In bf16 convolutions stay in f32: Winograd in f32 is faster than a direct convolution in bf16. */
#include <stdlib.h>

#include "core/mem.h"
#include "kernels/cpu/direct.h"
#include "kernels/cpu/winograd.h"

enum { WINOGRAD_PIXELS = 100 /* of the input map, from which on Winograd is the faster one */ };

typedef struct CpuConv {
    Conv base;
    Winograd *winograd; /* one of them is NULL */
    Direct *direct;
} CpuConv;

Conv *cpu_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                    Err *err)
{
    CpuConv *conv = xcalloc(1, sizeof(*conv));
    conv->base.shape = *shape;
    if (winograd_takes(shape) && h_hint * w_hint >= WINOGRAD_PIXELS)
        conv->winograd = winograd_pack(be, w, bias, shape, err);
    else
        conv->direct = direct_pack(be, w, bias, shape, err);
    if (conv->winograd || conv->direct)
        return &conv->base;
    free(conv);
    return NULL;
}

void cpu_conv_free(Backend *be, Conv *base)
{
    CpuConv *conv = (CpuConv *)base;
    winograd_free(be, conv->winograd);
    direct_free(be, conv->direct);
    free(conv);
}

void cpu_conv(Backend *be, const Conv *base, FeatureMap x, FeatureMap residual, FeatureMap y)
{
    const CpuConv *conv = (const CpuConv *)base;
    for (int b = 0; b < x.b && !be->failed; b++) {
        ConvImage image = {.x = map_image(&x, b),
                           .h = x.h,
                           .w = x.w,
                           .residual = residual.data ? map_image(&residual, b) : NULL,
                           .y = map_image(&y, b)};
        if (conv->winograd)
            winograd_run(cpu_of(be), conv->winograd, &image);
        else
            direct_run(cpu_of(be), conv->direct, &image);
    }
}
