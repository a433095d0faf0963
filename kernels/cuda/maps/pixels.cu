/* Bytes against maps: rounding to u8, and Inception's two input pipelines.
 *
 * These results are compared bit for bit with other programs and with the CPU, so the arithmetic is f32 in exactly the
 * order written there, each product and sum rounded by itself (__fmul_rn: the compiler makes no fused step of it).
 * Positions are in double: in float one far right would be off by 1e-5 of a pixel. One thread a pixel. */
#include "kernels/cuda/maps/map.h"

namespace GPU_SPACE
{

static constexpr int THREADS = 256, SIDE = 299, CHANNELS = 3;

/* --- to_u8 ------------------------------------------------------------------------------------------------ */

template <class T>
static __global__ void __launch_bounds__(THREADS) to_u8(const T *x, int64_t pixels, uint8_t *u8, Fault *fault)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= pixels)
        return;
    Group<T> in = group_load(x + i * GROUP);
    UNROLL for (int c = 0; c < CHANNELS; c++)
    {
        float value = __fadd_rn(__fmul_rn(__fadd_rn(widen(in.v[c]), 1.0f) / 2.0f, 255.0f), 0.5f);
        if (!holds<float>(value))
            fault->overflow = OVERFLOW_IMAGE;
        value = value < 255.0f ? value : 255.0f;
        value = value > 0.0f ? value : 0.0f; /* NaN has become 255 */
        u8[i * CHANNELS + c] = static_cast<uint8_t>(value);
    }
}

template <class T> static void to_u8_launch(Cuda *cuda, FeatureMap x, Tensor u8)
{
    int64_t pixels = map_pixels(x);
    LAUNCH((to_u8<T>), gpu_blocks(pixels, THREADS), THREADS, 0, cuda->stream, static_cast<const T *>(x.data), pixels,
           static_cast<uint8_t *>(u8.data), cuda->fault);
}

void cuda_to_u8(Backend *be, FeatureMap x, Tensor u8)
{
    Cuda *cuda = cuda_of(be);
    CUDA_BY_TYPE(cuda, to_u8_launch, cuda, x, u8);
}

/* --- resize ----------------------------------------------------------------------------------------------- */

/* Where one output index reads along an axis: v = (1 - l) x[i0] + l x[i1]. */
struct Tap {
    int i0, i1;
    float l;
};

__device__ static inline Tap tap_at(int i, int n, bool pt)
{
    double scale = static_cast<double>(n) / SIDE;
    double src = pt ? __dadd_rn(__dmul_rn(i + 0.5, scale), -0.5) : __dmul_rn(i, scale);
    src = src > 0 ? src : 0;
    int i0 = min(static_cast<int>(src), n - 1);
    return i0 + 1 < n ? Tap{i0, i0 + 1, static_cast<float>(src - i0)} : Tap{i0, i0, 0};
}

/* pt: (1-l) a + l b; tf: a + (b-a) l. */
__device__ static inline float mix(float a, float b, float l, bool pt)
{
    return pt ? __fadd_rn(__fmul_rn(1.0f - l, a), __fmul_rn(l, b)) : __fadd_rn(a, __fmul_rn(__fadd_rn(b, -a), l));
}

/* A byte's worth: pt u8/255, tf as it is. Then columns are mixed, then rows; pt ends with 2v - 1, tf with
 * (v - 128) / 128. */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    resize_inception(const uint8_t *u8, int64_t pixels, int h, int w, bool pt, T *y)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= pixels)
        return;
    int64_t image = i / (SIDE * SIDE);
    int at = static_cast<int>(i - image * (SIDE * SIDE));
    Tap row = tap_at(at / SIDE, h, pt), column = tap_at(at % SIDE, w, pt);
    const uint8_t *source = u8 + image * h * w * CHANNELS;
    Group<T> out;
    UNROLL for (int c = 0; c < GROUP; c++) out.v[c] = narrow<T>(0.0f);
    UNROLL for (int c = 0; c < CHANNELS; c++)
    {
        float line[2];
        for (int k = 0; k < 2; k++) {
            const uint8_t *pixel = source + static_cast<int64_t>(k ? row.i1 : row.i0) * w * CHANNELS + c;
            float left = pixel[column.i0 * CHANNELS], right = pixel[column.i1 * CHANNELS];
            line[k] = pt ? mix(left / 255.0f, right / 255.0f, column.l, pt) : mix(left, right, column.l, pt);
        }
        float value = mix(line[0], line[1], row.l, pt);
        out.v[c] = narrow<T>(pt ? __fadd_rn(__fmul_rn(2.0f, value), -1.0f) : __fadd_rn(value, -128.0f) / 128.0f);
    }
    group_store(y + i * GROUP, out);
}

template <class T> static void resize_launch(Cuda *cuda, Tensor u8, Resize pipeline, FeatureMap y)
{
    int64_t pixels = map_pixels(y);
    LAUNCH((resize_inception<T>), gpu_blocks(pixels, THREADS), THREADS, 0, cuda->stream,
           static_cast<const uint8_t *>(u8.data), pixels, static_cast<int>(u8.shape[1]), static_cast<int>(u8.shape[2]),
           pipeline == RESIZE_PT, static_cast<T *>(y.data));
}

void cuda_resize_inception(Backend *be, Tensor u8, Resize pipeline, FeatureMap y)
{
    Cuda *cuda = cuda_of(be);
    CUDA_BY_TYPE(cuda, resize_launch, cuda, u8, pipeline, y);
}

} // namespace GPU_SPACE
