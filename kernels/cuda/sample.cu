/* One token a row: temperature, top-k, nucleus, softmax, draw. One block a row; the rules are kernels/cpu/sample.c's.
 *
 * The row lives in shared memory (64 KiB at 16384 codes; in scratch where it does not fit), and each thread owns a run of
 * neighbouring ids, so that sums over threads in thread order are sums in id order. A run is an odd number of ids long:
 * lanes then fall on different banks.
 *
 * Keys are the float's bits made to rise with its value.
 *   top-k     the k-th largest key, byte by byte from the top, with a histogram of integers; ties with it stay.
 *   nucleus   the CPU sorts; here the least key K with mass(> K) <= top_p * total is found bit by bit, 32 sums over the
 *             row. All above K stay, and of the entries equal to K the first few in id order, as many as the mass allows.
 *   draw      running sums in double over threads, then within the one run that reaches the number.
 * Sums are in double and in a fixed order: only integers are updated atomically, never floats. NaN counts as minus
 * infinity. */
#include "kernels/cuda/cuda.h"

namespace GPU_SPACE {

static constexpr int THREADS = 512, RADIX = 256, WARPS = THREADS / WARP;
static constexpr size_t ROW_MOST = 64 << 10; /* bytes of a row kept in shared memory */

struct PickShape {
    int v, run; /* codes; ids a thread owns, odd */
    int top_k;
    float top_p, temperature;
};

/* What the threads of a block share beside the row. */
struct PickBlock {
    double partial[THREADS];
    int count[RADIX];
    int digit, left, best;
};

__device__ static inline uint32_t key_of(float x)
{
    uint32_t bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* --- sums over a block ------------------------------------------------------------------------------------ */

/* Sum of all threads' values in thread order, to every thread; *ret_before: of the threads before this one. */
__device__ static inline double sum_in_order(double mine, PickBlock &block, double *ret_before)
{
    int thread = static_cast<int>(threadIdx.x);
    __syncthreads();
    block.partial[thread] = mine;
    __syncthreads();
    if (thread < WARP) { /* a lane adds WARPS neighbours, then the lanes' sums go up the warp */
        double sum = 0, before = 0;
        for (int i = 0; i < WARPS; i++)
            sum += block.partial[thread * WARPS + i];
        double upto = sum;
        for (int step = 1; step < WARP; step *= 2) {
            double below = __shfl_up_sync(0xffffffffu, upto, step);
            upto += thread >= step ? below : 0;
        }
        before = __shfl_up_sync(0xffffffffu, upto, 1);
        before = thread ? before : 0;
        for (int i = 0; i < WARPS; i++) {
            double own = block.partial[thread * WARPS + i];
            block.partial[thread * WARPS + i] = before;
            before += own;
        }
    }
    __syncthreads();
    if (ret_before)
        *ret_before = block.partial[thread];
    double last = block.partial[THREADS - 1];
    __syncthreads();
    if (thread == THREADS - 1)
        block.partial[0] = last + mine;
    __syncthreads();
    return block.partial[0];
}

/* --- the row ---------------------------------------------------------------------------------------------- */

struct Run {
    int from, upto; /* this thread's ids */
};

__device__ static inline Run run_of(const PickShape &shape)
{
    int from = min(static_cast<int>(threadIdx.x) * shape.run, shape.v);
    return Run{from, min(from + shape.run, shape.v)};
}

/* Scaled logits into z; the first largest id. */
__device__ static inline int scale_row(const float *logits, const PickShape &shape, float *z, PickBlock &block)
{
    int thread = static_cast<int>(threadIdx.x);
    uint32_t best = 0;
    for (int i = thread; i < shape.v; i += THREADS) {
        float x = logits[i] / shape.temperature;
        z[i] = x == x ? x : -INFINITY;
        best = best < key_of(z[i]) ? key_of(z[i]) : best;
    }
    if (thread == 0) {
        block.digit = 0;
        block.best = shape.v;
    }
    __syncthreads();
    atomicMax(&block.digit, static_cast<int>(best >> 1)); /* as a positive int; the last bit is settled below */
    __syncthreads();
    uint32_t high = static_cast<uint32_t>(block.digit);
    __syncthreads();
    if (thread == 0)
        block.digit = 0;
    __syncthreads();
    if (best >> 1 == high)
        atomicMax(&block.digit, static_cast<int>(best & 1));
    __syncthreads();
    uint32_t most = high << 1 | static_cast<uint32_t>(block.digit);
    for (int i = thread; best == most && i < shape.v; i += THREADS)
        if (key_of(z[i]) == most)
            atomicMin(&block.best, i);
    __syncthreads();
    return block.best;
}

/* --- top-k ------------------------------------------------------------------------------------------------ */

/* The largest digit such that at least `left` keys have it or a larger one; *ret_left of them are wanted at the digit. */
__device__ static inline int digit_find(PickBlock &block, int left, int *ret_left)
{
    int thread = static_cast<int>(threadIdx.x);
    if (thread < WARP) { /* lane 0 has the largest digits */
        const int each = RADIX / WARP;
        int sum = 0, top = RADIX - 1 - thread * each;
        for (int i = 0; i < each; i++)
            sum += block.count[top - i];
        int above = sum;
        for (int step = 1; step < WARP; step *= 2) {
            int below = __shfl_up_sync(0xffffffffu, above, step);
            above += thread >= step ? below : 0;
        }
        above -= sum;
        if (above < left && left <= above + sum) {
            int digit = top, rest = left - above;
            for (; rest > block.count[digit]; digit--)
                rest -= block.count[digit];
            block.digit = digit;
            block.left = rest;
        }
    }
    __syncthreads();
    *ret_left = block.left;
    return block.digit;
}

__device__ static inline uint32_t kth_largest(const float *z, int v, int k, PickBlock &block)
{
    int thread = static_cast<int>(threadIdx.x);
    uint32_t prefix = 0, mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        __syncthreads();
        if (thread < RADIX)
            block.count[thread] = 0;
        __syncthreads();
        for (int i = thread; i < v; i += THREADS) {
            uint32_t key = key_of(z[i]);
            if ((key & mask) == prefix)
                atomicAdd(&block.count[key >> shift & (RADIX - 1)], 1);
        }
        __syncthreads();
        prefix |= static_cast<uint32_t>(digit_find(block, k, &k)) << shift;
        mask |= static_cast<uint32_t>(RADIX - 1) << shift;
    }
    return prefix;
}

/* --- nucleus ---------------------------------------------------------------------------------------------- */

/* Weights are floats from 0 to 1, so their bits are keys below 2^30. Mass of this thread's entries above the key. */
__device__ static inline double mass_above(const float *weight, Run run, uint32_t key)
{
    double sum = 0;
    for (int i = run.from; i < run.upto; i++)
        sum += __float_as_uint(weight[i]) > key ? weight[i] : 0.0f;
    return sum;
}

/* Order is by logit; where two logits have one weight (they differ by less than a rounding) id order decides. */
__device__ static inline void nucleus(float *weight, Run run, float top_p, double total, PickBlock &block)
{
    const double allowed = static_cast<double>(top_p) * total;
    uint32_t least = 0; /* the least key whose mass above is allowed: bits that must be set, from the top */
    for (int bit = 29; bit >= 0; bit--) {
        uint32_t trial = (least | 1u << bit) - 1; /* whether a key without this bit suffices */
        if (sum_in_order(mass_above(weight, run, trial), block, nullptr) > allowed)
            least |= 1u << bit;
    }
    double above = sum_in_order(mass_above(weight, run, least), block, nullptr), before;
    double mass = static_cast<double>(__uint_as_float(least));
    int equal = 0;
    for (int i = run.from; i < run.upto; i++)
        equal += __float_as_uint(weight[i]) == least;
    sum_in_order(equal, block, &before); /* counts are exact in double */
    double rank = before;
    for (int i = run.from; i < run.upto; i++) {
        uint32_t key = __float_as_uint(weight[i]);
        bool dropped = key < least || (key == least && above + rank * mass > allowed && (above > 0 || rank > 0));
        rank += key == least;
        weight[i] = dropped ? 0.0f : weight[i];
    }
    __syncthreads();
}

/* --- draw ------------------------------------------------------------------------------------------------- */

/* The smallest id whose running sum exceeds uniform * total; the last one with a weight if rounding leaves none. */
__device__ static inline void draw(const float *weight, Run run, double mine, double before, double wanted, PickBlock &block,
                                   int32_t *ret_id)
{
    int thread = static_cast<int>(threadIdx.x), found = -1, last = -1;
    double sum = before;
    for (int i = run.from; mine > 0 && i < run.upto && found < 0; i++)
        if (weight[i] > 0) {
            sum += weight[i];
            last = i;
            found = sum > wanted ? i : -1;
        }
    if (thread == 0) {
        block.best = 0x7fffffff;
        block.left = 0;
    }
    __syncthreads();
    if (found >= 0)
        atomicMin(&block.best, found);
    if (last >= 0)
        atomicMax(&block.left, last);
    __syncthreads();
    if (thread == 0)
        *ret_id = block.best != 0x7fffffff ? block.best : block.left;
}

/* --- a row ------------------------------------------------------------------------------------------------ */

template <bool shared_row>
static __global__ void __launch_bounds__(THREADS)
    pick(const float *logits, PickShape shape, const float *uniform, float *rows, int32_t *ids, float *probs)
{
    DYN_SHARED(float, row);
    SHARED(PickBlock, blocks, [1]);
    PickBlock &block = blocks[0];
    int64_t r = blockIdx.x;
    float *z = shared_row ? row : rows + r * shape.v;
    int best = scale_row(logits + r * shape.v, shape, z, block);
    if (!uniform && !probs) {
        if (threadIdx.x == 0)
            ids[r] = best;
        return;
    }
    Run run = run_of(shape);
    uint32_t least = shape.top_k > 0 && shape.top_k < shape.v ? kth_largest(z, shape.v, shape.top_k, block) : 0;
    float most = z[best];
    __syncthreads();
    double mine = 0, before, total;
    for (int i = run.from; i < run.upto; i++) { /* all mass on the first of infinite ones */
        float x = z[i];
        bool kept = key_of(x) >= least && x - most > -80.0f;
        z[i] = isinf(most) ? (i == best ? 1.0f : 0.0f) : kept ? expf(x - most) : 0.0f;
        mine += z[i];
    }
    total = sum_in_order(mine, block, &before);
    if (shape.top_p < 1) {
        nucleus(z, run, shape.top_p, total, block);
        mine = 0;
        for (int i = run.from; i < run.upto; i++)
            mine += z[i];
        total = sum_in_order(mine, block, &before);
    }
    for (int i = static_cast<int>(threadIdx.x); probs && i < shape.v; i += THREADS)
        probs[r * shape.v + i] = static_cast<float>(z[i] / total);
    if (uniform)
        draw(z, run, mine, before, static_cast<double>(uniform[r]) * total, block, ids + r);
    else if (threadIdx.x == 0)
        ids[r] = best;
}

void cuda_sample(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids, Tensor probs)
{
    Cuda *cuda = cuda_of(be);
    int64_t rows = logits.shape[0];
    PickShape shape = {};
    shape.v = static_cast<int>(logits.shape[1]);
    shape.run = (shape.v + THREADS - 1) / THREADS | 1;
    shape.top_k = top_k;
    shape.top_p = top_p;
    shape.temperature = fmaxf(temperature, 1e-5f);
    size_t bytes = static_cast<size_t>(shape.v) * sizeof(float);
    bool fits = bytes <= ROW_MOST;
    float *scratch = fits ? nullptr : static_cast<float *>(cuda_scratch(cuda, SCRATCH_WORK, static_cast<size_t>(rows) * bytes));
    if (!fits && !scratch)
        return;
    auto kernel = fits ? pick<true> : pick<false>;
    LAUNCH(kernel, static_cast<unsigned>(rows), THREADS, fits ? bytes : 0, cuda->stream, static_cast<const float *>(logits.data),
           shape, static_cast<const float *>(uniform.data), scratch, static_cast<int32_t *>(ids.data),
           static_cast<float *>(probs.data));
}

} // namespace GPU_SPACE
