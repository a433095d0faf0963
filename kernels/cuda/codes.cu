/* Choosing ids: the largest logit without keeping the logits, and the nearest row of a codebook.
 *
 * argmax_linear: logits of 512 rows at a time stay in scratch (32 MiB at 16384 codes: they live in L2 between the
 * product and the search), then one block a row finds the largest and the second largest. The pair of partial results
 * of two threads has one merge whatever the order, ties go to the lower id, so the result does not depend on the tree's
 * shape.
 *
 * nearest_code: a thread walks codes tid, tid + 256, ... and compares each with eight rows, so the codebook (512 KiB)
 * is read from L2 once for eight rows. */
#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

static const int64_t LOGIT_ROWS = 512;
enum { THREADS = 256, WARPS = THREADS / WARP, CODE_ROWS = 8 };

/* --- argmax of a product ---------------------------------------------------------------------------------- */

struct Best {
    float value, second;
    int id;
};

__device__ static inline Best best_merge(Best a, Best b)
{
    bool first = a.value > b.value || (a.value == b.value && a.id < b.id);
    Best win = first ? a : b, lose = first ? b : a;
    win.second = fmaxf(win.second, lose.value);
    return win;
}

__device__ static inline Best best_of_warp(Best mine)
{
    for (int step = WARP / 2; step > 0; step /= 2) {
        Best other = {__shfl_xor_sync(0xffffffffu, mine.value, step), __shfl_xor_sync(0xffffffffu, mine.second, step),
                      __shfl_xor_sync(0xffffffffu, mine.id, step)};
        mine = best_merge(mine, other);
    }
    return mine;
}

/* NaN never wins: it is smaller than everything. */
static __global__ void __launch_bounds__(THREADS) largest(const float *logits, int v, int32_t *ids, float *margin)
{
    SHARED(Best, found, [WARPS]);
    const float *row = logits + static_cast<int64_t>(blockIdx.x) * v;
    int thread = static_cast<int>(threadIdx.x);
    Best mine = {-INFINITY, -INFINITY, thread < v ? thread : v - 1};
    for (int i = thread; i < v; i += THREADS) {
        float x = row[i];
        if (x > mine.value) {
            mine.second = mine.value;
            mine.value = x;
            mine.id = i;
        } else if (x > mine.second) {
            mine.second = x;
        }
    }
    mine = best_of_warp(mine);
    if (thread % WARP == 0)
        found[thread / WARP] = mine;
    __syncthreads();
    if (thread)
        return;
    for (int i = 1; i < WARPS; i++)
        mine = best_merge(mine, found[i]);
    ids[blockIdx.x] = mine.id;
    if (margin)
        margin[blockIdx.x] = v > 1 ? mine.value - mine.second : 0.0f;
}

void cuda_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin)
{
    Cuda *cuda = cuda_of(be);
    int64_t rows = x.shape[0], most = rows < LOGIT_ROWS ? rows : LOGIT_ROWS;
    float *logits =
        static_cast<float *>(cuda_scratch(cuda, SCRATCH_WORK, static_cast<size_t>(most * head->n) * sizeof(float)));
    for (int64_t r = 0; logits && r < rows && !be->failed; r += most) {
        int64_t n = rows - r < most ? rows - r : most;
        cuda_linear(be, head, tensor_f32(static_cast<float *>(x.data) + r * head->k, 2, n, head->k, 0, 0),
                    tensor_f32(logits, 2, n, head->n, 0, 0), false);
        LAUNCH(largest, static_cast<unsigned>(n), THREADS, 0, cuda->stream, logits, static_cast<int>(head->n),
               static_cast<int32_t *>(ids.data) + r, margin.data ? static_cast<float *>(margin.data) + r : nullptr);
    }
}

/* --- nearest code ----------------------------------------------------------------------------------------- */

/* rows' latents, [CODE_ROWS][C], are in dynamic shared memory. */
static __global__ void __launch_bounds__(THREADS, 4) /* 64 registers: without it the compiler keeps to 48 and spills */
    nearest_code(const float *x, const float *codebook, int64_t rows, int v, int c, int32_t *ids)
{
    DYN_SHARED(float, latents);
    SHARED(Best, found, [CODE_ROWS][WARPS]);
    int64_t from = static_cast<int64_t>(blockIdx.x) * CODE_ROWS;
    int thread = static_cast<int>(threadIdx.x), lane = thread % WARP, warp = thread / WARP;
    for (int i = thread; i < CODE_ROWS * c; i += THREADS)
        latents[i] = from + i / c < rows ? x[from * c + i] : 0.0f;
    __syncthreads();
    Best best[CODE_ROWS]; /* of negated distances */
    for (int r = 0; r < CODE_ROWS; r++)
        best[r] = Best{-INFINITY, -INFINITY, thread < v ? thread : v - 1};
    for (int id = thread; id < v; id += THREADS) {
        float sum[CODE_ROWS] = {0};
        for (int i = 0; i < c; i++) {
            float code = codebook[static_cast<int64_t>(id) * c + i];
            for (int r = 0; r < CODE_ROWS; r++) {
                float off = latents[r * c + i] - code;
                sum[r] += off * off;
            }
        }
        for (int r = 0; r < CODE_ROWS; r++)
            if (-sum[r] > best[r].value)
                best[r] = Best{-sum[r], -INFINITY, id};
    }
    for (int r = 0; r < CODE_ROWS; r++) {
        Best win = best_of_warp(best[r]);
        if (lane == 0)
            found[r][warp] = win;
    }
    __syncthreads();
    if (thread >= CODE_ROWS || from + thread >= rows)
        return;
    Best win = found[thread][0];
    for (int i = 1; i < WARPS; i++)
        win = best_merge(win, found[thread][i]);
    ids[from + thread] = win.id;
}

void cuda_nearest_code(Backend *be, Tensor x, Tensor codebook, Tensor ids)
{
    Cuda *cuda = cuda_of(be);
    int64_t rows = x.shape[0];
    int v = static_cast<int>(codebook.shape[0]), c = static_cast<int>(codebook.shape[1]);
    LAUNCH(nearest_code, gpu_blocks(rows, CODE_ROWS), THREADS, static_cast<size_t>(CODE_ROWS * c) * sizeof(float),
           cuda->stream, static_cast<const float *>(x.data), static_cast<const float *>(codebook.data), rows, v, c,
           static_cast<int32_t *>(ids.data));
}

} // namespace GPU_SPACE
