/* Pools of maps. Padding takes no part: a maximum ignores it, an average divides by the pixels inside the image. One
 * thread makes eight channels of a pixel and sums its window row by row, as the CPU does. */
#include "kernels/cuda/maps/map.h"

namespace GPU_SPACE
{

enum { THREADS = 256 };

struct PoolShape {
    int64_t count;              /* groups of y */
    int groups, h, w, y_h, y_w; /* groups of a pixel */
    int size, stride, pad;
};

/* Of eight channels, over x's pixels: its size, and where it may not go. */
struct Window {
    int top, bottom, left, right; /* rows top..bottom-1 */
};

__device__ static inline Window window_at(const PoolShape &shape, int i, int j)
{
    int top = i * shape.stride - shape.pad, left = j * shape.stride - shape.pad;
    return Window{max(top, 0), min(top + shape.size, shape.h), max(left, 0), min(left + shape.size, shape.w)};
}

template <class T> __device__ static inline Group<T> largest(const T *x, int64_t row, int64_t pixel, Window win)
{
    float best[GROUP];
    UNROLL for (int c = 0; c < GROUP; c++) best[c] = -INFINITY;
    for (int i = win.top; i < win.bottom; i++)
        for (int j = win.left; j < win.right; j++) {
            Group<T> in = group_load(x + i * row + j * pixel);
            UNROLL for (int c = 0; c < GROUP; c++)
            {
                float v = widen(in.v[c]), larger = best[c] < v ? v : best[c];
                best[c] = v != v ? v : larger; /* a NaN stays */
            }
        }
    Group<T> out;
    UNROLL for (int c = 0; c < GROUP; c++) out.v[c] = narrow<T>(best[c]);
    return out;
}

template <class T>
__device__ static inline void average(const T *x, int64_t row, int64_t pixel, Window win, float (&ret)[GROUP])
{
    float count = static_cast<float>((win.bottom - win.top) * (win.right - win.left));
    UNROLL for (int c = 0; c < GROUP; c++) ret[c] = 0;
    for (int i = win.top; i < win.bottom; i++)
        for (int j = win.left; j < win.right; j++) {
            Group<T> in = group_load(x + i * row + j * pixel);
            UNROLL for (int c = 0; c < GROUP; c++) ret[c] += widen(in.v[c]);
        }
    UNROLL for (int c = 0; c < GROUP; c++) ret[c] /= count;
}

template <class T> static __global__ void __launch_bounds__(THREADS) pool(const T *x, Pool kind, PoolShape shape, T *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= shape.count)
        return;
    int64_t pixel = i / shape.groups, line = pixel / shape.y_w, image = line / shape.y_h;
    int64_t width = static_cast<int64_t>(shape.groups) * GROUP;
    Window win =
        window_at(shape, static_cast<int>(line - image * shape.y_h), static_cast<int>(pixel - line * shape.y_w));
    const T *in = x + image * shape.h * shape.w * width + (i - pixel * shape.groups) * GROUP;
    Group<T> out;
    if (kind == POOL_MAX) {
        out = largest(in, shape.w * width, width, win);
    } else {
        float mean[GROUP];
        average(in, shape.w * width, width, win, mean);
        UNROLL for (int c = 0; c < GROUP; c++) out.v[c] = narrow<T>(mean[c]);
    }
    group_store(y + i * GROUP, out);
}

template <class T> static void pool_launch(Cuda *cuda, FeatureMap x, Pool kind, const PoolShape &shape, FeatureMap y)
{
    LAUNCH((pool<T>), gpu_blocks(shape.count, THREADS), THREADS, 0, cuda->stream, static_cast<const T *>(x.data), kind,
           shape, static_cast<T *>(y.data));
}

void cuda_pool(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    PoolShape shape = {map_pixels(y) * map_groups(y.c), map_groups(y.c), x.h, x.w, y.h, y.w, size, stride, pad};
    CUDA_BY_TYPE(cuda, pool_launch, cuda, x, kind, shape, y);
}

/* --- global_mean ------------------------------------------------------------------------------------------ */

template <class T>
static __global__ void __launch_bounds__(THREADS)
    global_mean(const T *x, int64_t count, int groups, int pixels, int channels, float *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t image = i / groups, width = static_cast<int64_t>(groups) * GROUP;
    int from = static_cast<int>(i - image * groups) * GROUP;
    float mean[GROUP];
    average(x + image * pixels * width + from, pixels * width, width, Window{0, 1, 0, pixels}, mean);
    UNROLL for (int c = 0; c < GROUP; c++) if (from + c < channels) y[image * channels + from + c] = mean[c];
}

template <class T> static void mean_launch(Cuda *cuda, FeatureMap x, Tensor y)
{
    int groups = map_groups(x.c);
    int64_t count = static_cast<int64_t>(x.b) * groups;
    LAUNCH((global_mean<T>), gpu_blocks(count, THREADS), THREADS, 0, cuda->stream, static_cast<const T *>(x.data),
           count, groups, x.h * x.w, x.c, static_cast<float *>(y.data));
}

void cuda_global_mean(Backend *be, FeatureMap x, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    CUDA_BY_TYPE(cuda, mean_launch, cuda, x, y);
}

} // namespace GPU_SPACE
