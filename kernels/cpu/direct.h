/* Direct convolutions: any kernel, stride and padding, as matrix products over taps and channel blocks.
 *
 *     Direct *d = direct_pack(be, weights, bias, &shape, err);     // weights [c_out,c_in,kh,kw]
 *     direct_run(cpu, d, &image);
 *     direct_free(be, d);
 *
 * The order of every sum depends on the shape alone. */
#ifndef KERNELS_CPU_DIRECT_H
#define KERNELS_CPU_DIRECT_H

#include "kernels/cpu/cpu.h"

/* One image of a convolution. */
typedef struct ConvImage {
    const float *x;        /* [c_in/16][h][w][16] */
    int h, w;              /* of x, before enlarging */
    const float *residual; /* as y, or NULL; may be y */
    float *y;              /* [c_out/16][out_h][out_w][16] */
} ConvImage;

typedef struct Direct Direct;

Direct *direct_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, Err *err);
void direct_free(Backend *be, Direct *direct);                           /* NULL is fine */
void direct_run(Cpu *cpu, const Direct *direct, const ConvImage *image); /* failures go to backend_fail */

#endif
