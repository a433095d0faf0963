/* Attention of the transformers: y_i = softmax over the class column and tokens 0..first+i of (q_i . k_j / sqrt(hd))
 * v_j. The class key is the zero vector, so its score is 0: a row starts from maximum 0, sum 1 and the class's value
 * row, and its softmax then runs online over tiles of keys.
 *
 *   attend_warps   f32 (fp32, tf32; and every head size). A block is QUERIES query rows of one head, a warp eight of
 *                  them. For scores a lane is a key, for the mix a lane is a channel; keys and values pass through
 *                  shared memory.
 *   attend_mma     fp16, bf16 at head size 64. A warp is 16 query rows on the tensor cores: scores in registers in the
 *                  layout that is the next product's left operand, so weights never touch memory. Sums in f32.
 *   attend_one     few queries (the teacher decodes one token at a time): a block is one query row of one head, and its
 *                  threads read the cache once, coalesced; bound by that reading.
 *
 * Which one runs depends on T, the head size and the precision, never on B; the order of a row's sums depends on its
 * position alone. Keys beyond first+T may hold anything: they are not read. */
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/mma.h"

namespace GPU_SPACE
{

struct AttentionShape {
    int t, heads, hd, s, first; /* q, y [B,t,heads*hd]; k, v [B,heads,s,hd] */
    float scale;
};

/* Where a block's head begins: blockIdx.y is the head, blockIdx.z the image. */
struct Head {
    const float *q, *k, *v, *v_class;
    float *y;
    int width; /* floats between rows of q and y */
};

__device__ static inline Head head_at(const AttentionShape &shape, const float *q, const float *k, const float *v,
                                      const float *v_class, float *y)
{
    int64_t b = blockIdx.z, h = blockIdx.y, width = static_cast<int64_t>(shape.heads) * shape.hd;
    int64_t rows = b * shape.t * width + h * shape.hd, cache = (b * shape.heads + h) * shape.s * shape.hd;
    return Head{q + rows, k + cache, v + cache, v_class + b * width + h * shape.hd, y + rows, static_cast<int>(width)};
}

/* --- f32 -------------------------------------------------------------------------------------------------- */

static constexpr int QUERIES = 32, WARPS = 4, OWN = QUERIES / WARPS, KEYS = 32, HEAD_MOST = 128,
                     CHANNELS = HEAD_MOST / WARP;

/* Dynamic shared memory: queries [QUERIES][hd], keys [KEYS][hd+1] (a lane is a row: odd rows fall on different banks
 * when hd is even), values [KEYS][hd], weights [QUERIES][KEYS]. */
static size_t warps_shared(int hd)
{
    return static_cast<size_t>(QUERIES * hd + KEYS * (hd + 1) + KEYS * hd + QUERIES * KEYS) * sizeof(float);
}

static __global__ void __launch_bounds__(WARPS *WARP)
    attend_warps(const float *q, const float *k, const float *v, const float *v_class, AttentionShape shape, float *y)
{
    DYN_SHARED(float, queries);
    int hd = shape.hd, thread = static_cast<int>(threadIdx.x), lane = thread % WARP, warp = thread / WARP;
    float *keys = queries + QUERIES * hd, *values = keys + KEYS * (hd + 1),
          *weights = values + KEYS * hd + warp * OWN * KEYS;
    Head head = head_at(shape, q, k, v, v_class, y);
    int from = static_cast<int>(blockIdx.x) * QUERIES, mine = from + warp * OWN;
    int filled = shape.first + shape.t, upto = min(shape.first + from + QUERIES, filled);
    for (int i = thread; i < QUERIES * hd; i += WARPS * WARP) {
        int row = from + i / hd;
        queries[i] = row < shape.t ? head.q[static_cast<int64_t>(row) * head.width + i % hd] * shape.scale : 0.0f;
    }
    float most[OWN], sum[OWN], mix[OWN][CHANNELS];
    for (int r = 0; r < OWN; r++) {
        most[r] = 0;
        sum[r] = 1;
        for (int c = 0; c < CHANNELS; c++)
            mix[r][c] = lane + c * WARP < hd ? head.v_class[lane + c * WARP] : 0.0f;
    }
    for (int tile = 0; tile < upto; tile += KEYS) {
        __syncthreads(); /* the tile before is used */
        for (int i = thread; i < KEYS * hd; i += WARPS * WARP) {
            int row = tile + i / hd;
            bool there = row < filled;
            keys[i / hd * (hd + 1) + i % hd] = there ? head.k[static_cast<int64_t>(tile) * hd + i] : 0.0f;
            values[i] = there ? head.v[static_cast<int64_t>(tile) * hd + i] : 0.0f;
        }
        __syncthreads();
        float score[OWN] = {0};
        for (int c = 0; c < hd; c++)
            for (int r = 0; r < OWN; r++)
                score[r] += queries[(warp * OWN + r) * hd + c] * keys[lane * (hd + 1) + c];
        for (int r = 0; r < OWN; r++) {
            bool seen = tile + lane <= shape.first + mine + r;
            float higher = fmaxf(most[r], warp_max(seen ? score[r] : -INFINITY)), shrink = expf(most[r] - higher);
            float weight = seen ? expf(score[r] - higher) : 0.0f;
            most[r] = higher;
            sum[r] = sum[r] * shrink + warp_sum(weight);
            weights[r * KEYS + lane] = weight;
            for (int c = 0; c < CHANNELS; c++)
                mix[r][c] *= shrink;
        }
        __syncwarp();
        for (int j = 0; j < KEYS; j++)
            for (int c = 0; c < CHANNELS; c++) {
                int channel = lane + c * WARP;
                float value = channel < hd ? values[j * hd + channel] : 0.0f;
                for (int r = 0; r < OWN; r++)
                    mix[r][c] += weights[r * KEYS + j] * value;
            }
    }
    for (int r = 0; r < OWN; r++)
        for (int c = 0; c < CHANNELS; c++)
            if (mine + r < shape.t && lane + c * WARP < hd)
                head.y[static_cast<int64_t>(mine + r) * head.width + lane + c * WARP] = mix[r][c] / sum[r];
}

/* --- fp16, bf16 ------------------------------------------------------------------------------------------- */

/* Rows of shared tiles are 72 values of 16 bits: eight neighbouring rows then start on different banks (ldmatrix). */
static constexpr int HD = 64, MMA_WARPS = 4, MMA_ROWS = MMA_WARPS * 16, MMA_KEYS = 64, PITCH = HD + 8;
static constexpr int KEY_TILES = MMA_KEYS / 8, CHANNEL_TILES = HD / 8;

/* 64 rows of 64 floats to 16 bits in shared memory, zeros from row `there` on. */
template <class T>
__device__ static inline void stage(const float *rows, int64_t width, int there, float scale, T (*tile)[PITCH])
{
    for (int i = static_cast<int>(threadIdx.x); i < MMA_ROWS * HD / 4; i += MMA_WARPS * WARP) {
        int row = i / (HD / 4), col = i % (HD / 4) * 4;
        float4 x = make_float4(0, 0, 0, 0);
        if (row < there)
            x = *reinterpret_cast<const float4 *>(rows + row * width + col);
        *reinterpret_cast<uint2 *>(&tile[row][col]) =
            make_uint2(pack2<T>(x.x * scale, x.y * scale), pack2<T>(x.z * scale, x.w * scale));
    }
}

/* Of one lane: rows r and r + 8 of its warp's 16, r = lane/4; half 0 and 1. */
struct Running {
    float most[2], sum[2], mix[CHANNEL_TILES][4];
};

/* s = q k^T of 16 rows and 64 keys. */
template <class T>
__device__ static inline void mma_scores(const unsigned (&rows)[HD / 16][4], T (*keys)[PITCH], float (&s)[KEY_TILES][4])
{
    int lane = static_cast<int>(threadIdx.x) % WARP;
    for (int n = 0; n < KEY_TILES; n++)
        for (int i = 0; i < 4; i++)
            s[n][i] = 0;
    UNROLL for (int n = 0; n < KEY_TILES; n += 2) UNROLL for (int c = 0; c < HD / 16; c++)
    {
        unsigned b[4]; /* keys 8n.. with channels 16c.., 16c+8..; then keys 8n+8.. */
        ldmatrix_x4(b, &keys[n * 8 + lane / 16 * 8 + lane % 8][c * 16 + lane / 8 % 2 * 8]);
        mma_16816<T>(s[n], rows[c], {b[0], b[1]});
        mma_16816<T>(s[n + 1], rows[c], {b[2], b[3]});
    }
}

/* Scores to weights in place; the row's maximum, sum and mix move on. own: the last key that row r may see, from the
 * tile's first. */
__device__ static inline void mma_soften(float (&s)[KEY_TILES][4], int own, Running &run)
{
    int lane = static_cast<int>(threadIdx.x) % WARP;
    for (int half = 0; half < 2; half++) {
        float higher = run.most[half], sum = 0;
        for (int n = 0; n < KEY_TILES; n++)
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                s[n][i] = n * 8 + lane % 4 * 2 + i % 2 <= own + 8 * half ? s[n][i] : -INFINITY;
                higher = fmaxf(higher, s[n][i]);
            }
        higher = fmaxf(higher, __shfl_xor_sync(0xffffffffu, higher, 1)); /* the four lanes of a row */
        higher = fmaxf(higher, __shfl_xor_sync(0xffffffffu, higher, 2));
        float shrink = exp2f(run.most[half] - higher);
        for (int n = 0; n < KEY_TILES; n++)
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                s[n][i] = exp2f(s[n][i] - higher);
                sum += s[n][i];
            }
        run.most[half] = higher;
        run.sum[half] = run.sum[half] * shrink + sum;
        for (int n = 0; n < CHANNEL_TILES; n++)
            for (int i = 2 * half; i < 2 * half + 2; i++)
                run.mix[n][i] *= shrink;
    }
}

/* mix += weights v. */
template <class T>
__device__ static inline void mma_mix(const float (&s)[KEY_TILES][4], T (*values)[PITCH], Running &run)
{
    int lane = static_cast<int>(threadIdx.x) % WARP;
    UNROLL for (int j = 0; j < MMA_KEYS / 16; j++)
    {
        const unsigned a[4] = {pack2<T>(s[2 * j][0], s[2 * j][1]), pack2<T>(s[2 * j][2], s[2 * j][3]),
                               pack2<T>(s[2 * j + 1][0], s[2 * j + 1][1]), pack2<T>(s[2 * j + 1][2], s[2 * j + 1][3])};
        UNROLL for (int n = 0; n < CHANNEL_TILES; n += 2)
        {
            unsigned b[4]; /* channels 8n.. with keys 16j.., 16j+8..; then channels 8n+8.. */
            ldmatrix_x4_turned(b, &values[j * 16 + lane / 8 % 2 * 8 + lane % 8][n * 8 + lane / 16 * 8]);
            mma_16816<T>(run.mix[n], a, {b[0], b[1]});
            mma_16816<T>(run.mix[n + 1], a, {b[2], b[3]});
        }
    }
}

template <class T>
static __global__ void __launch_bounds__(MMA_WARPS *WARP)
    attend_mma(const float *q, const float *k, const float *v, const float *v_class, AttentionShape shape, float *y)
{
    SHARED(T, queries, [MMA_ROWS][PITCH]);
    SHARED(T, keys, [MMA_KEYS][PITCH]);
    SHARED(T, values, [MMA_KEYS][PITCH]);
    const float log2_e = 1.44269504f; /* e^x = 2^(x log2 e): the exponent unit's own base */
    int thread = static_cast<int>(threadIdx.x), lane = thread % WARP, warp = thread / WARP, r = lane / 4,
        c = lane % 4 * 2;
    Head head = head_at(shape, q, k, v, v_class, y);
    int from = static_cast<int>(blockIdx.x) * MMA_ROWS, filled = shape.first + shape.t;
    stage<T>(head.q + static_cast<int64_t>(from) * head.width, head.width, shape.t - from, 1.0f, queries);
    __syncthreads();
    unsigned rows[HD / 16][4];
    for (int i = 0; i < HD / 16; i++)
        ldmatrix_x4(rows[i], &queries[warp * 16 + lane % 16][i * 16 + lane / 16 * 8]);
    Running run;
    for (int half = 0; half < 2; half++) {
        run.most[half] = 0;
        run.sum[half] = lane % 4 == 0 ? 1.0f : 0.0f; /* the class column's weight, once a row */
    }
    for (int n = 0; n < CHANNEL_TILES; n++)
        for (int i = 0; i < 4; i++)
            run.mix[n][i] = head.v_class[n * 8 + c + i % 2];
    int upto = min(shape.first + from + MMA_ROWS, filled);
    for (int tile = 0; tile < upto; tile += MMA_KEYS) {
        float s[KEY_TILES][4];
        __syncthreads(); /* the tile before is used */
        stage<T>(head.k + static_cast<int64_t>(tile) * HD, HD, filled - tile, 1.0f, keys);
        stage<T>(head.v + static_cast<int64_t>(tile) * HD, HD, filled - tile, 1.0f, values);
        __syncthreads();
        mma_scores<T>(rows, keys, s);
        for (int n = 0; n < KEY_TILES; n++)
            for (int i = 0; i < 4; i++)
                s[n][i] *= shape.scale * log2_e;
        mma_soften(s, shape.first + from + warp * 16 + r - tile, run);
        mma_mix<T>(s, values, run);
    }
    for (int half = 0; half < 2; half++) {
        int row = from + warp * 16 + r + 8 * half;
        float sum = run.sum[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        for (int n = 0; n < CHANNEL_TILES && row < shape.t; n++)
            *reinterpret_cast<float2 *>(head.y + static_cast<int64_t>(row) * head.width + n * 8 + c) =
                make_float2(run.mix[n][2 * half] / sum, run.mix[n][2 * half + 1] / sum);
    }
}

/* --- few queries ------------------------------------------------------------------------------------------ */

static constexpr int ONE_THREADS = 256;

/* Dynamic shared memory: the query [hd], weights [keys], partial mixes [ONE_THREADS]. */
static __global__ void __launch_bounds__(ONE_THREADS)
    attend_one(const float *q, const float *k, const float *v, const float *v_class, AttentionShape shape, float *y)
{
    DYN_SHARED(float, query);
    int hd = shape.hd, thread = static_cast<int>(threadIdx.x), row = static_cast<int>(blockIdx.x),
        n = shape.first + row + 1;
    float *weights = query + hd, *partial = weights + shape.first + shape.t;
    Head head = head_at(shape, q, k, v, v_class, y);
    for (int c = thread; c < hd; c += ONE_THREADS)
        query[c] = head.q[static_cast<int64_t>(row) * head.width + c] * shape.scale;
    __syncthreads();
    float most = 0;
    for (int j = thread; j < n; j += ONE_THREADS) {
        const float *key = head.k + static_cast<int64_t>(j) * hd;
        float score = 0;
        for (int c = 0; c < hd; c++)
            score = fmaf(query[c], key[c], score);
        weights[j] = score;
        most = fmaxf(most, score);
    }
    SHARED(float, highest, [ONE_THREADS / WARP]);
    most = warp_max(most);
    if (thread % WARP == 0)
        highest[thread / WARP] = most;
    __syncthreads();
    for (int i = 0; i < ONE_THREADS / WARP; i++)
        most = fmaxf(most, highest[i]);
    float sum = thread == 0 ? expf(-most) : 0.0f;
    for (int j = thread; j < n; j += ONE_THREADS) {
        weights[j] = expf(weights[j] - most);
        sum += weights[j];
    }
    sum = block_sum(sum); /* and a barrier: the weights are there */
    int groups = ONE_THREADS / hd, group = thread / hd, channel = thread % hd;
    float mix = group == 0 ? head.v_class[channel] * expf(-most) : 0.0f;
    for (int j = group; j < n && group < groups; j += groups)
        mix = fmaf(weights[j], head.v[static_cast<int64_t>(j) * hd + channel], mix);
    partial[thread] = mix;
    __syncthreads();
    for (int i = 1; i < groups && group == 0; i++)
        mix += partial[i * hd + channel];
    if (group == 0)
        head.y[static_cast<int64_t>(row) * head.width + channel] = mix / sum;
}

/* --- choice ----------------------------------------------------------------------------------------------- */

static constexpr int FEW = 8;

template <class Kernel>
static void attend(Cuda *cuda, Kernel kernel, int rows, int threads, size_t shared, const AttentionShape &shape,
                   const Tensor *args)
{
    dim3 grid(gpu_blocks(shape.t, rows), static_cast<unsigned>(shape.heads), static_cast<unsigned>(args[0].shape[0]));
    LAUNCH(kernel, grid, static_cast<unsigned>(threads), shared, cuda->stream, static_cast<const float *>(args[0].data),
           static_cast<const float *>(args[1].data), static_cast<const float *>(args[2].data),
           static_cast<const float *>(args[3].data), shape, static_cast<float *>(args[4].data));
}

void cuda_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    const Tensor args[] = {q, k, v, v_class, y};
    AttentionShape shape = {};
    shape.t = static_cast<int>(q.shape[1]);
    shape.heads = heads;
    shape.hd = static_cast<int>(q.shape[2]) / heads;
    shape.s = static_cast<int>(k.shape[2]);
    shape.first = first;
    shape.scale = 1.0f / sqrtf(static_cast<float>(shape.hd));
    size_t one = static_cast<size_t>(shape.hd + first + shape.t + ONE_THREADS) * sizeof(float);
    if (shape.hd > HEAD_MOST)
        backend_fail(be, ERR_INTERNAL, "be_attention: heads of %d channels, CUDA has them up to %d", shape.hd,
                     HEAD_MOST);
    else if (shape.t <= FEW && one <= cuda->device.shared_most)
        attend(cuda, attend_one, 1, ONE_THREADS, one, shape, args);
    else if (be->precision == PREC_F16 && shape.hd == HD)
        attend(cuda, attend_mma<__half>, MMA_ROWS, MMA_WARPS * WARP, 0, shape, args);
    else if (be->precision == PREC_BF16 && shape.hd == HD)
        attend(cuda, attend_mma<__nv_bfloat16>, MMA_ROWS, MMA_WARPS * WARP, 0, shape, args);
    else
        attend(cuda, attend_warps, QUERIES, WARPS * WARP, warps_shared(shape.hd), shape, args);
}

} // namespace GPU_SPACE
