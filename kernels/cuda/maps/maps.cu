/* Maps against rows, and maps side by side: copies, one thread a group of eight channels. */
#include "kernels/cuda/maps/map.h"

namespace GPU_SPACE
{

enum { THREADS = 256 };

/* --- rows ------------------------------------------------------------------------------------------------- */

/* Rows of floats start at 16 bytes only when C is a multiple of 4, so their side goes one by one; neighbouring threads
 * take neighbouring groups, and every line of memory is used whole. */
template <class T> static __global__ void map_from_rows(const float *rows, int64_t count, int c, int groups, T *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t pixel = i / groups;
    int from = static_cast<int>(i - pixel * groups) * GROUP;
    Group<T> out;
    UNROLL for (int j = 0; j < GROUP; j++) out.v[j] = narrow<T>(from + j < c ? rows[pixel * c + from + j] : 0.0f);
    group_store(y + i * GROUP, out);
}

template <class T> static __global__ void map_to_rows(const T *x, int64_t count, int c, int groups, float *rows)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t pixel = i / groups;
    int from = static_cast<int>(i - pixel * groups) * GROUP;
    Group<T> in = group_load(x + i * GROUP);
    UNROLL for (int j = 0; j < GROUP; j++) if (from + j < c) rows[pixel * c + from + j] = widen(in.v[j]);
}

template <class T> static void from_rows_launch(Cuda *cuda, Tensor rows, FeatureMap y)
{
    int groups = map_groups(y.c);
    int64_t count = map_pixels(y) * groups;
    LAUNCH((map_from_rows<T>), gpu_blocks(count, THREADS), THREADS, 0, cuda->stream,
           static_cast<const float *>(rows.data), count, y.c, groups, static_cast<T *>(y.data));
}

template <class T> static void to_rows_launch(Cuda *cuda, FeatureMap x, Tensor rows)
{
    int groups = map_groups(x.c);
    int64_t count = map_pixels(x) * groups;
    LAUNCH((map_to_rows<T>), gpu_blocks(count, THREADS), THREADS, 0, cuda->stream, static_cast<const T *>(x.data),
           count, x.c, groups, static_cast<float *>(rows.data));
}

void cuda_map_from_rows(Backend *be, Tensor rows, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    CUDA_BY_TYPE(cuda, from_rows_launch, cuda, rows, y);
}

void cuda_map_to_rows(Backend *be, FeatureMap x, Tensor rows)
{
    Cuda *cuda = cuda_of(be);
    CUDA_BY_TYPE(cuda, to_rows_launch, cuda, x, rows);
}

/* --- concat ----------------------------------------------------------------------------------------------- */

/* One part into channels at.. of y. Whole groups when the part starts at one, with its padding, which the next part
 * overwrites; the widths of the published networks always do. */
template <class T>
static __global__ void place_groups(const T *x, int64_t count, int groups, int at, int y_groups, T *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t pixel = i / groups;
    int group = static_cast<int>(i - pixel * groups);
    group_store(y + (pixel * y_groups + at / GROUP + group) * GROUP, group_load(x + i * GROUP));
}

/* Else one thread a channel; `wide` of them a pixel: the part's own and, after the last part, zeros of y's padding. */
template <class T>
static __global__ void place_channels(const T *x, int64_t count, int c, int wide, int at, int y_groups, T *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t pixel = i / wide, x_row = (c + GROUP - 1) / GROUP * GROUP;
    int channel = static_cast<int>(i - pixel * wide);
    y[pixel * y_groups * GROUP + at + channel] = channel < c ? x[pixel * x_row + channel] : narrow<T>(0.0f);
}

template <class T> static void place(Cuda *cuda, FeatureMap x, int at, bool last, FeatureMap y)
{
    int groups = map_groups(x.c), y_groups = map_groups(y.c), wide = last ? map_channels(y.c) - at : x.c;
    int64_t whole = map_pixels(x) * groups, single = map_pixels(x) * wide;
    if (at % GROUP == 0)
        LAUNCH((place_groups<T>), gpu_blocks(whole, THREADS), THREADS, 0, cuda->stream, static_cast<const T *>(x.data),
               whole, groups, at, y_groups, static_cast<T *>(y.data));
    else
        LAUNCH((place_channels<T>), gpu_blocks(single, THREADS), THREADS, 0, cuda->stream,
               static_cast<const T *>(x.data), single, x.c, wide, at, y_groups, static_cast<T *>(y.data));
}

void cuda_concat(Backend *be, const FeatureMap *x, int n, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    for (int i = 0, at = 0; i < n; at += x[i].c, i++)
        CUDA_BY_TYPE(cuda, place, cuda, x[i], at, i == n - 1, y);
}

} // namespace GPU_SPACE
