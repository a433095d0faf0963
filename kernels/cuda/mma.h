/* Tensor-core products, matrix loads and asynchronous copies: the PTX instructions that the kernels use, and nothing
 * else in the backend has asm. On the host each has an implementation (host/mma_host.cpp) that follows the layouts
 * below, so a misplaced fragment gives a wrong number there too.
 *
 * A product is a warp's: d[16,8] += a[16,k] b[k,8], sums in f32. Lane l holds, with r = l/4 and c = l%4:
 *   16-bit, k = 16:  a[i], a pair of neighbours along k: row r + 8*(i%2), k = 2c + 8*(i/2) and the next
 *                    b[i], a pair along k:               column r,        k = 2c + 8*i and the next
 *   tf32, k = 8:     a[i]: row r + 8*(i%2), k = c + 4*(i/2);      b[i]: column r, k = c + 4*i
 *   d[i]: row r + 8*(i/2), column 2c + i%2
 *
 * ldmatrix reads n 8x8 matrices of 16-bit values: lane 8*i + j gives the address of row j of matrix i (16-byte
 * aligned, in shared memory); lane l receives in r[i] row l/4, columns 2*(l%4) and the next; `turned`: column l/4, rows
 * 2*(l%4) and the next.
 *
 * cp_async16 copies 16 aligned bytes from global to shared memory in the background, or writes zeros when not inside.
 * The bytes are there for the copying thread after cp_async_wait, for others after the next barrier too. */
#ifndef KERNELS_CUDA_MMA_H
#define KERNELS_CUDA_MMA_H

#include "kernels/cuda/num.h"

#ifdef __CUDACC__

namespace GPU_SPACE
{

template <class T>
__device__ static inline void mma_16816(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

template <> __device__ inline void mma_16816<__half>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
__device__ inline void mma_16816<__nv_bfloat16>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline void mma_1688_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ static inline unsigned gpu_shared_address(const void *at)
{
    return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

__device__ static inline void ldmatrix_x4(unsigned (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(gpu_shared_address(row)));
}

__device__ static inline void ldmatrix_x2(unsigned (&r)[2], const void *row) /* addresses of lanes 0..15 */
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(gpu_shared_address(row)));
}

__device__ static inline void ldmatrix_x4_turned(unsigned (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(gpu_shared_address(row)));
}

__device__ static inline void ldmatrix_x2_turned(unsigned (&r)[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(gpu_shared_address(row)));
}

__device__ static inline void cp_async16(void *shared, const void *global, bool inside = true)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(gpu_shared_address(shared)), "l"(global),
                 "r"(inside ? 16 : 0)
                 : "memory");
}

__device__ static inline void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* All but the newest `left` committed groups are there. */
template <int left> __device__ static inline void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

} // namespace GPU_SPACE

#else
#include "kernels/cuda/host/mma_host.h"
#endif

#endif
