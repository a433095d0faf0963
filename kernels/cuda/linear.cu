/* Matrix products with packed weights: y[R,N] = x[R,K] w^T + bias (+ y), by gemm.h.
 *
 * Weights are packed once into the precision's operand type, rows padded with zeros to 16 bytes. Activations come and
 * go as f32; in 16 bits they are rounded into scratch first, 6 bytes moved an element, beside a product of N times 2
 * operations an element. Sums, bias and the residual stream (accumulate) are f32 in every precision. */
#include <stdlib.h>

#include "core/mem.h"
#include "kernels/cuda/cuda.h"

namespace GPU_SPACE
{

/* --- operands --------------------------------------------------------------------------------------------- */

enum { THREADS = 256, EACH = 8, PACK_BYTES = 16 << 20 };

/* One thread makes EACH neighbours of a row: 16 bytes out. */
template <class T>
static __global__ void narrow_rows(const float *x, int64_t groups, int k, int width, T *y, Fault *fault)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= groups)
        return;
    int64_t at = i * EACH, row = at / width;
    int col = static_cast<int>(at - row * width);
    alignas(16) T out[EACH];
    bool whole = true;
    for (int j = 0; j < EACH; j++) {
        float value = col + j < k ? x[row * k + col + j] : 0.0f;
        whole = whole && holds<T>(value);
        out[j] = narrow<T>(value);
    }
    if (!whole)
        fault->overflow = OVERFLOW_ROWS;
    *reinterpret_cast<uint4 *>(y + at) = *reinterpret_cast<const uint4 *>(out);
}

template <class T> static void narrow_launch(Cuda *cuda, const float *x, int64_t rows, int64_t k, void *y)
{
    int64_t width = cuda_operand_width(cuda, k), groups = rows * width / EACH;
    LAUNCH((narrow_rows<T>), gpu_blocks(groups, THREADS), THREADS, 0, cuda->stream, x, groups, static_cast<int>(k),
           static_cast<int>(width), static_cast<T *>(y), cuda->fault);
}

int64_t cuda_operand_width(const Cuda *cuda, int64_t k)
{
    return cuda_16bit(cuda) ? round_up(k, EACH) : k;
}

void cuda_narrow(Cuda *cuda, const float *x, int64_t rows, int64_t k, void *y)
{
    if (cuda->base.precision == PREC_F16)
        narrow_launch<__half>(cuda, x, rows, k, y);
    else if (cuda->base.precision == PREC_BF16)
        narrow_launch<__nv_bfloat16>(cuda, x, rows, k, y);
    else
        gpu_copy(y, x, static_cast<size_t>(rows * k) * sizeof(float), cuda->stream);
}

const void *cuda_operand(Cuda *cuda, const float *x, int64_t rows, int64_t k)
{
    if (!cuda_16bit(cuda))
        return x;
    void *y = cuda_scratch(cuda, SCRATCH_OPERAND, static_cast<size_t>(rows * cuda_operand_width(cuda, k)) * 2);
    if (y)
        cuda_narrow(cuda, x, rows, k, y);
    return y;
}

/* --- weights ---------------------------------------------------------------------------------------------- */

struct CudaLinear {
    Linear base;
    void *w; /* [N,operand width] */
    float *bias;
};

/* Through scratch in chunks of whole rows, so that packing needs no second copy of a large matrix. */
static void pack_rows(Cuda *cuda, const float *w, int64_t n, int64_t k, char *packed)
{
    int64_t piece = PACK_BYTES / (k * static_cast<int64_t>(sizeof(float))), element = cuda_16bit(cuda) ? 2 : 4;
    piece = piece < 1 ? 1 : piece > n ? n : piece;
    float *rows =
        static_cast<float *>(cuda_scratch(cuda, SCRATCH_PACK, static_cast<size_t>(piece * k) * sizeof(float)));
    for (int64_t i = 0; rows && i < n; i += piece) {
        int64_t count = n - i < piece ? n - i : piece;
        gpu_copy(rows, w + i * k, static_cast<size_t>(count * k) * sizeof(float), cuda->stream);
        cuda_narrow(cuda, rows, count, k, packed + i * cuda_operand_width(cuda, k) * element);
    }
}

Linear *cuda_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err)
{
    Cuda *cuda = cuda_of(be);
    CudaLinear *linear = static_cast<CudaLinear *>(xcalloc(1, sizeof(*linear)));
    linear->base.n = n;
    linear->base.k = k;
    linear->w = be_alloc(be, static_cast<size_t>(n * cuda_operand_width(cuda, k)) * (cuda_16bit(cuda) ? 2 : 4), err);
    linear->bias =
        linear->w && bias ? static_cast<float *>(be_alloc(be, static_cast<size_t>(n) * sizeof(float), err)) : nullptr;
    if (!linear->w || (bias && !linear->bias)) {
        cuda_linear_free(be, &linear->base);
        return nullptr;
    }
    pack_rows(cuda, w, n, k, static_cast<char *>(linear->w));
    if (bias)
        gpu_copy(linear->bias, bias, static_cast<size_t>(n) * sizeof(float), cuda->stream);
    return &linear->base;
}

void cuda_linear_free(Backend *be, Linear *base)
{
    CudaLinear *linear = reinterpret_cast<CudaLinear *>(base);
    be_free(be, linear->w);
    be_free(be, linear->bias);
    free(linear);
}

/* --- running ---------------------------------------------------------------------------------------------- */

void cuda_linear(Backend *be, const Linear *base, Tensor x, Tensor y, bool accumulate)
{
    Cuda *cuda = cuda_of(be);
    const CudaLinear *linear = reinterpret_cast<const CudaLinear *>(base);
    GemmCall call = {};
    call.precision = be->precision;
    call.rows = x.shape[0];
    call.n = base->n;
    call.k = cuda_operand_width(cuda, base->k);
    call.x = cuda_operand(cuda, static_cast<const float *>(x.data), call.rows, base->k);
    call.w = linear->w;
    call.bias = linear->bias;
    call.y = static_cast<float *>(y.data);
    call.accumulate = accumulate;
    Err err = {}, device = {};
    if (!call.x || gemm_run(cuda->gemm, &call, cuda->stream, &err))
        return;
    if (!gpu_sync(cuda->stream, &device)) /* the library hides the device's error */
        backend_fail(be, device.kind, "%s", device.text);
    else
        backend_fail(be, err.kind, "be_linear: %lld rows, [%lld,%lld]: %s", static_cast<long long>(call.rows),
                     static_cast<long long>(base->n), static_cast<long long>(base->k), err.text);
}

} // namespace GPU_SPACE
