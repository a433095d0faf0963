/* The host implementation of a GPU (kernels/cuda/host): results of correct kernels, and errors of wrong ones. */
extern "C" {
#include "tests/test.h"
}

#include <math.h>

#include "kernels/cuda/mma.h"
#include "kernels/cuda/runtime.h"

using namespace gpu_host;

static GpuStream stream;

/* Device memory with these values, or poison. */
template <class T> static T *device_values(const T *values, size_t count)
{
    T *memory = static_cast<T *>(gpu_malloc(count * sizeof(T)));
    assert_non_null(memory);
    if (values)
        gpu_copy(memory, values, count * sizeof(T), stream);
    return memory;
}

/* The queued work must have failed, with each of the words. */
#define assert_told(...)                                                                                               \
    do {                                                                                                               \
        Err told = {};                                                                                                 \
        assert_err(gpu_sync(stream, &told), told, __VA_ARGS__);                                                        \
        assert_ok(gpu_sync(stream, &told), told);                                                                      \
    } while (0)

static void assert_went_well()
{
    Err err = {};
    assert_ok(gpu_sync(stream, &err), err);
}

/* --- what works --------------------------------------------------------------------------------------------- */

static __global__ void reverse(const float *x, float *y)
{
    SHARED(float, tile, [96]);
    int i = static_cast<int>(threadIdx.x), base = static_cast<int>(blockIdx.x) * 96;
    if (i >= 96)
        return; /* and takes part in no barrier */
    tile[i] = x[base + i];
    __syncthreads();
    y[base + i] = tile[95 - i];
}

static void test_barrier(void **state)
{
    (void)state;
    enum { N = 96 * 5 };
    float x[N];
    for (int i = 0; i < N; i++)
        x[i] = static_cast<float>(i);
    float *in = device_values(x, N), *out = device_values<float>(nullptr, N);
    assert_true(out[0] != out[0]); /* memory starts as NaN */
    LAUNCH(reverse, 5, 128, 0, stream, in, out);
    assert_went_well();
    for (int i = 0; i < N; i++)
        assert_int_equal(static_cast<int>(out[i]), i / 96 * 96 + 95 - i % 96);
    gpu_free(in);
    gpu_free(out);
}

static __global__ void collectives(int *y)
{
    int lane = static_cast<int>(threadIdx.x);
    y[lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
    y[32 + lane] = __shfl_up_sync(0xffffffffu, lane, 3, 8);
    y[64 + lane] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
    if (lane < 16) /* the lanes of the mask synchronise without the others */
        y[96 + lane] = __shfl_sync(0x0000ffffu, lane, 7);
    else
        y[96 + lane] = __any_sync(0xffff0000u, lane == 40) ? 1 : __all_sync(0xffff0000u, lane > 15);
}

static void test_collectives(void **state)
{
    (void)state;
    int *y = device_values<int>(nullptr, 128);
    LAUNCH(collectives, 1, 32, 0, stream, y);
    assert_went_well();
    for (int i = 0; i < 32; i++) {
        assert_int_equal(y[i], i ^ 5);
        assert_int_equal(y[32 + i], i % 8 < 3 ? i : i - 3);
        assert_int_equal(y[64 + i], 0x49249249);
        assert_int_equal(y[96 + i], i < 16 ? 7 : 1);
    }
    gpu_free(y);
}

/* --- products ------------------------------------------------------------------------------------------------- */

/* d[16,8] = a[16,16] b[8,16]^T, both row-major, through background copies and matrix loads; b's last row as zeros. */
template <class T> static __global__ void product(const T *a, const T *b, float *d, bool wait)
{
    SHARED(T, left, [16][16]);
    SHARED(T, right, [8][16]);
    int lane = static_cast<int>(threadIdx.x);
    cp_async16(&left[lane / 2][lane % 2 * 8], a + lane * 8);
    if (lane < 16)
        cp_async16(&right[lane / 2][lane % 2 * 8], b + lane * 8, lane / 2 != 7);
    cp_async_commit();
    if (wait)
        cp_async_wait<0>();
    __syncthreads();
    unsigned fa[4], fb[2];
    float sum[4] = {0};
    ldmatrix_x4(fa, &left[lane % 16][lane / 16 * 8]);
    ldmatrix_x2(fb, &right[lane % 8][lane / 8 % 2 * 8]);
    mma_16816<T>(sum, fa, fb);
    for (int i = 0; i < 4; i++)
        d[(lane / 4 + 8 * (i / 2)) * 8 + lane % 4 * 2 + i % 2] = sum[i];
}

template <class T> static void check_product()
{
    T a[256], b[128];
    for (int i = 0; i < 256; i++)
        a[i] = narrow<T>(static_cast<float>(i * 7 % 31 - 15));
    for (int i = 0; i < 128; i++)
        b[i] = narrow<T>(static_cast<float>(i * 11 % 29 - 14));
    T *da = device_values(a, 256), *db = device_values(b, 128);
    float *d = device_values<float>(nullptr, 128);
    LAUNCH((product<T>), 1, 32, 0, stream, da, db, d, true);
    assert_went_well();
    for (int row = 0; row < 16; row++)
        for (int col = 0; col < 8; col++) {
            float want = 0;
            for (int k = 0; k < 16 && col != 7; k++)
                want += widen(a[row * 16 + k]) * widen(b[col * 16 + k]);
            assert_true(d[row * 8 + col] == want);
        }
    LAUNCH((product<T>), 1, 32, 0, stream, da, db, d, false);
    assert_went_well();
    assert_true(d[0] != d[0]); /* the copies were not waited for: NaN */
    gpu_free(da);
    gpu_free(db);
    gpu_free(d);
}

static void test_products(void **state)
{
    (void)state;
    check_product<__half>();
    check_product<__nv_bfloat16>();
}

static __global__ void product_tf32(const float *a, const float *b, float *d)
{
    int lane = static_cast<int>(threadIdx.x), r = lane / 4, c = lane % 4;
    unsigned fa[4], fb[2];
    float sum[4] = {0};
    for (int i = 0; i < 4; i++)
        fa[i] = to_tf32(a[(r + 8 * (i % 2)) * 8 + c + 4 * (i / 2)]);
    for (int i = 0; i < 2; i++)
        fb[i] = to_tf32(b[r * 8 + c + 4 * i]);
    mma_1688_tf32(sum, fa, fb);
    for (int i = 0; i < 4; i++)
        d[(r + 8 * (i / 2)) * 8 + c * 2 + i % 2] = sum[i];
}

static void test_product_tf32(void **state)
{
    (void)state;
    float a[128], b[64];
    for (int i = 0; i < 128; i++)
        a[i] = static_cast<float>(i * 7 % 31 - 15);
    for (int i = 0; i < 64; i++)
        b[i] = static_cast<float>(i * 11 % 29 - 14);
    float *da = device_values(a, 128), *db = device_values(b, 64), *d = device_values<float>(nullptr, 128);
    LAUNCH(product_tf32, 1, 32, 0, stream, da, db, d);
    assert_went_well();
    for (int row = 0; row < 16; row++)
        for (int col = 0; col < 8; col++) {
            float want = 0;
            for (int k = 0; k < 8; k++)
                want += a[row * 8 + k] * b[col * 8 + k];
            assert_true(d[row * 8 + col] == want);
        }
    gpu_free(da);
    gpu_free(db);
    gpu_free(d);
}

static void test_halves(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 65536; i++) { /* every half comes back, NaN as NaN */
        __half h = {static_cast<uint16_t>(i)};
        float x = __half2float(h);
        assert_true(x != x || __float2half_rn(x).bits == i);
    }
    static const struct {
        float x;
        uint16_t bits;
    } cases[] = {{1, 0x3c00}, {65504, 0x7bff}, {65519.996f, 0x7bff}, {65520, 0x7c00}, {-INFINITY, 0xfc00}, {1.0f + 0x1p-11f, 0x3c00},
                 {1.0f + 0x1.8p-10f, 0x3c02}, {0x1p-24f, 1}, {0x1p-25f, 0}, {0x1.8p-25f, 1}, {0x1p-14f, 0x400}, {-0.0f, 0x8000}};
    for (const auto &c : cases)
        assert_int_equal(__float2half_rn(c.x).bits, c.bits);
    assert_int_equal(__float2bfloat16_rn(1.0f + 0x1p-8f).bits, 0x3f80); /* ties to even */
    assert_int_equal(__float2bfloat16_rn(1.0f + 0x1.8p-7f).bits, 0x3f82);
    assert_int_equal(to_tf32(1.0f + 0x1p-11f), 0x3f802000); /* ties away from zero */
}

/* --- graphs ----------------------------------------------------------------------------------------------------- */

static __global__ void increase(float *x, float by)
{
    x[threadIdx.x] += by;
}

static void test_graph(void **state)
{
    (void)state;
    const float zeros[32] = {0};
    float *x = device_values(zeros, 32), by = 2;
    gpu_capture_begin(stream);
    LAUNCH(increase, 1, 32, 0, stream, x, by);
    LAUNCH(increase, 1, 32, 0, stream, x, by * 10);
    GpuGraph graph = gpu_capture_end(stream);
    by = 1000; /* arguments are those of the capture */
    assert_true(x[3] == 0);
    gpu_graph_launch(graph, stream);
    gpu_graph_launch(graph, stream);
    assert_went_well();
    assert_true(x[3] == 44);
    gpu_graph_free(graph);
    gpu_free(x);
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

static __global__ void strays(float *y)
{
    float x = 1;
    if (threadIdx.x % 2)
        x = __shfl_xor_sync(0xffffffffu, x, 1);
    else
        x = __shfl_xor_sync(0xffffffffu, x, 2);
    y[threadIdx.x] = x;
}

static __global__ void half_a_barrier(float *y)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncwarp();
    if (threadIdx.x >= 32)
        __syncthreads();
    y[threadIdx.x] = 0;
}

static __global__ void past_the_end(int at)
{
    SHARED(float, tile, [32]);
    float *start = tile; /* as an index too far along a row would */
    start[at] = 1;
}

static __global__ void past_the_dynamic_end(int at)
{
    DYN_SHARED(float, tile);
    tile[at] = 1;
}

static __global__ void no_barrier(float *y)
{
    SHARED(float, tile, [128]);
    tile[threadIdx.x] = 1;
    y[threadIdx.x] = tile[(threadIdx.x + 32) % 128];
}

static __global__ void crooked_copy(const float *x)
{
    SHARED(float, tile, [64]);
    cp_async16(&tile[0], x + 1);
}

static void test_told(void **state)
{
    (void)state;
    float *y = device_values<float>(nullptr, 1024);
    LAUNCH(strays, 3, 64, 0, stream, y);
    assert_told("kernel strays", "different places", "test_gpu_host.cpp");
    LAUNCH(half_a_barrier, 1, 64, 0, stream, y);
    assert_told("kernel half_a_barrier", "different barriers");
    LAUNCH(past_the_end, 1, 1, 0, stream, 32);
    assert_told("kernel past_the_end", "written past its end");
    LAUNCH(crooked_copy, 1, 1, 0, stream, y);
    assert_told("kernel crooked_copy", "not aligned to 16");
    LAUNCH(increase, 1, 1025, 0, stream, y, 1.0f);
    assert_told("kernel increase", "1025", "1..1024");
    LAUNCH(increase, dim3(1, 70000), 32, 0, stream, y, 1.0f);
    assert_told("70000", "65535");
    LAUNCH(increase, 1, 32, 300 << 10, stream, y, 1.0f);
    assert_told("307200 bytes of shared memory");
    LAUNCH(past_the_dynamic_end, 1, 1, 128, stream, 32);
    assert_told("dynamic shared memory is written past its end");
    y[0] = 7;
    LAUNCH(strays, 1, 32, 0, stream, y);
    LAUNCH(increase, 1, 1, 0, stream, y, 1.0f); /* after a failure nothing runs */
    assert_told("strays");
    assert_true(y[0] == 7);
    gpu_free(y);
}

/* A missing barrier is visible as poison from the warp that has not run yet. */
static void test_missing_barrier(void **state)
{
    (void)state;
    float *y = device_values<float>(nullptr, 128);
    LAUNCH(no_barrier, 1, 128, 0, stream, y);
    assert_went_well();
    int poison = 0;
    for (int i = 0; i < 128; i++)
        poison += y[i] != y[i];
    assert_true(poison >= 32);
    gpu_free(y);
}

static int open_stream(void **state)
{
    (void)state;
    stream = gpu_stream_new(nullptr);
    return 0;
}

static int close_stream(void **state)
{
    (void)state;
    gpu_stream_free(stream);
    return 0;
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barrier),      cmocka_unit_test(test_collectives), cmocka_unit_test(test_products),
        cmocka_unit_test(test_product_tf32), cmocka_unit_test(test_halves),      cmocka_unit_test(test_graph),
        cmocka_unit_test(test_told),         cmocka_unit_test(test_missing_barrier),
    };
    return cmocka_run_group_tests(tests, open_stream, close_stream);
}
