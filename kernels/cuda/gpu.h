/* The language of kernel sources: CUDA C++ under nvcc, plain C++ under other compilers.
 *
 * For the host, host/gpu_host.h defines CUDA's keywords and functions: every CUDA thread is a fiber, warps synchronise
 * at shuffles and votes, shared memory starts as NaN, launches that a GPU would refuse are refused. So an op's kernel
 * is tested, line by line, by the ordinary tests of ops.
 *
 *     SHARED(float, tile, [32][33]);           static shared memory, in place of __shared__ float tile[32][33]
 *     DYN_SHARED(float, rows);                 the launch's dynamic shared memory as float *rows, 16-byte aligned
 *     UNROLL for (...)                         a loop whose arrays must stay in registers
 *     LAUNCH(kernel, grid, block, bytes, stream, args...);    a template: LAUNCH((kernel<4, __half>), ...)
 *
 * What differs from CUDA: no __shared__, no <<<>>>, no asm outside mma.h, no printf, masks of full warps unless exactly
 * the lanes of the mask take part. A launch never fails by itself: the first failure is kept and gpu_sync (runtime.h)
 * reports it. Each build has its own namespace, so that one program can contain both. */
#ifndef KERNELS_CUDA_GPU_H
#define KERNELS_CUDA_GPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define GPU_SPACE gpu_device
#define UNROLL    _Pragma("unroll")

#define SHARED(type, name, dims) __shared__ type name dims
#define DYN_SHARED(type, name)                                                                                         \
    extern __shared__ __align__(16) unsigned char gpu_dynamic_shared[];                                                \
    type *name = reinterpret_cast<type *>(gpu_dynamic_shared)

#define LAUNCH(kernel, grid, block, bytes, stream, ...)                                                                \
    do {                                                                                                               \
        auto gpu_kernel = kernel;                                                                                      \
        if (GPU_SPACE::gpu_may_launch(reinterpret_cast<const void *>(gpu_kernel), bytes)) {                            \
            gpu_kernel<<<grid, block, bytes, stream>>>(__VA_ARGS__);                                                   \
            GPU_SPACE::gpu_launched(#kernel);                                                                          \
        }                                                                                                              \
    } while (0)

namespace GPU_SPACE
{
typedef cudaStream_t GpuStream;
bool gpu_may_launch(const void *kernel, size_t shared_bytes); /* false after a failure; asks for more than 48 KiB */
void gpu_launched(const char *kernel);                        /* keeps a refused launch's message */
} // namespace GPU_SPACE

#else

#define GPU_SPACE gpu_host
#define UNROLL    /* the compiler's own choice */
#include "kernels/cuda/host/gpu_host.h"

#endif

namespace GPU_SPACE
{

static constexpr int WARP = 32; /* in kernels: sizes are ints, for enums of different kinds do not multiply */

/* Blocks that cover n items. */
static inline unsigned gpu_blocks(int64_t n, int64_t each)
{
    return static_cast<unsigned>((n + each - 1) / each);
}

/* --- sums of a warp and of a block, in one order on every machine --------------------------------------- */

__device__ static inline float warp_sum(float x)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__device__ static inline float warp_max(float x)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

/* Of all threads of a block of whole warps (at most 1024 threads, one-dimensional); every thread gets the sum. */
__device__ static inline float block_sum(float x)
{
    SHARED(float, partial, [WARP]);
    int warps = static_cast<int>(blockDim.x) / WARP, warp = static_cast<int>(threadIdx.x) / WARP;
    x = warp_sum(x);
    __syncthreads(); /* an earlier sum has been read */
    if (threadIdx.x % WARP == 0)
        partial[warp] = x;
    __syncthreads();
    x = static_cast<int>(threadIdx.x) % WARP < warps ? partial[threadIdx.x % WARP] : 0.0f;
    return warp_sum(x);
}

} // namespace GPU_SPACE

#endif
