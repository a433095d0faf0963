/* Norms and gates of rows:
 *   rms_norm             y = x / sqrt(mean(x^2) + 1e-5) * gain
 *   layer_norm_modulate  y = (x - mean) / sqrt(var + 1e-6) * (1 + scale) + shift
 *   swiglu               y = silu(a) * b
 *
 * All three are bound by memory: 8 bytes an element for the norms, 12 for the gate. A norm is one warp a row: lane l sums
 * elements 4l, 4l + 128, ... and the warp adds its lanes in a tree, so a row's order of sums is fixed by D alone. The row is
 * read twice (three times with a mean); at D <= 1280 the second reading comes from L1. Variance is summed around the
 * mean, not as a difference of squares, which loses all digits when the mean is far from zero. */
#include "kernels/cuda/cuda.h"

namespace GPU_SPACE {

enum { ROWS = 4, THREADS = ROWS * WARP, VECTOR = 4, GATES = 256 };

/* Four neighbours from i, or what is there of them; zeros beyond. Rows of a multiple of 4 are aligned to 16 bytes. */
template <bool whole> __device__ static inline float4 load4(const float *x, int i, int d)
{
    if (whole)
        return *reinterpret_cast<const float4 *>(x + i);
    return make_float4(x[i], i + 1 < d ? x[i + 1] : 0.0f, i + 2 < d ? x[i + 2] : 0.0f, i + 3 < d ? x[i + 3] : 0.0f);
}

template <bool whole> __device__ static inline void store4(float *y, int i, int d, float4 value)
{
    if (whole) {
        *reinterpret_cast<float4 *>(y + i) = value;
        return;
    }
    const float values[VECTOR] = {value.x, value.y, value.z, value.w};
    for (int j = 0; j < VECTOR && i + j < d; j++)
        y[i + j] = values[j];
}

/* --- rms_norm --------------------------------------------------------------------------------------------- */

template <bool whole>
static __global__ void __launch_bounds__(THREADS) rms_norm(const float *x, const float *gain, int64_t rows, int d, float *y)
{
    int64_t row = static_cast<int64_t>(blockIdx.x) * ROWS + threadIdx.x / WARP;
    int lane = static_cast<int>(threadIdx.x) % WARP;
    if (row >= rows)
        return;
    const float *in = x + row * d;
    float squares = 0;
    for (int i = lane * VECTOR; i < d; i += WARP * VECTOR) {
        float4 v = load4<whole>(in, i, d);
        squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(d) + 1e-5f);
    for (int i = lane * VECTOR; i < d; i += WARP * VECTOR) {
        float4 v = load4<whole>(in, i, d), g = gain ? load4<whole>(gain, i, d) : make_float4(1, 1, 1, 1);
        store4<whole>(y + row * d, i, d, make_float4(v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z, v.w * scale * g.w));
    }
}

void cuda_rms_norm(Backend *be, Tensor x, Tensor gain, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    int64_t rows = x.shape[0];
    int d = static_cast<int>(x.shape[1]);
    auto kernel = d % VECTOR ? rms_norm<false> : rms_norm<true>;
    LAUNCH(kernel, gpu_blocks(rows, ROWS), THREADS, 0, cuda->stream, static_cast<const float *>(x.data),
           static_cast<const float *>(gain.data), rows, d, static_cast<float *>(y.data));
}

/* --- layer_norm_modulate ---------------------------------------------------------------------------------- */

template <bool whole>
static __global__ void __launch_bounds__(THREADS)
    layer_norm(const float *x, const float *shift_scale, int64_t rows, int t, int d, float *y)
{
    int64_t row = static_cast<int64_t>(blockIdx.x) * ROWS + threadIdx.x / WARP;
    int lane = static_cast<int>(threadIdx.x) % WARP;
    if (row >= rows)
        return;
    const float *in = x + row * d, *shift = shift_scale + row / t * 2 * d, *scale = shift + d;
    float sum = 0, squares = 0;
    for (int i = lane * VECTOR; i < d; i += WARP * VECTOR) {
        float4 v = load4<whole>(in, i, d);
        sum += v.x + v.y + v.z + v.w;
    }
    float mean = warp_sum(sum) / static_cast<float>(d);
    for (int i = lane * VECTOR; i < d; i += WARP * VECTOR) {
        float4 v = load4<whole>(in, i, d);
        const float off[VECTOR] = {v.x - mean, v.y - mean, v.z - mean, v.w - mean};
        for (int j = 0; j < VECTOR; j++)
            squares += whole || i + j < d ? off[j] * off[j] : 0.0f;
    }
    float inverse = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(d) + 1e-6f);
    for (int i = lane * VECTOR; i < d; i += WARP * VECTOR) {
        float4 v = load4<whole>(in, i, d), s = load4<whole>(scale, i, d), b = load4<whole>(shift, i, d);
        store4<whole>(y + row * d, i, d,
                      make_float4((v.x - mean) * inverse * (1 + s.x) + b.x, (v.y - mean) * inverse * (1 + s.y) + b.y,
                                  (v.z - mean) * inverse * (1 + s.z) + b.z, (v.w - mean) * inverse * (1 + s.w) + b.w));
    }
}

void cuda_layer_norm_modulate(Backend *be, Tensor x, Tensor shift_scale, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    int64_t rows = x.shape[0] * x.shape[1];
    int t = static_cast<int>(x.shape[1]), d = static_cast<int>(x.shape[2]);
    auto kernel = d % VECTOR ? layer_norm<false> : layer_norm<true>;
    LAUNCH(kernel, gpu_blocks(rows, ROWS), THREADS, 0, cuda->stream, static_cast<const float *>(x.data),
           static_cast<const float *>(shift_scale.data), rows, t, d, static_cast<float *>(y.data));
}

/* --- swiglu ----------------------------------------------------------------------------------------------- */

__device__ static inline float gate(float a, float b)
{
    return a / (1.0f + expf(-a)) * b;
}

/* One thread makes four neighbours of a row of F; groups = R * ceil(F/4). */
template <bool whole> static __global__ void __launch_bounds__(GATES) swiglu(const float *x, int64_t groups, int f, float *y)
{
    int64_t at = static_cast<int64_t>(blockIdx.x) * GATES + threadIdx.x;
    if (at >= groups)
        return;
    int per_row = (f + VECTOR - 1) / VECTOR;
    int64_t row = at / per_row;
    int i = static_cast<int>(at - row * per_row) * VECTOR;
    const float *in = x + row * 2 * f;
    float4 a = load4<whole>(in, i, f), b = load4<whole>(in + f, i, f);
    store4<whole>(y + row * f, i, f, make_float4(gate(a.x, b.x), gate(a.y, b.y), gate(a.z, b.z), gate(a.w, b.w)));
}

void cuda_swiglu(Backend *be, Tensor x, Tensor y)
{
    Cuda *cuda = cuda_of(be);
    int f = static_cast<int>(y.shape[1]);
    int64_t groups = y.shape[0] * ((f + VECTOR - 1) / VECTOR);
    auto kernel = f % VECTOR ? swiglu<false> : swiglu<true>;
    LAUNCH(kernel, gpu_blocks(groups, GATES), GATES, 0, cuda->stream, static_cast<const float *>(x.data), groups, f,
           static_cast<float *>(y.data));
}

} // namespace GPU_SPACE
