/* Matrix products in plain loops, with operands rounded as the tensor cores would take them and sums in f32. An element
 * is summed in LANES running sums over k, whatever the number of rows. */
#include "kernels/cuda/gemm.h"

#include <vector>

#include "kernels/cuda/num.h"

namespace gpu_host {

enum { LANES = 16 };

struct Gemm {};

Gemm *gemm_open(const GpuDevice *device, Err *err)
{
    (void)device, (void)err;
    return new Gemm();
}

void gemm_close(Gemm *gemm)
{
    delete gemm;
}

static std::vector<float> operand(Precision precision, const void *values, int64_t count)
{
    std::vector<float> out(static_cast<size_t>(count));
    for (size_t i = 0; i < out.size(); i++)
        switch (precision) {
        case PREC_F16: out[i] = widen(static_cast<const __half *>(values)[i]); break;
        case PREC_BF16: out[i] = widen(static_cast<const __nv_bfloat16 *>(values)[i]); break;
        case PREC_TF32: out[i] = __uint_as_float(to_tf32(static_cast<const float *>(values)[i])); break;
        case PREC_F32: out[i] = static_cast<const float *>(values)[i]; break;
        }
    return out;
}

static float dot(const float *a, const float *b, int64_t k)
{
    float lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (; i < k; i++)
        lanes[i % LANES] += a[i] * b[i];
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

struct GemmWork : Work {
    GemmCall call;
    explicit GemmWork(const GemmCall &c) : call(c) {}
    void run() override
    {
        const std::vector<float> x = operand(call.precision, call.x, call.rows * call.k);
        const std::vector<float> w = operand(call.precision, call.w, call.n * call.k);
        for (int64_t n = 0; n < call.n; n++)
            for (int64_t r = 0; r < call.rows; r++) {
                float *y = call.y + r * call.n + n;
                float sum = dot(&x[static_cast<size_t>(r * call.k)], &w[static_cast<size_t>(n * call.k)], call.k);
                *y = sum + (call.accumulate ? *y : 0.0f) + (call.bias ? call.bias[n] : 0.0f);
            }
    }
};

bool gemm_run(Gemm *gemm, const GemmCall *call, GpuStream stream, Err *err)
{
    (void)gemm, (void)err;
    stream_take(stream, new GemmWork(*call));
    return true;
}

} // namespace gpu_host
