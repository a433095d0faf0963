/* CUDA C++ keywords and functions for a host compiler. Kernel sources include kernels/cuda/gpu.h, never this.
 *
 * One block runs at a time, each of its threads as a fiber (fiber.cpp). A thread that does not synchronise never leaves
 * its fiber, so kernels without barriers cost as much as a loop. Errors become the launch's failure, with the kernel,
 * the block, the thread and the line: lanes that wait at different places, barriers that not all threads reach, shared
 * memory written past its end, launches beyond the limits below. */
#ifndef KERNELS_CUDA_HOST_GPU_HOST_H
#define KERNELS_CUDA_HOST_GPU_HOST_H

#include <math.h>
#include <string.h>

#include <utility>

#include "kernels/cuda/host/types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

/* Set before a thread runs. */
extern constinit thread_local uint3 threadIdx, blockIdx; /* constinit: read without a call */
extern constinit thread_local dim3 blockDim, gridDim;

#define SHARED(type, name, dims)                                                                                       \
    typedef type name##_shared dims;                                                                                   \
    static const char name##_key = 0;                                                                                  \
    name##_shared &name = *static_cast<name##_shared *>(                                                               \
        gpu_host::static_shared(&name##_key, sizeof(name##_shared), alignof(name##_shared)))
#define DYN_SHARED(type, name) type *name = static_cast<type *>(gpu_host::dynamic_shared())
#define LAUNCH(kernel, grid, block, bytes, stream, ...)                                                                \
    gpu_host::launch(#kernel, grid, block, bytes, stream, kernel, __VA_ARGS__)

namespace gpu_host
{

/* Of the targets: sm_80 has 163 KiB of shared memory a block, sm_89 99, sm_90 227. */
enum { THREADS_MAX = 1024, GRID_YZ_MAX = 65535, STATIC_SHARED_MAX = 48 << 10, SHARED_MAX = 227 << 10 };

void *static_shared(const void *key, size_t bytes, size_t align);
void *dynamic_shared();

/* --- launches ------------------------------------------------------------------------------------------- */

struct Stream;
typedef Stream *GpuStream;

/* One launch, ready to run as often as wanted: a graph replays it. */
struct Work {
    virtual ~Work() {}
    virtual void run() = 0;
};

/* Runs now, or is added to the graph that the stream is capturing. Consumes the work. */
void stream_take(Stream *stream, Work *work);

struct Grid {
    const char *name;
    dim3 grid, block;
    size_t shared;
};
void run_grid(const Grid &grid, void (*thread)(const void *), const void *closure);

template <class Body> struct KernelWork : Work {
    Grid grid;
    Body body;
    KernelWork(const Grid &g, const Body &b) : grid(g), body(b) {}
    static void thread(const void *self)
    {
        (*static_cast<const Body *>(self))();
    }
    void run() override
    {
        run_grid(grid, thread, &body);
    }
};

template <class Body> Work *kernel_work(const Grid &grid, const Body &body)
{
    return new KernelWork<Body>(grid, body);
}

/* Arguments are taken by value at the launch, as a GPU takes them. */
template <class... Params, class... Args>
void launch(const char *name, dim3 grid, dim3 block, size_t shared, Stream *stream, void (*kernel)(Params...),
            Args... args)
{
    auto bound = [kernel](Params... values) { return [=] { kernel(values...); }; };
    stream_take(stream, kernel_work(Grid{name, grid, block, shared}, bound(args...)));
}

/* --- meetings ------------------------------------------------------------------------------------------- */

struct Site {
    const char *file;
    int line;
};

/* A collective of a warp: each lane passes its own arguments; when all lanes of the mask wait at the site, `resolve`
 * runs once and writes every lane's result; then all continue. lanes[i] is NULL for a lane that does not take part. */
typedef void (*Resolve)(void *const *lanes);
void meet_warp(Resolve resolve, void *mine, unsigned mask, Site site);
void meet_block(Site site);

/* Reports a lane's error; the launch fails with the message and stops. */
[[noreturn]] void lane_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

template <class T> struct Shuffle {
    T value, result;
    int from;
};

template <class T> void resolve_shuffle(void *const *lanes)
{
    for (int i = 0; i < 32; i++) {
        Shuffle<T> *mine = static_cast<Shuffle<T> *>(lanes[i]);
        if (!mine)
            continue;
        const Shuffle<T> *other = static_cast<const Shuffle<T> *>(lanes[mine->from]);
        if (other)
            mine->result = other->value;
        else
            memset(static_cast<void *>(&mine->result), 0xff, sizeof(T)); /* undefined on a GPU */
    }
}

template <class T> T shuffle(unsigned mask, T value, int from, Site site)
{
    Shuffle<T> mine = {value, value, from};
    meet_warp(resolve_shuffle<T>, &mine, mask, site);
    return mine.result;
}

static inline int lane_id()
{
    return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}

unsigned ballot(unsigned mask, bool vote, unsigned *ret_mask, Site site);

} // namespace gpu_host

/* --- the language's own functions: names and meaning as in CUDA ------------------------------------------ */

#define GPU_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(GPU_SITE)
{
    gpu_host::meet_block({file, line});
}

static inline void __syncwarp(unsigned mask = 0xffffffffu, GPU_SITE)
{
    gpu_host::meet_warp([](void *const *) {}, nullptr, mask, {file, line});
}

template <class T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32, GPU_SITE)
{
    int mine = gpu_host::lane_id();
    return gpu_host::shuffle(mask, value, mine / width * width + lane % width, {file, line});
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, GPU_SITE)
{
    int mine = gpu_host::lane_id(), from = mine ^ bits;
    return gpu_host::shuffle(mask, value, from / width > mine / width ? mine : from, {file, line});
}

template <class T> T __shfl_up_sync(unsigned mask, T value, int delta, int width = 32, GPU_SITE)
{
    int mine = gpu_host::lane_id();
    return gpu_host::shuffle(mask, value, mine % width < delta ? mine : mine - delta, {file, line});
}

template <class T> T __shfl_down_sync(unsigned mask, T value, int delta, int width = 32, GPU_SITE)
{
    int mine = gpu_host::lane_id();
    return gpu_host::shuffle(mask, value, mine % width + delta >= width ? mine : mine + delta, {file, line});
}

static inline unsigned __ballot_sync(unsigned mask, bool vote, GPU_SITE)
{
    unsigned present;
    return gpu_host::ballot(mask, vote, &present, {file, line});
}

static inline bool __any_sync(unsigned mask, bool vote, GPU_SITE)
{
    unsigned present;
    return gpu_host::ballot(mask, vote, &present, {file, line}) != 0;
}

static inline bool __all_sync(unsigned mask, bool vote, GPU_SITE)
{
    unsigned present, votes = gpu_host::ballot(mask, vote, &present, {file, line});
    return votes == present;
}

static inline void __threadfence() {}
static inline void __threadfence_block() {}

/* Fibers switch only at collectives, so plain updates are atomic. */
template <class T> T atomicAdd(T *at, T value)
{
    T old = *at;
    *at = static_cast<T>(old + value);
    return old;
}

template <class T> T atomicMax(T *at, T value)
{
    T old = *at;
    *at = old < value ? value : old;
    return old;
}

template <class T> T atomicMin(T *at, T value)
{
    T old = *at;
    *at = value < old ? value : old;
    return old;
}

template <class T> T atomicOr(T *at, T value)
{
    T old = *at;
    *at = old | value;
    return old;
}

template <class T> T atomicExch(T *at, T value)
{
    return std::exchange(*at, value);
}

template <class T> T atomicCAS(T *at, T expected, T value)
{
    T old = *at;
    if (old == expected)
        *at = value;
    return old;
}

template <class T> static inline T __ldg(const T *at)
{
    return *at;
}

template <class To, class From> static inline To gpu_host_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof(to));
    return to;
}

static inline unsigned __float_as_uint(float x)
{
    return gpu_host_bits<unsigned>(x);
}
static inline int __float_as_int(float x)
{
    return gpu_host_bits<int>(x);
}
static inline float __uint_as_float(unsigned x)
{
    return gpu_host_bits<float>(x);
}
static inline float __int_as_float(int x)
{
    return gpu_host_bits<float>(x);
}
static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
#define __expf(x) expf(x) /* glibc has its own function of that name */
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float __fmul_rn(float x, float y)
{
    return x * y;
}
static inline float __fadd_rn(float x, float y)
{
    return x + y;
}
static inline double __dmul_rn(double x, double y)
{
    return x * y;
}
static inline double __dadd_rn(double x, double y)
{
    return x + y;
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline int min(int a, int b)
{
    return a < b ? a : b;
}
static inline int max(int a, int b)
{
    return a > b ? a : b;
}

#endif
