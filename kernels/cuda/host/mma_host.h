/* Host implementations of the instructions in kernels/cuda/mma.h; that header has the layouts and is the one to
 * include. */
#ifndef KERNELS_CUDA_HOST_MMA_HOST_H
#define KERNELS_CUDA_HOST_MMA_HOST_H

#include "kernels/cuda/host/gpu_host.h"

namespace gpu_host
{

void mma_half(float *d, const unsigned *a, const unsigned *b, Site site);
void mma_bfloat16(float *d, const unsigned *a, const unsigned *b, Site site);
void mma_tf32(float *d, const unsigned *a, const unsigned *b, Site site);
void load_matrices(unsigned *r, const void *row, int matrices, bool turned, Site site);
void copy_async(void *shared, const void *global, bool inside, Site site);
void copy_async_commit();
void copy_async_wait(int left);

template <class T> void mma_16816(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], GPU_SITE);

template <>
inline void mma_16816<__half>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const char *file, int line)
{
    mma_half(d, a, b, {file, line});
}

template <>
inline void mma_16816<__nv_bfloat16>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const char *file,
                                     int line)
{
    mma_bfloat16(d, a, b, {file, line});
}

static inline void mma_1688_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], GPU_SITE)
{
    mma_tf32(d, a, b, {file, line});
}

static inline void ldmatrix_x4(unsigned (&r)[4], const void *row, GPU_SITE)
{
    load_matrices(r, row, 4, false, {file, line});
}

static inline void ldmatrix_x2(unsigned (&r)[2], const void *row, GPU_SITE)
{
    load_matrices(r, row, 2, false, {file, line});
}

static inline void ldmatrix_x4_turned(unsigned (&r)[4], const void *row, GPU_SITE)
{
    load_matrices(r, row, 4, true, {file, line});
}

static inline void ldmatrix_x2_turned(unsigned (&r)[2], const void *row, GPU_SITE)
{
    load_matrices(r, row, 2, true, {file, line});
}

static inline void cp_async16(void *shared, const void *global, bool inside = true, GPU_SITE)
{
    copy_async(shared, global, inside, {file, line});
}

static inline void cp_async_commit()
{
    copy_async_commit();
}

template <int left> void cp_async_wait()
{
    copy_async_wait(left);
}

} // namespace gpu_host

#endif
