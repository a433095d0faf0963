/* Moving rows about in the transformers: embedding, gathering, rotary positions, guidance. Copies with a little
 * arithmetic, one thread an element or a pair; the order of each element's few sums is the CPU's. */
#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

enum { THREADS = 256, EMBED_ROWS = 8 };

/* --- embed_latents ---------------------------------------------------------------------------------------- */

/* A thread keeps column j and walks EMBED_ROWS rows with it, so a weight is read once for them; x is a broadcast. */
static __global__ void __launch_bounds__(THREADS)
    embed_latents(const float *x, const float *w, const float *bias, const float *nd, int64_t rows, int t, int c, int d,
                  int first, int known, float *h)
{
    int j = static_cast<int>(blockIdx.y * THREADS + threadIdx.x);
    int64_t from = static_cast<int64_t>(blockIdx.x) * EMBED_ROWS;
    if (j >= d)
        return;
    for (int64_t row = from; row < from + EMBED_ROWS && row < rows; row++) {
        bool is_known = first + static_cast<int>(row % t) < known;
        float sum = bias[j] + nd[(is_known ? d : 0) + j];
        for (int i = 0; i < c; i++)
            sum = fmaf(x[row * c + i], w[static_cast<int64_t>(j) * c + i], sum);
        h[row * d + j] = sum;
    }
}

void cuda_embed_latents(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h)
{
    Cuda *cuda = cuda_of(be);
    int64_t rows = x.shape[0] * x.shape[1];
    int t = static_cast<int>(x.shape[1]), c = static_cast<int>(x.shape[2]), d = static_cast<int>(w.shape[0]);
    LAUNCH(embed_latents, dim3(gpu_blocks(rows, EMBED_ROWS), gpu_blocks(d, THREADS)), THREADS, 0, cuda->stream,
           static_cast<const float *>(x.data), static_cast<const float *>(w.data),
           static_cast<const float *>(bias.data), static_cast<const float *>(nd.data), rows, t, c, d, first, known,
           static_cast<float *>(h.data));
}

/* --- gather ----------------------------------------------------------------------------------------------- */

static __global__ void __launch_bounds__(THREADS)
    gather(const float *table, const int32_t *ids, int64_t count, int d, int v, float *y, Fault *fault)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t row = i / d;
    int id = ids[row], col = static_cast<int>(i - row * d);
    if (id >= 0 && id < v) {
        y[i] = table[static_cast<int64_t>(id) * d + col];
    } else if (col == 0 && atomicCAS(&fault->op, 0, static_cast<int>(OP_gather) + 1) == 0) {
        fault->row = static_cast<int>(row);
        fault->found = id;
        fault->limit = v;
    }
}

void cuda_gather(Backend *be, Tensor table, Tensor ids, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    int64_t count = tensor_count(&y);
    LAUNCH(gather, gpu_blocks(count, THREADS), THREADS, 0, cuda->stream, static_cast<const float *>(table.data),
           static_cast<const int32_t *>(ids.data), count, static_cast<int>(table.shape[1]),
           static_cast<int>(table.shape[0]), static_cast<float *>(y.data), cuda->fault);
}

/* --- slice ------------------------------------------------------------------------------------------------ */

/* A thread an element, or four of them where rows are whole float4s; `d` and `count` are in units of T. */
template <class T>
static __global__ void __launch_bounds__(THREADS) slice(const T *x, int64_t count, int t, int from, int n, int d, T *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count)
        return;
    int64_t row = i / d, b = row / n;
    y[i] = x[(b * t + from + row - b * n) * d + (i - row * d)];
}

template <class T> static void launch_slice(const Cuda *cuda, const Tensor &x, int from, const Tensor &y)
{
    int each = static_cast<int>(sizeof(T) / sizeof(float));
    int64_t count = tensor_count(&y) / each;
    LAUNCH((slice<T>), gpu_blocks(count, THREADS), THREADS, 0, cuda->stream, static_cast<const T *>(x.data), count,
           static_cast<int>(x.shape[1]), from, static_cast<int>(y.shape[1]), static_cast<int>(x.shape[2]) / each,
           static_cast<T *>(y.data));
}

static bool is_aligned(const Tensor &t)
{
    return reinterpret_cast<uintptr_t>(t.data) % sizeof(float4) == 0 && t.shape[2] % 4 == 0;
}

void cuda_slice(Backend *be, Tensor x, int from, Tensor y)
{
    if (is_aligned(x) && is_aligned(y))
        launch_slice<float4>(cuda_of(be), x, from, y);
    else
        launch_slice<float>(cuda_of(be), x, from, y);
}

/* --- rope_split ------------------------------------------------------------------------------------------- */

struct RopeShape {
    int64_t pairs; /* B*T*D/2 */
    int t, d, hd, s, first;
};

/* A pair of neighbouring channels is a complex number times cos + i sin. */
__device__ static inline float2 turn(float2 x, float2 angle)
{
    return make_float2(x.x * angle.x - x.y * angle.y, x.y * angle.x + x.x * angle.y);
}

static __global__ void __launch_bounds__(THREADS)
    rope_split(const float *qkv, const float *cos_sin, RopeShape shape, float *q, float *k, float *v)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= shape.pairs)
        return;
    int half = shape.d / 2;
    int64_t row = i / half, b = row / shape.t;
    int col = static_cast<int>(i - row * half) * 2, head = col / shape.hd, in_head = col - head * shape.hd;
    int token = shape.first + static_cast<int>(row - b * shape.t);
    int64_t cache = ((b * (shape.d / shape.hd) + head) * shape.s + token) * shape.hd + in_head;
    const float *in = qkv + row * 3 * shape.d + col;
    float2 angle = *reinterpret_cast<const float2 *>(cos_sin + static_cast<int64_t>(token) * shape.hd + in_head);
    *reinterpret_cast<float2 *>(q + row * shape.d + col) = turn(*reinterpret_cast<const float2 *>(in), angle);
    *reinterpret_cast<float2 *>(k + cache) = turn(*reinterpret_cast<const float2 *>(in + shape.d), angle);
    *reinterpret_cast<float2 *>(v + cache) = *reinterpret_cast<const float2 *>(in + 2 * shape.d);
}

void cuda_rope_split(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v)
{
    Cuda *cuda = cuda_of(be);
    RopeShape shape = {};
    shape.pairs = tensor_count(&q) / 2;
    shape.t = static_cast<int>(q.shape[1]);
    shape.d = static_cast<int>(q.shape[2]);
    shape.hd = shape.d / heads;
    shape.s = static_cast<int>(k.shape[2]);
    shape.first = first;
    LAUNCH(rope_split, gpu_blocks(shape.pairs, THREADS), THREADS, 0, cuda->stream, static_cast<const float *>(qkv.data),
           static_cast<const float *>(cos_sin.data), shape, static_cast<float *>(q.data), static_cast<float *>(k.data),
           static_cast<float *>(v.data));
}

/* --- guide ------------------------------------------------------------------------------------------------ */

static __global__ void __launch_bounds__(THREADS)
    guide(const float *cond, const float *uncond, float scale, int64_t count, float *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i < count)
        y[i] = uncond[i] + (cond[i] - uncond[i]) * scale;
}

void cuda_cfg(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    int64_t count = tensor_count(&y);
    LAUNCH(guide, gpu_blocks(count, THREADS), THREADS, 0, cuda->stream, static_cast<const float *>(cond.data),
           static_cast<const float *>(uncond.data), scale, count, static_cast<float *>(y.data));
}

} // namespace GPU_SPACE
