/* Partial statistics of maps, for group_norm: a partial has the count of its values, their mean as one of the values
 * and the rest (in f32 a mean far from zero alone would cost digits), and the sum of squared distances from the mean.
 * Two partials are merged without the difference of large squares, in which a small variance would be lost. They are
 * always merged in an order fixed by the map's shape.
 *
 * A convolution has the values that it writes in registers, so it stores a partial for each of its tiles and channels
 * in Cuda.stats, and group_norm need not read the map again. They are valid only for the op that follows directly, as
 * group_norm does in the decoder: so other ops need not invalidate them. */
#ifndef KERNELS_CUDA_MAPS_MAP_STATS_H
#define KERNELS_CUDA_MAPS_MAP_STATS_H

#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

struct alignas(16) MapPartial {
    float count, base, off, squares; /* mean = base + off */
};

__device__ static inline MapPartial join(const MapPartial &a, const MapPartial &b)
{
    float count = a.count + b.count;
    if (a.count == 0 || b.count == 0)
        return a.count == 0 ? b : a;
    float apart = b.base - a.base + b.off - a.off, share = b.count / count;
    return {count, a.base, a.off + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

/* Of a warp's lanes; all of them get it. */
__device__ static inline MapPartial join_lanes(MapPartial piece)
{
    for (int step = 1; step < WARP; step *= 2) {
        MapPartial other = {
            __shfl_xor_sync(0xffffffffu, piece.count, step), __shfl_xor_sync(0xffffffffu, piece.base, step),
            __shfl_xor_sync(0xffffffffu, piece.off, step), __shfl_xor_sync(0xffffffffu, piece.squares, step)};
        bool upper = (static_cast<int>(threadIdx.x) & step) != 0; /* one order for both of them */
        piece = upper ? join(other, piece) : join(piece, other);
    }
    return piece;
}

/* Sums of eight channels over pixels, as distances from the first: the squares of the values themselves would be as
 * large as their mean. */
struct MapSums {
    float count, first[8], sum[8], squares[8];
};

__device__ static inline void sums_add(MapSums &s, const float (&x)[8])
{
    if (s.count == 0)
        UNROLL for (int i = 0; i < 8; i++) s.first[i] = x[i];
    UNROLL for (int i = 0; i < 8; i++)
    {
        float off = x[i] - s.first[i];
        s.sum[i] += off;
        s.squares[i] += off * off;
    }
    s.count += 1;
}

__device__ static inline MapPartial sums_of(const MapSums &s, int i)
{
    if (s.count == 0)
        return {0, 0, 0, 0};
    float off = s.sum[i] / s.count;
    return {s.count, s.first[i], off, fmaxf(s.squares[i] - s.sum[i] * off, 0.0f)};
}

/* Room for [images][parts][channels] of a map that the calling op is about to write; NULL after backend_fail. */
MapPartial *stats_room(Cuda *cuda, FeatureMap map, int parts);
/* Those of map, if the present op directly follows the one that stored them; else NULL. */
const MapPartial *stats_of(const Cuda *cuda, FeatureMap map, int *ret_parts);

} // namespace GPU_SPACE

#endif
