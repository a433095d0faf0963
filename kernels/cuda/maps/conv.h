/* Convolutions: the result of packing and the arguments of a launch. conv.cu has the table's functions, conv_pack.cu
 * the weights, conv_tile.h the tensor-core kernel (its three types in conv_f16.cu, conv_bf16.cu, conv_tf32.cu),
 * conv_fma.cu the kernel of f32.
 *
 * Every convolution here is a product: a row is an output pixel, a column an output channel, and the sum runs over
 * input channels and taps. Terms:
 *   slice    64 bytes of a pixel's channels, 32 or 16 of them: what is staged in shared memory at a time
 *   step     32 bytes of them, 16 or 8: one tensor-core product's k
 *   tap      a position of the kernel, row * kw + column
 *   phase    an output pixel's place in its 2x2 square when the input is enlarged. A 3x3 kernel over a map enlarged by
 *            nearest x2 meets only 2x2 input pixels, so its weights are summed into four 2x2 kernels, one a phase, and
 *            the enlarged map is never read: 2.25 times fewer products
 *   grid     the output pixels of one phase, gh x gw of an image; without phases all of them
 * A sum runs over slices, in a slice over taps, in a tap over steps: in every tiling, so that the choice of tiling,
 * which depends on the shape alone, does not change the bits. */
#ifndef KERNELS_CUDA_MAPS_CONV_H
#define KERNELS_CUDA_MAPS_CONV_H

#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

enum { CONV_WIDE = 128, CONV_MIDDLE = 64, CONV_NARROW = 32, CONV_THIN = 8 }; /* output channels of a block */

struct CudaConv {
    Conv base;
    int phases;      /* 4: enlarged and folded, else 1 */
    int kh, kw;      /* of a phase */
    int n;           /* output channels with padding for the tiles: CONV_THIN, else a multiple of CONV_MIDDLE */
    void *w;         /* as conv_pack.cu lays them out */
    float *bias;     /* [n], zeros where there is none */
    int64_t w_words; /* 32-bit words of a phase */
};

/* The arguments of a kernel, by value. Maps are NHWC with cx, cy channels. */
struct ConvCall {
    const void *x, *residual, *w;
    const float *bias;
    void *y;
    int64_t w_words;
    int images, h, w_in, cx, oh, ow, cy, n;
    int kh, kw, stride, shrink; /* shrink 1: coordinates are of the enlarged input */
    int origin_y, origin_x;     /* input pixel of grid pixel 0, tap 0; plus the phase */
    int gh, gw, phases;
    bool relu;
    /* tensor cores */
    bool square;                 /* a block is 16x16 grid pixels of an image, else 256 consecutive ones of all images */
    bool halo;                   /* all taps run from one staged square, else each tap is staged by itself */
    int tiles_x, tiles_y;        /* squares of an image */
    int halo_w, staged;          /* pixels: of a staged square's row, in all */
    struct MapPartial *partials; /* [images][parts][cy], or NULL */
};

/* Packs w [c_out,c_in,kh,kw] in host memory into conv->w. False with err. */
bool conv_pack_weights(Cuda *cuda, CudaConv *conv, const float *w, Err *err);
int64_t conv_packed_words(const Cuda *cuda, const CudaConv *conv);

/* The kernels: blocks of `wide` output channels each. */
void conv_tile_f16(Cuda *cuda, const ConvCall &call, int wide);
void conv_tile_bf16(Cuda *cuda, const ConvCall &call, int wide);
void conv_tile_tf32(Cuda *cuda, const ConvCall &call, int wide);
void conv_fma(Cuda *cuda, const ConvCall &call);

} // namespace GPU_SPACE

#endif
