/* Matrix products: y[R,N] = x[R,K] w[N,K]^T, row-major, operands in one type, sums and y in f32.
 *
 * device/gemm.cu calls cublasLt, which is loaded the first time a device is opened: a process that computes on the CPU
 * should not pay its 0.3 s and 200 MB. host/gemm.cpp is plain loops. No other file depends on either.
 *
 * Batch invariance: for each shape (N, K, types) one algorithm is chosen, without split sums, and kept for every number
 * of rows; so an element is the same sum in the same order wherever its row is. */
#ifndef KERNELS_CUDA_GEMM_H
#define KERNELS_CUDA_GEMM_H

#include "kernels/cuda/runtime.h"

namespace GPU_SPACE
{

struct Gemm; /* the library's handle, its workspace, the algorithms chosen so far */

Gemm *gemm_open(const GpuDevice *device, Err *err);
void gemm_close(Gemm *gemm);

struct GemmCall {
    Precision precision; /* PREC_F16 and PREC_BF16: x and w are 16-bit; PREC_F32 and PREC_TF32: floats */
    int64_t rows, n, k;
    const void *x;     /* [rows,k] */
    const void *w;     /* [n,k] */
    const float *bias; /* [n] or NULL */
    float *y;          /* [rows,n] */
    bool accumulate;   /* y += */
};

/* False when the library refuses, with its message. */
bool gemm_run(Gemm *gemm, const GemmCall *call, GpuStream stream, Err *err);

} // namespace GPU_SPACE

#endif
