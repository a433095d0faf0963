/* The convolution on tensor cores, for one type of operands.
 *
 * A block of 8 warps makes 256 grid pixels times WIDE output channels. Its input passes through a ring of stages in
 * shared memory, filled by background copies while the tensor cores work:
 *
 *   halo     a stage is one slice of the 16x16 square with its border, (15 + kh) x (15 + kw) pixels; all taps run from
 *            it, for a shifted tap is only another address. Input is read 1.27 times at 3x3, not nine times
 *   else     a stage is one slice of the 256 pixels that one tap meets: any stride, any kernel, and pixels of all
 *            images in a row, so that maps of 17x17 or 8x8 leave no part of a block idle
 *
 * A pixel's slice is 64 bytes at a distance of 80, so the eight rows of a matrix load lie on different banks. In tf32
 * the same bytes mean 16 floats: a matrix of 8 rows of 16 bytes is four floats wide, which is just the fragment of the
 * tf32 product. Weights go from global memory (L2, then L1: the warps of a block read the same) to registers, one step
 * ahead, in the order that conv_pack.cu laid out.
 *
 * The last part turns each warp's sums, 16 rows at a time, through shared memory into whole pixels, adds bias and
 * residual in f32, rounds once, and sums what it stored for the group norm that follows (map_stats.h). */
#ifndef KERNELS_CUDA_MAPS_CONV_TILE_H
#define KERNELS_CUDA_MAPS_CONV_TILE_H

#include "kernels/cuda/maps/conv.h"
#include "kernels/cuda/maps/map.h"
#include "kernels/cuda/maps/map_stats.h"
#include "kernels/cuda/mma.h"

namespace GPU_SPACE
{

static constexpr int TILE_SIDE = 16, TILE_ROWS = TILE_SIDE * TILE_SIDE, TILE_WARPS = 8,
                     TILE_THREADS = TILE_WARPS * WARP;
static constexpr int SLICE_BYTES = 64, STEP_BYTES = 32, PIXEL_BYTES = 80, CHUNK_BYTES = 16,
                     CHUNKS = SLICE_BYTES / CHUNK_BYTES;
static constexpr int HALO_DEPTH = 2, TAP_DEPTH = 4; /* stages of the ring: a halo is long work, a tap is short */
static constexpr int OUTSIDE = -30000;              /* a coordinate that no tap brings back inside */

/* Where a staged pixel comes from: its image's first pixel, its coordinates under tap 0. */
struct alignas(8) Place {
    int image;
    short y, x;
};

/* Which pixels a block makes: a square of one image, or the grid pixels from `first` on. */
struct TileAt {
    int image, y, x, phase;
    int64_t first;
};

static inline size_t tile_places_bytes(int staged)
{
    return static_cast<size_t>(round_up(staged * static_cast<int64_t>(sizeof(Place)), CHUNK_BYTES));
}

__device__ static inline TileAt tile_at(const ConvCall &c)
{
    int block = static_cast<int>(blockIdx.x), tiles = c.tiles_x * c.tiles_y;
    TileAt at = {0, 0, 0, static_cast<int>(blockIdx.z), static_cast<int64_t>(block) * TILE_ROWS};
    if (c.square) {
        at.image = block / tiles;
        at.y = block % tiles / c.tiles_x * TILE_SIDE;
        at.x = block % tiles % c.tiles_x * TILE_SIDE;
    }
    return at;
}

/* Grid pixel of row m of the block; false when there is none. */
__device__ static inline bool tile_pixel(const ConvCall &c, const TileAt &at, int m, int &image, int &gy, int &gx)
{
    if (c.square) {
        image = at.image;
        gy = at.y + m / TILE_SIDE;
        gx = at.x + m % TILE_SIDE;
        return gy < c.gh && gx < c.gw;
    }
    int64_t pixel = at.first + m;
    int grid = c.gh * c.gw, within = static_cast<int>(pixel % grid);
    image = static_cast<int>(pixel / grid);
    gy = within / c.gw;
    gx = within % c.gw;
    return image < c.images;
}

__device__ static inline void find_places(const ConvCall &c, const TileAt &at, Place *places)
{
    for (int p = static_cast<int>(threadIdx.x); p < c.staged; p += TILE_THREADS) {
        int image = at.image, gy = at.y + p / c.halo_w, gx = at.x + p % c.halo_w;
        bool there = c.square || tile_pixel(c, at, p, image, gy, gx);
        places[p].image = image * c.h * c.w_in;
        places[p].y = static_cast<short>(there ? gy * c.stride + c.origin_y + at.phase / 2 : OUTSIDE);
        places[p].x = static_cast<short>(there ? gx * c.stride + c.origin_x + at.phase % 2 : OUTSIDE);
    }
}

/* Queues the copies of one stage: a slice of all places, under a tap. */
template <class T>
__device__ static inline void fill_stage(const ConvCall &c, const Place *places, int slice, int ty, int tx,
                                         unsigned char *stage)
{
    constexpr int EACH = CHUNK_BYTES / static_cast<int>(sizeof(T));
    const T *x = static_cast<const T *>(c.x);
    for (int i = static_cast<int>(threadIdx.x); i < c.staged * CHUNKS; i += TILE_THREADS) {
        int channel = (slice * CHUNKS + i % CHUNKS) * EACH;
        Place place = places[i / CHUNKS];
        int row = place.y + ty, col = place.x + tx;
        bool inside = row >= 0 && row < c.h << c.shrink && col >= 0 && col < c.w_in << c.shrink && channel < c.cx;
        int64_t pixel = place.image + (row >> c.shrink) * c.w_in + (col >> c.shrink);
        cp_async16(stage + i / CHUNKS * PIXEL_BYTES + i % CHUNKS * CHUNK_BYTES, inside ? x + pixel * c.cx + channel : x,
                   inside);
    }
}

template <int NT> __device__ static inline void load_weights(const uint4 *at, unsigned (&b)[NT][2])
{
    if constexpr (NT == 1) {
        uint2 one = *reinterpret_cast<const uint2 *>(at);
        b[0][0] = one.x;
        b[0][1] = one.y;
    } else {
        UNROLL for (int i = 0; i < NT; i += 2)
        {
            uint4 two = __ldg(at + i / 2 * WARP);
            b[i][0] = two.x;
            b[i][1] = two.y;
            b[i + 1][0] = two.z;
            b[i + 1][1] = two.w;
        }
    }
}

/* 16 rows of a step. */
template <class T> __device__ static inline void load_rows(const unsigned char *rows, unsigned (&a)[4])
{
    ldmatrix_x4(a, rows);
    if constexpr (sizeof(T) == 4)
        UNROLL for (int i = 0; i < 4; i++) a[i] = to_tf32(__uint_as_float(a[i]));
}

/* One step: acc += the 16 * MT rows times b; while 16 rows are multiplied the next ones come. */
template <class T, int MT, int NT>
__device__ static inline void tile_step(const unsigned char *rows, int row_bytes, const unsigned (&b)[NT][2],
                                        float (&acc)[MT][NT][4])
{
    unsigned a[2][4];
    load_rows<T>(rows, a[0]);
    UNROLL for (int m = 0; m < MT; m++)
    {
        if (m + 1 < MT)
            load_rows<T>(rows + (m + 1) * row_bytes, a[(m + 1) % 2]);
        UNROLL for (int n = 0; n < NT; n++)
        {
            if constexpr (sizeof(T) == 4)
                mma_1688_tf32(acc[m][n], a[m % 2], b[n]);
            else
                mma_16816<T>(acc[m][n], a[m % 2], b[n]);
        }
    }
}

/* The sums over all slices and taps. ring: stages of c.staged pixels. warp_m: which rows of the block are this warp's;
 * a warp without work only stages. */
template <class T, int MT, int NT>
__device__ static inline void tile_sums(const ConvCall &c, const Place *places, unsigned char *ring, int warp_m,
                                        const uint4 *w, bool busy, float (&acc)[MT][NT][4])
{
    constexpr int STEP = STEP_BYTES / static_cast<int>(sizeof(T));
    int lane = static_cast<int>(threadIdx.x) % WARP, taps = c.kh * c.kw, steps = (c.cx + STEP - 1) / STEP;
    int depth = c.halo ? HALO_DEPTH : TAP_DEPTH, each = c.halo ? 1 : taps, fills = (steps + 1) / 2 * each;
    int stage_bytes = c.staged * PIXEL_BYTES, row_bytes = (c.halo ? c.halo_w : TILE_SIDE) * PIXEL_BYTES;
    int mine = warp_m * MT * row_bytes + lane % 16 * PIXEL_BYTES + lane / 16 * CHUNK_BYTES;
    int w_step = (c.n + 15) / 16 * WARP;
    unsigned ahead[NT][2];
    for (int m = 0; m < MT; m++)
        for (int n = 0; n < NT; n++)
            for (int i = 0; i < 4; i++)
                acc[m][n][i] = 0;
    load_weights<NT>(w, ahead);
    for (int fill = 0; fill < depth - 1; fill++) {
        if (fill < fills)
            fill_stage<T>(c, places, fill / each, fill % each / c.kw, fill % each % c.kw, ring + fill * stage_bytes);
        cp_async_commit();
    }
    for (int fill = 0; fill < fills; fill++) {
        if (c.halo)
            cp_async_wait<HALO_DEPTH - 2>();
        else
            cp_async_wait<TAP_DEPTH - 2>();
        __syncthreads(); /* this stage is there for all, and all are done with the one before */
        int later = fill + depth - 1;
        if (later < fills)
            fill_stage<T>(c, places, later / each, later % each / c.kw, later % each % c.kw,
                          ring + later % depth * stage_bytes);
        cp_async_commit();
        const unsigned char *rows = ring + fill % depth * stage_bytes + mine;
        int here = min(2, steps - fill / each * 2);
        for (int tap = 0, tx = 0; busy && tap < (c.halo ? taps : 1); tap++) {
            for (int step = 0; step < here; step++) {
                unsigned b[NT][2];
                UNROLL for (int n = 0; n < NT; n++) UNROLL for (int i = 0; i < 2; i++) b[n][i] = ahead[n][i];
                w += w_step;
                load_weights<NT>(w, ahead);
                tile_step<T, MT, NT>(rows + step * STEP_BYTES, row_bytes, b, acc);
            }
            bool end = ++tx == c.kw;
            rows += end ? (c.halo_w - c.kw + 1) * PIXEL_BYTES : PIXEL_BYTES;
            tx = end ? 0 : tx;
        }
    }
}

/* Row m of the block from its sums: bias, residual, relu, rounded and stored. False when the row has no pixel. */
template <class T>
__device__ static inline bool store_row(const ConvCall &c, const TileAt &at, int m, int channel, const float (&bias)[8],
                                        float (&x)[8])
{
    int image, gy, gx, spread = c.phases == 4 ? 2 : 1;
    if (!tile_pixel(c, at, m, image, gy, gx))
        return false;
    int64_t pixel =
        (static_cast<int64_t>(image) * c.oh + gy * spread + at.phase / 2) * c.ow + gx * spread + at.phase % 2;
    UNROLL for (int i = 0; i < 8; i++) x[i] += bias[i];
    if (c.residual) {
        float residual[8];
        load8(static_cast<const T *>(c.residual) + pixel * c.cy + channel, residual);
        UNROLL for (int i = 0; i < 8; i++) x[i] += residual[i];
    }
    UNROLL for (int i = 0; i < 8; i++) x[i] = c.relu ? fmaxf(x[i], 0.0f) : x[i];
    store8(static_cast<T *>(c.y) + pixel * c.cy + channel, x);
    return true;
}

/* Turns 16 rows at a time through `turn`, the warp's own shared memory, [16][NT * 8 + 8] floats. A lane gets rows of
 * the same eight channels: lane % NT. */
template <class T, int MT, int NT>
__device__ static inline void tile_store(const ConvCall &c, const TileAt &at, int warp_m, int channel, float *turn,
                                         const float (&acc)[MT][NT][4], MapSums &sums)
{
    constexpr int PITCH = NT * 8 + 8;
    int lane = static_cast<int>(threadIdx.x) % WARP, r = lane / 4, col = lane % 4 * 2;
    float bias[8];
    load8(c.bias + channel, bias);
    UNROLL for (int m = 0; m < MT; m++)
    {
        __syncwarp(); /* the rows before are read */
        UNROLL for (int n = 0; n < NT; n++) UNROLL for (int half = 0; half < 2; half++) *
            reinterpret_cast<float2 *>(&turn[(r + 8 * half) * PITCH + n * 8 + col]) =
            make_float2(acc[m][n][2 * half], acc[m][n][2 * half + 1]);
        __syncwarp();
        for (int i = lane; i < 16 * NT && channel < c.cy; i += WARP) {
            float x[8];
            load8(&turn[i / NT * PITCH + i % NT * 8], x);
            if (store_row<T>(c, at, (warp_m * MT + m) * 16 + i / NT, channel, bias, x) && c.partials)
                sums_add(sums, x);
        }
    }
}

/* Every lane's piece of its eight channels goes through shared memory, [rows' warps][lanes of a channel][WIDE],
 * neighbouring lanes side by side; a thread a channel joins them and leaves the block's piece. */
template <int WARPS_M, int NT, int WIDE>
__device__ static inline void tile_stats(const ConvCall &c, const TileAt &at, const MapSums &sums, MapPartial *pieces)
{
    constexpr int LANES = WARP / NT;
    int thread = static_cast<int>(threadIdx.x), lane = thread % WARP;
    int warp_m = thread / WARP % WARPS_M, column = thread / WARP / WARPS_M * NT * 8;
    __syncthreads(); /* the memory is free */
    UNROLL for (int i = 0; i < 8; i++) pieces[(warp_m * LANES + lane / NT) * WIDE + column + i * NT + lane % NT] =
        sums_of(sums, i);
    __syncthreads();
    int channel = static_cast<int>(blockIdx.y) * WIDE + thread, tiles = c.tiles_x * c.tiles_y;
    if (thread >= WIDE || channel >= c.cy)
        return;
    const MapPartial *mine = pieces + thread / (NT * 8) * NT * 8 + thread % 8 * NT + thread % (NT * 8) / 8;
    MapPartial all = mine[0];
    for (int i = 1; i < WARPS_M * LANES; i++)
        all = join(all, mine[i * WIDE]);
    int64_t part =
        (static_cast<int64_t>(at.image) * c.phases + at.phase) * tiles + static_cast<int>(blockIdx.x) % tiles;
    c.partials[part * c.cy + channel] = all;
}

/* Grid: tiles of pixels, tiles of output channels, phases. WARPS_M warps share the rows, the others the channels; a
 * warp makes 16 * MT rows of 8 * NT channels. */
template <class T, int WARPS_M, int MT, int NT>
static __global__ void __launch_bounds__(TILE_THREADS, NT == 8 ? 1 : 2) conv_tile(ConvCall c)
{
    constexpr int WARPS_N = TILE_WARPS / WARPS_M, WIDE = WARPS_N * NT * 8;
    static_assert(WARPS_M * MT * 16 == TILE_ROWS, "the warps make all rows");
    DYN_SHARED(unsigned char, memory);
    int warp = static_cast<int>(threadIdx.x) / WARP, warp_m = warp % WARPS_M, column = warp / WARPS_M * NT * 8;
    int channel = static_cast<int>(blockIdx.y) * WIDE + column, lane = static_cast<int>(threadIdx.x) % WARP;
    Place *places = reinterpret_cast<Place *>(memory);
    unsigned char *ring =
        memory + (c.staged * static_cast<int>(sizeof(Place)) + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;
    TileAt at = tile_at(c);
    int image, gy, gx;
    bool busy = channel < c.cy && tile_pixel(c, at, warp_m * MT * 16, image, gy, gx);
    find_places(c, at, places);
    __syncthreads();
    const uint4 *w = reinterpret_cast<const uint4 *>(static_cast<const unsigned *>(c.w) + at.phase * c.w_words) +
                     channel / 16 * WARP + lane;
    float acc[MT][NT][4];
    tile_sums<T, MT, NT>(c, places, ring, warp_m, w, busy, acc);
    __syncthreads(); /* the ring is free */
    MapSums sums = {};
    if (busy)
        tile_store<T, MT, NT>(c, at, warp_m, channel + lane % NT * 8,
                              reinterpret_cast<float *>(ring) + warp * 16 * (NT * 8 + 8), acc, sums);
    if (c.partials)
        tile_stats<WARPS_M, NT, WIDE>(c, at, sums, reinterpret_cast<MapPartial *>(ring));
}

template <class T, int WARPS_M, int MT, int NT> static void tile_launch(Cuda *cuda, const ConvCall &c)
{
    constexpr int WIDE = TILE_WARPS / WARPS_M * NT * 8;
    size_t ring = static_cast<size_t>((c.halo ? HALO_DEPTH : TAP_DEPTH) * c.staged) * PIXEL_BYTES;
    size_t turn = sizeof(float) * TILE_WARPS * 16 * (NT * 8 + 8), stats = sizeof(MapPartial) * TILE_THREADS * 8;
    size_t bytes = ring > turn ? ring : turn;
    bytes = c.partials && bytes < stats ? stats : bytes;
    int64_t tiles = c.square ? static_cast<int64_t>(c.images) * c.tiles_x * c.tiles_y
                             : gpu_blocks(static_cast<int64_t>(c.images) * c.gh * c.gw, TILE_ROWS);
    dim3 grid(static_cast<unsigned>(tiles), gpu_blocks(c.cy, WIDE), static_cast<unsigned>(c.phases));
    LAUNCH((conv_tile<T, WARPS_M, MT, NT>), grid, TILE_THREADS, tile_places_bytes(c.staged) + bytes, cuda->stream, c);
}

template <class T> static void tile_by_width(Cuda *cuda, const ConvCall &c, int wide)
{
    if (wide == CONV_WIDE)
        tile_launch<T, 4, 4, 8>(cuda, c);
    else if (wide == CONV_MIDDLE)
        tile_launch<T, 4, 4, 4>(cuda, c);
    else if (wide == CONV_NARROW)
        tile_launch<T, 8, 2, 4>(cuda, c);
    else
        tile_launch<T, 8, 2, 1>(cuda, c);
}

} // namespace GPU_SPACE

#endif
