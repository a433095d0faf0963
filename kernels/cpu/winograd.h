/* Winograd: 3x3 convolutions with stride 1 in far fewer multiplications, on maps of 16-channel blocks.
 *
 *     Winograd *w = winograd_pack(be, weights, bias, &shape, err);      // weights [c_out,c_in,3,3]
 *     winograd_run(cpu, w, &image);
 *     winograd_free(be, w);
 *
 * Plain: F(4x4,3x3), 36 products for 16 pixels instead of 144. Upsampled (nearest x2, then 3x3): four 2x2 convolutions
 * of the small map, one for each parity of the output pixel, each by F(4x4,2x2): 25 products for 16 pixels. Error in
 * f32 about 1.3e-6 and 0.7e-6. The order of every sum depends on the shapes alone. */
#ifndef KERNELS_CPU_WINOGRAD_H
#define KERNELS_CPU_WINOGRAD_H

#include "kernels/cpu/direct.h"

typedef struct Winograd Winograd;

bool winograd_takes(const ConvShape *shape);
Winograd *winograd_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, Err *err);
void winograd_free(Backend *be, Winograd *winograd); /* NULL is fine */

/* Failures go to backend_fail. */
void winograd_run(Cpu *cpu, const Winograd *winograd, const ConvImage *image);

#endif
