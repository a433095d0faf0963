/* Number types of a kernel's operands: the same functions for float, __half and __nv_bfloat16, so that one template
 * serves all.
 *   widen(x)           the float it stands for
 *   narrow<T>(f)       the nearest T
 *   pack2<T>(lo, hi)   two 16-bit values in a register, lo first in memory
 *   to_tf32(f)         the bits of f with 10 bits of mantissa, as the tensor cores take them
 *   holds<T>(f)        false when no finite T is nearest to f: it is beyond T's range, or NaN
 *
 * The sentinel: fp16 ends at 65504, and what does not fit becomes infinity, then NaN, and an argmax over NaN is still
 * an id. So wherever numbers pass anyway on their way to 16 bits (rows of products), into a group norm (maps) or into
 * bytes (the image), a thread that finds one writes Fault::overflow, and be_check returns ERR_NUMERIC: one comparison
 * per number, one store when it happens. The caller makes an fp16 batch again in bf16. */
#ifndef KERNELS_CUDA_NUM_H
#define KERNELS_CUDA_NUM_H

#include "kernels/cuda/gpu.h"

namespace GPU_SPACE
{

__device__ static inline float widen(float x)
{
    return x;
}
__device__ static inline float widen(__half x)
{
    return __half2float(x);
}
__device__ static inline float widen(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <class T> __device__ inline T narrow(float x);
template <> __device__ inline float narrow<float>(float x)
{
    return x;
}
template <> __device__ inline __half narrow<__half>(float x)
{
    return __float2half_rn(x);
}
template <> __device__ inline __nv_bfloat16 narrow<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}

template <class T> __device__ inline bool holds(float x);
template <> __device__ inline bool holds<float>(float x)
{
    return fabsf(x) <= 3.4028235e38f;
}
template <> __device__ inline bool holds<__half>(float x)
{
    return fabsf(x) < 65520.0f; /* rounds to 65504 */
}
template <> __device__ inline bool holds<__nv_bfloat16>(float x)
{
    return fabsf(x) < 3.3961775e38f; /* rounds to 0x7f7f */
}

template <class T> __device__ static inline unsigned pack2(float lo, float hi)
{
    static_assert(sizeof(T) == 2, "two 16-bit values make a register");
    T pair[2] = {narrow<T>(lo), narrow<T>(hi)};
    unsigned bits;
    memcpy(&bits, pair, sizeof(bits));
    return bits;
}

__device__ static inline unsigned to_tf32(float x)
{
#ifdef __CUDACC__
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
#else
    unsigned bits = __float_as_uint(x);
    bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? (bits + 0x1000u) & 0xffffe000u : bits;
#endif
}

} // namespace GPU_SPACE

#endif
