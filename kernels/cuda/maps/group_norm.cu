/* GroupNorm of maps: y = (x - mean) / sqrt(var + 1e-6) * gamma + beta over a group's channels and all pixels of an
 * image, then silu.
 *
 * Two kernels. The first gathers statistics of groups: from what the convolution before left (map_stats.h), or else by
 * reading the map, in PARTS_MOST parts of an image at most. The second joins an image's parts and goes over the map
 * once: 4 bytes moved an element in 16 bits, 6 where the map had to be measured. One block a group would leave most of
 * a GPU idle; so blocks are parts of an image times a range of groups, and each joins the few pieces it needs by
 * itself.
 *
 * A thread keeps to eight channels, so their statistics stay in registers. Sums are f32 around one of the values,
 * joined as map_stats.h says; the mean is taken off as an f32 and its rounding goes into the shift. */
#include "kernels/cuda/maps/map.h"
#include "kernels/cuda/maps/map_stats.h"

namespace GPU_SPACE
{

static constexpr int THREADS = 256, WARPS = THREADS / WARP, PARTS_MOST = WARP, PART_PIXELS = 64, APPLY_EACH = 16,
                     AT_ONCE = 4;
static constexpr int CHANNELS = 256, CHANNELS_MOST = THREADS * 8; /* of a block: usually, at most */

struct Norm {
    int images, pixels, c, cx; /* cx: with padding */
    int groups, width;         /* channels of a group */
    int range;                 /* groups of a block: whole vectors of eight channels */
    int parts;                 /* of an image, in the pieces that `apply` reads */
    bool silu;
};

/* What a block works on: blockIdx.y is the range of groups; a thread has eight channels of every rows-th pixel. */
struct Span {
    int group, groups;   /* first, how many */
    int first, vectors;  /* channels: the first, how many eights */
    int rows, row, mine; /* row >= rows: a thread without work. mine: its first channel */
};

__device__ static inline Span span_of(const Norm &n)
{
    Span s;
    s.group = static_cast<int>(blockIdx.y) * n.range;
    s.groups = min(n.range, n.groups - s.group);
    s.first = s.group * n.width;
    s.vectors = (s.groups * n.width + 7) / 8;
    s.rows = THREADS / s.vectors;
    s.row = static_cast<int>(threadIdx.x) / s.vectors;
    s.mine = s.first + static_cast<int>(threadIdx.x) % s.vectors * 8;
    return s;
}

/* --- statistics ------------------------------------------------------------------------------------------- */

/* pieces [images][from][cx] of channels -> groups [images][groups]. A block joins one group's pieces, some hundreds
 * that wait for memory in turn, so its threads share them. */
static __global__ void __launch_bounds__(THREADS)
    join_pieces(Norm n, const MapPartial *pieces, int from, MapPartial *groups)
{
    SHARED(MapPartial, joined, [WARPS]);
    int64_t image = blockIdx.x / static_cast<unsigned>(n.groups);
    int thread = static_cast<int>(threadIdx.x), group = static_cast<int>(blockIdx.x) % n.groups;
    const MapPartial *mine = pieces + image * from * n.cx + group * n.width;
    MapPartial all = {0, 0, 0, 0};
    for (int i = thread; i < from * n.width; i += THREADS)
        all = join(all, mine[static_cast<int64_t>(i / n.width) * n.cx + i % n.width]);
    all = join_lanes(all);
    if (thread % WARP == 0)
        joined[thread / WARP] = all;
    __syncthreads();
    if (thread)
        return;
    for (int i = 1; i < WARPS; i++)
        all = join(all, joined[i]);
    groups[blockIdx.x] = all;
}

/* A part of an image -> groups [images][parts][groups]. */
template <class T> static __global__ void __launch_bounds__(THREADS, 4) measure(Norm n, const T *x, MapPartial *groups)
{
    SHARED(MapPartial, pieces, [THREADS * 8]); /* [rows][channels] */
    Span s = span_of(n);
    int64_t image = blockIdx.x / static_cast<unsigned>(n.parts);
    int part = static_cast<int>(blockIdx.x) % n.parts, each = (n.pixels + n.parts - 1) / n.parts,
        channels = s.vectors * 8;
    int thread = static_cast<int>(threadIdx.x), end = min(n.pixels, (part + 1) * each);
    if (s.row < s.rows) {
        MapSums sums = {};
        for (int p = part * each + s.row; p < end; p += s.rows) {
            float values[8];
            load8(x + (image * n.pixels + p) * n.cx + s.mine, values);
            sums_add(sums, values);
        }
        for (int i = 0; i < 8; i++)
            pieces[s.row * channels + s.mine - s.first + i] = sums_of(sums, i);
    }
    __syncthreads();
    for (int i = thread; i < channels; i += THREADS)
        for (int row = 1; row < s.rows; row++)
            pieces[i] = join(pieces[i], pieces[row * channels + i]);
    __syncthreads();
    for (int g = thread; g < s.groups; g += THREADS) {
        MapPartial all = {0, 0, 0, 0};
        for (int i = g * n.width; i < (g + 1) * n.width; i++)
            all = join(all, pieces[i]);
        groups[(image * n.parts + part) * n.groups + s.group + g] = all;
    }
}

/* --- the map ---------------------------------------------------------------------------------------------- */

/* The error of the fast functions is below the precision of 16-bit results. */
template <class T> __device__ static inline float silu_of(float x)
{
    if constexpr (sizeof(T) == 2)
        return __fdividef(x, 1.0f + __expf(-x));
    else
        return x / (1.0f + expf(-x));
}

/* y = (x - mean) * scale + shift of eight channels; zeros for those of the padding. */
struct Affine8 {
    float mean[8], scale[8], shift[8];
};

__device__ static inline Affine8 affine_of(const Norm &n, const Span &s, const MapPartial *stats, const float *gamma,
                                           const float *beta, Fault *fault)
{
    Affine8 a;
    for (int i = 0; i < 8; i++) {
        int channel = s.mine + i;
        bool there = channel < n.c;
        const MapPartial &of = stats[there ? (channel - s.first) / n.width : 0];
        double mean = static_cast<double>(of.base) + of.off;
        float inverse = 1.0f / sqrtf(of.squares / of.count + 1e-6f);
        if (!holds<float>(of.base + of.off) || !holds<float>(of.squares))
            fault->overflow = OVERFLOW_MAPS;
        a.mean[i] = static_cast<float>(mean);
        a.scale[i] = there ? inverse * gamma[channel] : 0.0f;
        a.shift[i] = there ? beta[channel] - static_cast<float>(mean - a.mean[i]) * a.scale[i] : 0.0f;
    }
    return a;
}

template <class T> __device__ static inline void normalise(const Affine8 &a, bool silu, const Group<T> &x, T *y)
{
    float v[8];
    UNROLL for (int i = 0; i < 8; i++)
    {
        v[i] = (widen(x.v[i]) - a.mean[i]) * a.scale[i] + a.shift[i];
        v[i] = silu ? silu_of<T>(v[i]) : v[i];
    }
    store8(y, v);
}

/* A range of an image's pixels; blocks an image: `blocks`. */
template <class T>
static __global__ void __launch_bounds__(THREADS) apply(Norm n, int blocks, const T *x, const MapPartial *groups,
                                                        const float *gamma, const float *beta, T *y, Fault *fault)
{
    DYN_SHARED(MapPartial, stats); /* [groups of the span] */
    Span s = span_of(n);
    int64_t image = blockIdx.x / static_cast<unsigned>(blocks);
    int from = static_cast<int>(blockIdx.x) % blocks * s.rows * APPLY_EACH,
        end = min(n.pixels, from + s.rows * APPLY_EACH);
    int lane = static_cast<int>(threadIdx.x) % WARP;
    for (int g = static_cast<int>(threadIdx.x) / WARP; g < s.groups; g += WARPS) {
        MapPartial piece = {0, 0, 0, 0};
        if (lane < n.parts)
            piece = groups[(image * n.parts + lane) * n.groups + s.group + g];
        piece = join_lanes(piece);
        if (lane == 0)
            stats[g] = piece;
    }
    __syncthreads();
    if (s.row >= s.rows)
        return;
    Affine8 a = affine_of(n, s, stats, gamma, beta, fault);
    /* Loads first: y may be x, so the compiler may not move one before the store of another pixel. */
    const T *in = x + image * n.pixels * n.cx + s.mine;
    T *out = y + image * n.pixels * n.cx + s.mine;
    for (int p = from + s.row; p < end; p += s.rows * AT_ONCE) {
        Group<T> ahead[AT_ONCE];
        UNROLL for (int i = 0; i < AT_ONCE; i++) if (p + i * s.rows < end) ahead[i] =
            group_load(in + static_cast<int64_t>(p + i * s.rows) * n.cx);
        UNROLL for (int i = 0; i < AT_ONCE; i++) if (p + i * s.rows < end)
            normalise(a, n.silu, ahead[i], out + static_cast<int64_t>(p + i * s.rows) * n.cx);
    }
}

/* --- the op ----------------------------------------------------------------------------------------------- */

/* Groups of a block: as many as have about CHANNELS channels, whole eights of them. 0: a group is too wide. */
static int range_of(int groups, int width)
{
    int unit = 1;
    while (unit * width % 8)
        unit *= 2;
    int range = CHANNELS / width / unit * unit;
    range = range < unit ? unit : range;
    range = range < groups ? range : groups;
    return range * width <= CHANNELS_MOST ? range : 0;
}

template <class T>
static void run(Cuda *cuda, Norm n, const MapPartial *pieces, int from, MapPartial *groups, FeatureMap x, Tensor gamma,
                Tensor beta, FeatureMap y)
{
    const T *in = static_cast<const T *>(x.data);
    unsigned ranges = gpu_blocks(n.groups, n.range);
    if (pieces)
        LAUNCH(join_pieces, static_cast<unsigned>(n.images * n.groups), THREADS, 0, cuda->stream, n, pieces, from,
               groups);
    else
        LAUNCH((measure<T>), dim3(static_cast<unsigned>(n.images * n.parts), ranges), THREADS, 0, cuda->stream, n, in,
               groups);
    int rows = THREADS / ((n.range * n.width + 7) / 8);
    unsigned blocks = gpu_blocks(n.pixels, static_cast<int64_t>(rows) * APPLY_EACH);
    LAUNCH((apply<T>), dim3(static_cast<unsigned>(n.images) * blocks, ranges), THREADS,
           static_cast<size_t>(n.range) * sizeof(MapPartial), cuda->stream, n, static_cast<int>(blocks), in, groups,
           static_cast<const float *>(gamma.data), static_cast<const float *>(beta.data), static_cast<T *>(y.data),
           cuda->fault);
}

void cuda_group_norm(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    int from = 0;
    const MapPartial *pieces = stats_of(cuda, x, &from);
    Norm n = {};
    n.images = x.b;
    n.pixels = x.h * x.w;
    n.c = x.c;
    n.cx = map_channels(x.c);
    n.groups = groups;
    n.width = x.c / groups;
    n.range = range_of(groups, n.width);
    n.parts = pieces ? 1 : min(PARTS_MOST, (n.pixels + PART_PIXELS - 1) / PART_PIXELS);
    n.silu = silu;
    if (!n.range) {
        backend_fail(be, ERR_INTERNAL, "be_group_norm: groups of %d channels, CUDA has them up to %d", n.width,
                     CHANNELS_MOST);
        return;
    }
    size_t bytes = static_cast<size_t>(n.images) * static_cast<size_t>(n.parts * n.groups) * sizeof(MapPartial);
    MapPartial *found = static_cast<MapPartial *>(cuda_scratch(cuda, SCRATCH_WORK, bytes));
    if (found)
        CUDA_BY_TYPE(cuda, run, cuda, n, pieces, from, found, x, gamma, beta, y);
}

} // namespace GPU_SPACE
