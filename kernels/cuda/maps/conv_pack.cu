/* Weights of convolutions in the order in which the kernels read them.
 *
 * Tensor cores: [phase][step][pair of 8-channel tiles][lane][4] words of 32 bits: what lane l holds as b[0], b[1] of
 * the first tile and b[0], b[1] of the second (mma.h), so that a warp reads 512 neighbouring bytes for two tiles. Steps
 * come in the order of the sum: slice, tap, step of the slice; a last slice that is not full has fewer. One step of
 * zeros follows at the end, because the kernel reads one step ahead. f32: [tap][input channel][n].
 *
 * Channels beyond c_in and c_out have zero weights. The four weights that fall together in a phase are added in f32
 * before they are rounded. */
#include "kernels/cuda/maps/conv.h"

namespace GPU_SPACE
{

enum { THREADS = 256, WORDS_A_PAIR = 128, STEP_BYTES = 32 };

struct Packing {
    const float *w; /* [c_out,c_in,kernel_h,kernel_w] */
    int c_out, c_in, kernel_h, kernel_w;
    int phases, kh, kw, n, cx;
    int64_t w_words;
};

/* The weight of a phase's tap. */
__device__ static inline float weight(const Packing &p, int phase, int tap, int out, int in)
{
    if (out >= p.c_out || in >= p.c_in)
        return 0;
    const float *w = p.w + (static_cast<int64_t>(out) * p.c_in + in) * p.kernel_h * p.kernel_w;
    if (p.phases == 1)
        return w[tap];
    int py = phase / 2, px = phase % 2;
    float sum = 0;
    for (int y = 0; y < p.kernel_h; y++)
        for (int x = 0; x < p.kernel_w; x++)
            if ((py + y + 1) / 2 - py == tap / p.kw && (px + x + 1) / 2 - px == tap % p.kw)
                sum += w[y * p.kernel_w + x];
    return sum;
}

template <class T> __device__ static inline unsigned word_of(const Packing &p, int phase, int64_t word)
{
    constexpr int STEP = STEP_BYTES / static_cast<int>(sizeof(T));
    int reg = static_cast<int>(word % 4), lane = static_cast<int>(word / 4 % WARP), taps = p.kh * p.kw;
    int pairs = (p.n + 15) / 16, steps = (p.cx + STEP - 1) / STEP;
    int pair = static_cast<int>(word / WORDS_A_PAIR % pairs), at = static_cast<int>(word / WORDS_A_PAIR / pairs);
    int slice = at / (2 * taps), rest = at % (2 * taps), here = min(2, steps - 2 * slice);
    int out = pair * 16 + reg / 2 * 8 + lane / 4;
    if (here < 1)
        return 0;
    int tap = rest / here, first = (2 * slice + rest % here) * STEP;
    if constexpr (sizeof(T) == 2) {
        int in = first + lane % 4 * 2 + reg % 2 * 8;
        return pack2<T>(weight(p, phase, tap, out, in), weight(p, phase, tap, out, in + 1));
    } else {
        return to_tf32(weight(p, phase, tap, out, first + lane % 4 + reg % 2 * 4));
    }
}

template <class T>
static __global__ void __launch_bounds__(THREADS) pack_words(Packing p, int64_t words, unsigned *packed)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= words)
        return;
    int phase = static_cast<int>(i / p.w_words);
    packed[i] = phase < p.phases ? word_of<T>(p, phase, i - phase * p.w_words) : 0;
}

static __global__ void __launch_bounds__(THREADS) pack_floats(Packing p, int64_t words, float *packed)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= words)
        return;
    int phase = static_cast<int>(i / p.w_words), out = static_cast<int>(i % p.n);
    int64_t row = i % p.w_words / p.n;
    packed[i] = weight(p, phase, static_cast<int>(row / p.cx), out, static_cast<int>(row % p.cx));
}

static int64_t phase_words(const Cuda *cuda, const CudaConv *conv)
{
    int64_t cx = map_channels(conv->base.shape.c_in), taps = conv->kh * conv->kw;
    if (cuda->base.precision == PREC_F32)
        return taps * cx * conv->n;
    int64_t step = STEP_BYTES / static_cast<int64_t>(map_element(cuda));
    return (cx + step - 1) / step * taps * (round_up(conv->n, 16) / 16) * WORDS_A_PAIR;
}

int64_t conv_packed_words(const Cuda *cuda, const CudaConv *conv)
{
    return conv->phases * phase_words(cuda, conv) + round_up(conv->n, 16) / 16 * WORDS_A_PAIR;
}

bool conv_pack_weights(Cuda *cuda, CudaConv *conv, const float *w, Err *err)
{
    const ConvShape *s = &conv->base.shape;
    size_t bytes = static_cast<size_t>(s->c_out) * static_cast<size_t>(s->c_in * s->kh * s->kw) * sizeof(float);
    Packing p = {};
    p.w = static_cast<const float *>(cuda_scratch(cuda, SCRATCH_PACK, bytes));
    if (!p.w)
        return be_check(&cuda->base, err);
    gpu_copy(const_cast<float *>(p.w), w, bytes, cuda->stream);
    p.c_out = s->c_out;
    p.c_in = s->c_in;
    p.kernel_h = s->kh;
    p.kernel_w = s->kw;
    p.phases = conv->phases;
    p.kh = conv->kh;
    p.kw = conv->kw;
    p.n = conv->n;
    p.cx = map_channels(s->c_in);
    p.w_words = conv->w_words = phase_words(cuda, conv);
    int64_t words = conv_packed_words(cuda, conv);
    unsigned blocks = gpu_blocks(words, THREADS), *packed = static_cast<unsigned *>(conv->w);
    if (cuda->base.precision == PREC_F16)
        LAUNCH((pack_words<__half>), blocks, THREADS, 0, cuda->stream, p, words, packed);
    else if (cuda->base.precision == PREC_BF16)
        LAUNCH((pack_words<__nv_bfloat16>), blocks, THREADS, 0, cuda->stream, p, words, packed);
    else if (cuda->base.precision == PREC_TF32)
        LAUNCH((pack_words<float>), blocks, THREADS, 0, cuda->stream, p, words, packed);
    else
        LAUNCH(pack_floats, gpu_blocks(conv->phases * p.w_words, THREADS), THREADS, 0, cuda->stream, p,
               conv->phases * p.w_words, static_cast<float *>(conv->w));
    return true;
}

} // namespace GPU_SPACE
