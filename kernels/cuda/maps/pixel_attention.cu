/* Attention of the decoder: y_i = softmax_j(q_i . k_j scale) v_j over all pixels of an image, one head of C channels.
 * The softmax runs online over tiles of keys: a row keeps its maximum and its sum, and shrinks its mix when the maximum
 * grows.
 *
 *   pixels_mma   fp16, bf16 up to CHANNELS_MOST channels. A block is 16 query rows. Scores: a warp has eight keys of a
 *                tile; they are combined in shared memory for the softmax, whose weights are rounded to 16 bits; then a
 *                warp has 64 of the channels. Keys and values pass through one buffer: the copy of the
 *                values runs during the softmax.
 *   pixels_f32   fp32, tf32, and more channels. A block is 16 query rows and 128 channels of the result, so it computes
 *                the scores once for every 128 channels; products are plain f32.
 *
 * 0.13 GFLOP an image at 16x16 pixels of 512 channels, beside some 200 of the decoder's convolutions: neither is worth
 * more than this. The order of a row's sums depends on the shape alone. */
#include "kernels/cuda/maps/map.h"
#include "kernels/cuda/mma.h"

namespace GPU_SPACE
{

struct PixelShape {
    int pixels, width; /* of an image; channels with padding */
    float scale;
};

static constexpr int ROWS = 16;

__device__ static inline int64_t image_at(const PixelShape &shape, int b)
{
    return static_cast<int64_t>(b) * shape.pixels * shape.width;
}

/* --- tensor cores ----------------------------------------------------------------------------------------- */

static constexpr int MMA_WARPS = 8, MMA_THREADS = MMA_WARPS * WARP, KEYS = 8 * MMA_WARPS, SLICE = 64,
                     CHANNELS_MOST = MMA_WARPS * SLICE, WEIGHT_PITCH = KEYS + 8, SCORE_PITCH = KEYS + 4;

/* Rows of shared tiles: whole steps of 16 channels, and 8 more so that neighbouring rows start on different banks. */
__host__ __device__ static inline int tile_pitch(int width)
{
    return (width + 15) / 16 * 16 + 8;
}

/* A block's dynamic shared memory. */
template <class T> struct Tiles {
    int pitch;
    T *queries, *others;        /* [ROWS][pitch]; keys, then values [KEYS][pitch] */
    T *weights;                 /* [ROWS][WEIGHT_PITCH] */
    float *scores;              /* [ROWS][SCORE_PITCH] */
    float *most, *sum, *shrink; /* of each row */
};

static size_t tiles_bytes(int width)
{
    return static_cast<size_t>((ROWS + KEYS) * tile_pitch(width) + ROWS * WEIGHT_PITCH) * 2 +
           static_cast<size_t>(ROWS * SCORE_PITCH + 3 * ROWS) * sizeof(float);
}

template <class T> __device__ static inline Tiles<T> tiles_at(void *memory, int width)
{
    Tiles<T> tiles;
    tiles.pitch = tile_pitch(width);
    tiles.queries = static_cast<T *>(memory);
    tiles.others = tiles.queries + ROWS * tiles.pitch;
    tiles.weights = tiles.others + KEYS * tiles.pitch;
    tiles.scores = reinterpret_cast<float *>(tiles.weights + ROWS * WEIGHT_PITCH);
    tiles.most = tiles.scores + ROWS * SCORE_PITCH;
    tiles.sum = tiles.most + ROWS;
    tiles.shrink = tiles.sum + ROWS;
    return tiles;
}

/* Rows from.. of an image into shared memory, in the background; zeros beyond the image and the channels. */
template <class T>
__device__ static inline void fetch(const T *image, const PixelShape &shape, int from, int rows, T *tile, int pitch)
{
    int groups = (pitch - 8) / GROUP;
    for (int i = static_cast<int>(threadIdx.x); i < rows * groups; i += MMA_THREADS) {
        int row = i / groups, col = i % groups * GROUP;
        bool inside = from + row < shape.pixels && col < shape.width;
        cp_async16(tile + row * pitch + col,
                   inside ? image + static_cast<int64_t>(from + row) * shape.width + col : image, inside);
    }
    cp_async_commit();
}

/* This warp's eight keys against the rows. */
template <class T> __device__ static inline void scores_mma(const Tiles<T> &tiles, float scale)
{
    int lane = static_cast<int>(threadIdx.x) % WARP, warp = static_cast<int>(threadIdx.x) / WARP;
    float s[4] = {0};
    for (int c = 0; c < tiles.pitch - 8; c += 16) {
        unsigned a[4], b[2];
        ldmatrix_x4(a, tiles.queries + lane % 16 * tiles.pitch + c + lane / 16 * 8);
        ldmatrix_x2(b, tiles.others + (warp * 8 + lane % 8) * tiles.pitch + c + lane / 8 % 2 * 8);
        mma_16816<T>(s, a, b);
    }
    for (int i = 0; i < 4; i++)
        tiles.scores[(lane / 4 + 8 * (i / 2)) * SCORE_PITCH + warp * 8 + lane % 4 * 2 + i % 2] = s[i] * scale;
}

/* Scores of `keys` keys to weights; a warp has two rows, a lane two keys of each. */
template <class T> __device__ static inline void soften(const Tiles<T> &tiles, int keys)
{
    int lane = static_cast<int>(threadIdx.x) % WARP, warp = static_cast<int>(threadIdx.x) / WARP;
    for (int row = warp * (ROWS / MMA_WARPS); row < (warp + 1) * (ROWS / MMA_WARPS); row++) {
        float s[2], most = tiles.most[row];
        for (int i = 0; i < 2; i++)
            s[i] = lane * 2 + i < keys ? tiles.scores[row * SCORE_PITCH + lane * 2 + i] : -INFINITY;
        float higher = fmaxf(most, warp_max(fmaxf(s[0], s[1]))), shrink = expf(most - higher);
        for (int i = 0; i < 2; i++)
            s[i] = expf(s[i] - higher);
        *reinterpret_cast<unsigned *>(tiles.weights + row * WEIGHT_PITCH + lane * 2) = pack2<T>(s[0], s[1]);
        float sum = tiles.sum[row] * shrink + warp_sum(s[0] + s[1]);
        __syncwarp(); /* all lanes have read the row's numbers */
        if (lane == 0) {
            tiles.most[row] = higher;
            tiles.sum[row] = sum;
            tiles.shrink[row] = shrink;
        }
    }
}

/* mix = mix shrink + weights v, for this warp's channels from.. */
template <class T> __device__ static inline void mix_mma(const Tiles<T> &tiles, int from, float (&mix)[SLICE / 8][4])
{
    int lane = static_cast<int>(threadIdx.x) % WARP;
    UNROLL for (int n = 0; n < SLICE / 8; n++) UNROLL for (int i = 0; i < 4; i++) mix[n][i] *=
        tiles.shrink[lane / 4 + 8 * (i / 2)];
    for (int k = 0; k < KEYS; k += 16) {
        unsigned a[4];
        ldmatrix_x4(a, tiles.weights + lane % 16 * WEIGHT_PITCH + k + lane / 16 * 8);
        UNROLL for (int n = 0; n < SLICE / 8; n += 2) if (from + n * 8 < tiles.pitch - 8)
        {                  /* the whole warp or none of it */
            unsigned b[4]; /* channels 8n.. with keys k.., k+8..; then channels 8n+8.. */
            ldmatrix_x4_turned(b, tiles.others + (k + lane / 8 % 2 * 8 + lane % 8) * tiles.pitch + from + n * 8 +
                                      lane / 16 * 8);
            mma_16816<T>(mix[n], a, {b[0], b[1]});
            mma_16816<T>(mix[n + 1], a, {b[2], b[3]});
        }
    }
}

template <class T>
static __global__ void __launch_bounds__(MMA_THREADS)
    pixels_mma(const T *q, const T *k, const T *v, PixelShape shape, T *y)
{
    DYN_SHARED(uint4, memory);
    Tiles<T> tiles = tiles_at<T>(memory, shape.width);
    int thread = static_cast<int>(threadIdx.x), lane = thread % WARP, channels = thread / WARP * SLICE;
    int from = static_cast<int>(blockIdx.x) * ROWS;
    int64_t image = image_at(shape, static_cast<int>(blockIdx.y));
    fetch(q + image, shape, from, ROWS, tiles.queries, tiles.pitch);
    if (thread < ROWS) {
        tiles.most[thread] = -INFINITY;
        tiles.sum[thread] = 0;
    }
    float mix[SLICE / 8][4] = {{0}};
    for (int tile = 0; tile < shape.pixels; tile += KEYS) {
        __syncthreads(); /* the values before are used */
        fetch(k + image, shape, tile, KEYS, tiles.others, tiles.pitch);
        cp_async_wait<0>();
        __syncthreads();
        scores_mma(tiles, shape.scale);
        __syncthreads(); /* scores are there, the keys are used */
        fetch(v + image, shape, tile, KEYS, tiles.others, tiles.pitch);
        soften(tiles, min(KEYS, shape.pixels - tile));
        cp_async_wait<0>();
        __syncthreads();
        mix_mma(tiles, channels, mix);
    }
    UNROLL for (int n = 0; n < SLICE / 8; n++) for (int half = 0; half < 2; half++)
    {
        int row = lane / 4 + 8 * half, channel = channels + n * 8 + lane % 4 * 2;
        if (from + row < shape.pixels && channel < shape.width)
            *reinterpret_cast<unsigned *>(y + image + static_cast<int64_t>(from + row) * shape.width + channel) =
                pack2<T>(mix[n][2 * half] / tiles.sum[row], mix[n][2 * half + 1] / tiles.sum[row]);
    }
}

/* --- f32 -------------------------------------------------------------------------------------------------- */

static constexpr int F32_WARPS = 4, F32_THREADS = F32_WARPS * WARP, OWN = ROWS / F32_WARPS, DEPTH = 32, OUT = 128;

/* A tile of 32 rows and `columns` channels from.., in f32; zeros beyond the image and the channels. */
template <class T, int columns, int pitch>
__device__ static inline void stage(const T *image, const PixelShape &shape, int row, int rows, int from,
                                    float (*tile)[pitch])
{
    constexpr int groups = columns / GROUP;
    for (int i = static_cast<int>(threadIdx.x); i < rows * groups; i += F32_THREADS) {
        int r = i / groups, c = i % groups * GROUP;
        Group<T> in = {};
        if (row + r < shape.pixels && from + c < shape.width)
            in = group_load(image + static_cast<int64_t>(row + r) * shape.width + from + c);
        UNROLL for (int j = 0; j < GROUP; j++) tile[r][c + j] = widen(in.v[j]);
    }
}

/* Of one lane: its warp's OWN rows and the channels lane, lane + 32, .. of the block's OUT. */
struct Running {
    float most[OWN], sum[OWN], mix[OWN][OUT / WARP];
};

/* score[r]: row r of the warp against key `lane` of the tile. */
template <class T>
__device__ static inline void scores_f32(const T *q, const T *k, const PixelShape &shape, int from, int tile,
                                         float (&score)[OWN])
{
    SHARED(float, queries, [ROWS][DEPTH + 1]);
    SHARED(float, keys, [WARP][DEPTH + 1]);
    int lane = static_cast<int>(threadIdx.x) % WARP, own = static_cast<int>(threadIdx.x) / WARP * OWN;
    for (int r = 0; r < OWN; r++)
        score[r] = 0;
    for (int depth = 0; depth < shape.width; depth += DEPTH) {
        __syncthreads(); /* the channels before are used */
        stage<T, DEPTH>(q, shape, from, ROWS, depth, queries);
        stage<T, DEPTH>(k, shape, tile, WARP, depth, keys);
        __syncthreads();
        for (int c = 0; c < DEPTH; c++)
            for (int r = 0; r < OWN; r++)
                score[r] += queries[own + r][c] * keys[lane][c];
    }
}

__device__ static inline void soften_f32(const float (&score)[OWN], bool inside, float scale, float (*weights)[WARP],
                                         Running &run)
{
    int lane = static_cast<int>(threadIdx.x) % WARP, own = static_cast<int>(threadIdx.x) / WARP * OWN;
    for (int r = 0; r < OWN; r++) {
        float s = inside ? score[r] * scale : -INFINITY;
        float higher = fmaxf(run.most[r], warp_max(s)), shrink = expf(run.most[r] - higher), weight = expf(s - higher);
        run.most[r] = higher;
        run.sum[r] = run.sum[r] * shrink + warp_sum(weight);
        weights[own + r][lane] = weight;
        for (int c = 0; c < OUT / WARP; c++)
            run.mix[r][c] *= shrink;
    }
}

template <class T>
static __global__ void __launch_bounds__(F32_THREADS)
    pixels_f32(const T *q, const T *k, const T *v, PixelShape shape, T *y)
{
    SHARED(float, values, [WARP][OUT]);
    SHARED(float, weights, [ROWS][WARP]);
    int thread = static_cast<int>(threadIdx.x), lane = thread % WARP, own = thread / WARP * OWN;
    int from = static_cast<int>(blockIdx.x) * ROWS, channels = static_cast<int>(blockIdx.y) * OUT;
    int64_t image = image_at(shape, static_cast<int>(blockIdx.z));
    Running run;
    for (int r = 0; r < OWN; r++) {
        run.most[r] = -INFINITY;
        run.sum[r] = 0;
        for (int c = 0; c < OUT / WARP; c++)
            run.mix[r][c] = 0;
    }
    for (int tile = 0; tile < shape.pixels; tile += WARP) {
        float score[OWN];
        scores_f32(q + image, k + image, shape, from, tile, score); /* after its barriers the values before are used */
        soften_f32(score, tile + lane < shape.pixels, shape.scale, weights, run);
        stage<T, OUT>(v + image, shape, tile, WARP, channels, values);
        __syncthreads();
        for (int j = 0; j < WARP; j++)
            for (int c = 0; c < OUT / WARP; c++)
                for (int r = 0; r < OWN; r++)
                    run.mix[r][c] += weights[own + r][j] * values[j][lane + c * WARP];
    }
    for (int r = 0; r < OWN; r++)
        for (int c = 0; c < OUT / WARP; c++) {
            int row = from + own + r, channel = channels + lane + c * WARP;
            if (row < shape.pixels && channel < shape.width)
                y[image + static_cast<int64_t>(row) * shape.width + channel] = narrow<T>(run.mix[r][c] / run.sum[r]);
        }
}

/* --- choice ----------------------------------------------------------------------------------------------- */

template <class T, class Kernel>
static void attend(Cuda *cuda, Kernel kernel, dim3 grid, int threads, size_t shared, const PixelShape &shape,
                   const FeatureMap *maps)
{
    LAUNCH(kernel, grid, static_cast<unsigned>(threads), shared, cuda->stream, static_cast<const T *>(maps[0].data),
           static_cast<const T *>(maps[1].data), static_cast<const T *>(maps[2].data), shape,
           static_cast<T *>(maps[3].data));
}

template <class T> static void attend_16bit(Cuda *cuda, int images, const PixelShape &shape, const FeatureMap *maps)
{
    dim3 grid(gpu_blocks(shape.pixels, ROWS), static_cast<unsigned>(images));
    attend<T>(cuda, pixels_mma<T>, grid, MMA_THREADS, tiles_bytes(shape.width), shape, maps);
}

template <class T> static void attend_f32(Cuda *cuda, int images, const PixelShape &shape, const FeatureMap *maps)
{
    dim3 grid(gpu_blocks(shape.pixels, ROWS), gpu_blocks(shape.width, OUT), static_cast<unsigned>(images));
    attend<T>(cuda, pixels_f32<T>, grid, F32_THREADS, 0, shape, maps);
}

void cuda_pixel_attention(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    const FeatureMap maps[] = {q, k, v, y};
    PixelShape shape = {q.h * q.w, map_channels(q.c), scale};
    bool fits = shape.width <= CHANNELS_MOST && tiles_bytes(shape.width) <= cuda->device.shared_most;
    if (fits && be->precision == PREC_F16)
        attend_16bit<__half>(cuda, q.b, shape, maps);
    else if (fits && be->precision == PREC_BF16)
        attend_16bit<__nv_bfloat16>(cuda, q.b, shape, maps);
    else
        CUDA_BY_TYPE(cuda, attend_f32, cuda, q.b, shape, maps);
}

} // namespace GPU_SPACE
