/* Convolutions in f32: plain fused multiply-adds, for the precision that others are compared with.
 *
 * A block makes 64 consecutive grid pixels (of all images in a row) times 64 output channels; a thread 4 x 4 of them.
 * The sum runs over taps and then channels, 16 of a tap at a time through shared memory, the next 16 on their way in
 * registers meanwhile: 2 bytes of shared memory a multiply-add, so at most half of the peak of the FMA units. */
#include "kernels/cuda/maps/conv.h"

namespace GPU_SPACE
{

static constexpr int PIXELS = 64, WIDE = 64, DEEP = 16, THREADS = 256, OWN = 4, PITCH = PIXELS + 4;

/* Input of one grid pixel. */
struct Source {
    const float *image; /* NULL: there is no such pixel */
    int y, x;           /* under tap 0 */
};

/* Grid pixel i of all: its image and place. */
struct GridPixel {
    int image, y, x;
};

__device__ static inline GridPixel grid_pixel(const ConvCall &c, int64_t i)
{
    int grid = c.gh * c.gw, within = static_cast<int>(i % grid);
    return {static_cast<int>(i / grid), within / c.gw, within % c.gw};
}

/* Four channels of a source under a tap, zeros outside. */
__device__ static inline float4 load_input(const ConvCall &c, const Source &from, int tap, int channel)
{
    int y = from.y + tap / c.kw, x = from.x + tap % c.kw;
    bool inside = from.image && y >= 0 && y < c.h << c.shrink && x >= 0 && x < c.w_in << c.shrink && channel < c.cx;
    if (!inside)
        return make_float4(0, 0, 0, 0);
    int64_t pixel = static_cast<int64_t>(y >> c.shrink) * c.w_in + (x >> c.shrink);
    return *reinterpret_cast<const float4 *>(from.image + pixel * c.cx + channel);
}

__device__ static inline float4 load_weights(const ConvCall &c, int phase, int tap, int channel, int out)
{
    if (channel >= c.cx)
        return make_float4(0, 0, 0, 0);
    const float *w = static_cast<const float *>(c.w) + phase * c.w_words;
    return *reinterpret_cast<const float4 *>(w + (static_cast<int64_t>(tap) * c.cx + channel) * c.n + out);
}

__device__ static inline void store_four(const ConvCall &c, int64_t at, int phase, int channel, const float (&sum)[OWN])
{
    GridPixel p = grid_pixel(c, at);
    if (p.image >= c.images || channel >= c.cy)
        return;
    int spread = c.phases == 4 ? 2 : 1;
    int64_t pixel = (static_cast<int64_t>(p.image) * c.oh + p.y * spread + phase / 2) * c.ow + p.x * spread + phase % 2;
    float4 bias = *reinterpret_cast<const float4 *>(c.bias + channel), add = make_float4(0, 0, 0, 0);
    if (c.residual)
        add = *reinterpret_cast<const float4 *>(static_cast<const float *>(c.residual) + pixel * c.cy + channel);
    float4 y = make_float4(sum[0] + (bias.x + add.x), sum[1] + (bias.y + add.y), sum[2] + (bias.z + add.z),
                           sum[3] + (bias.w + add.w));
    if (c.relu)
        y = make_float4(fmaxf(y.x, 0), fmaxf(y.y, 0), fmaxf(y.z, 0), fmaxf(y.w, 0));
    *reinterpret_cast<float4 *>(static_cast<float *>(c.y) + pixel * c.cy + channel) = y;
}

static __global__ void __launch_bounds__(THREADS) conv_floats(ConvCall c)
{
    SHARED(float, inputs, [DEEP][PITCH]);
    SHARED(float, weights, [DEEP][WIDE]);
    int thread = static_cast<int>(threadIdx.x), phase = static_cast<int>(blockIdx.z),
        out = static_cast<int>(blockIdx.y) * WIDE;
    int64_t first = static_cast<int64_t>(blockIdx.x) * PIXELS;
    int pixel = thread / OWN, deep = thread % OWN * 4; /* staged by this thread: of the input */
    int row = thread / 16, col = thread % 16 * 4; /* of the weights; and what it makes: pixels row * 4, channels col */
    GridPixel p = grid_pixel(c, first + pixel);
    Source from = {nullptr, p.y * c.stride + c.origin_y + phase / 2, p.x * c.stride + c.origin_x + phase % 2};
    if (p.image < c.images)
        from.image = static_cast<const float *>(c.x) + static_cast<int64_t>(p.image) * c.h * c.w_in * c.cx;
    int each = (c.cx + DEEP - 1) / DEEP, chunks = c.kh * c.kw * each;
    float sum[OWN][OWN] = {};
    bool busy = out + col < c.cy; /* else it only stages */
    float4 input = load_input(c, from, 0, deep), weight = load_weights(c, phase, 0, row, out + col);
    for (int chunk = 0; chunk < chunks; chunk++) {
        __syncthreads(); /* the chunk before is used */
        inputs[deep][pixel] = input.x;
        inputs[deep + 1][pixel] = input.y;
        inputs[deep + 2][pixel] = input.z;
        inputs[deep + 3][pixel] = input.w;
        *reinterpret_cast<float4 *>(&weights[row][col]) = weight;
        __syncthreads();
        int next = chunk + 1, tap = next / each, channel = next % each * DEEP;
        if (next < chunks) {
            input = load_input(c, from, tap, channel + deep);
            weight = load_weights(c, phase, tap, channel + row, out + col);
        }
        UNROLL for (int k = 0; k < DEEP && busy; k++)
        {
            float4 a = *reinterpret_cast<const float4 *>(&inputs[k][row * OWN]);
            float4 b = *reinterpret_cast<const float4 *>(&weights[k][col]);
            const float x[OWN] = {a.x, a.y, a.z, a.w}, w[OWN] = {b.x, b.y, b.z, b.w};
            UNROLL for (int i = 0; i < OWN; i++) UNROLL for (int j = 0; j < OWN; j++) sum[i][j] += x[i] * w[j];
        }
    }
    for (int i = 0; i < OWN; i++)
        store_four(c, first + row * OWN + i, phase, out + col, sum[i]);
}

void conv_fma(Cuda *cuda, const ConvCall &c)
{
    dim3 grid(gpu_blocks(static_cast<int64_t>(c.images) * c.gh * c.gw, PIXELS), gpu_blocks(c.n, WIDE),
              static_cast<unsigned>(c.phases));
    LAUNCH(conv_floats, grid, THREADS, 0, cuda->stream, c);
}

} // namespace GPU_SPACE
