/* Eight neighbouring channels of a map: CHANNEL_PAD is eight, so a pixel is a row of whole groups, and a group is 16 or
 * 32 aligned bytes that one thread loads and stores at once. FeatureMap ops walk groups; arithmetic is in f32. */
#ifndef KERNELS_CUDA_MAPS_MAP_H
#define KERNELS_CUDA_MAPS_MAP_H

#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

static constexpr int GROUP = CHANNEL_PAD;

template <class T> struct alignas(16) Group {
    T v[GROUP];
};

/* at: the group's first channel, 16-byte aligned. */
template <class T> __device__ static inline Group<T> group_load(const T *at)
{
    constexpr int words = static_cast<int>(sizeof(Group<T>) / sizeof(uint4));
    Group<T> group;
    uint4 bits[words];
    UNROLL for (int i = 0; i < words; i++) bits[i] = reinterpret_cast<const uint4 *>(at)[i];
    memcpy(&group, bits, sizeof(group));
    return group;
}

template <class T> __device__ static inline void group_store(T *at, const Group<T> &group)
{
    constexpr int words = static_cast<int>(sizeof(Group<T>) / sizeof(uint4));
    uint4 bits[words];
    memcpy(bits, &group, sizeof(group));
    UNROLL for (int i = 0; i < words; i++) reinterpret_cast<uint4 *>(at)[i] = bits[i];
}

/* The same as eight floats. */
template <class T> __device__ static inline void load8(const T *at, float (&ret)[GROUP])
{
    Group<T> group = group_load(at);
    UNROLL for (int i = 0; i < GROUP; i++) ret[i] = widen(group.v[i]);
}

/* x becomes what was stored: rounded to T. */
template <class T> __device__ static inline void store8(T *at, float (&x)[GROUP])
{
    Group<T> group;
    UNROLL for (int i = 0; i < GROUP; i++)
    {
        group.v[i] = narrow<T>(x[i]);
        x[i] = widen(group.v[i]);
    }
    group_store(at, group);
}

/* Of a pixel. */
static inline int map_groups(int c)
{
    return map_channels(c) / GROUP;
}

static inline int64_t map_pixels(const FeatureMap &map)
{
    return static_cast<int64_t>(map.b) * map.h * map.w;
}

} // namespace GPU_SPACE

#endif
