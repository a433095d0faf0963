/* A group norm directly after a convolution, as the decoder has it everywhere. A backend may use statistics that the
 * convolution stored with the map: the result must be that of reading the map, an image must not depend on its batch,
 * and the statistics must be dropped as soon as any other op ran.
 *
 *     test_conv_norm [--device cpu|cuda|cuda-host] */
#include "tests/test.h"

#include <math.h>

#include "kernels/backend.h"
#include "kernels/backend_ops.h"
#include "kernels/cuda/host/driver.h"

/* On CUDA x is cut into many wide tiles, the enlarged map into few narrow ones. */
enum { IMAGES = 2, C_IN = 13, C = 128, GROUPS = 32, H = 32, W = 48, ONE = H * W * C, ALL = IMAGES * ONE };

static Backend *be;
static const char *device = "cpu";
static Precision precision;

typedef struct Bench {
    Conv *plain, *enlarged;
    FeatureMap x, small, y, other, normed; /* small: half the side of x */
    Tensor rows, gamma, beta;
} Bench;

static Bench bench;

/* The same numbers every time; `drift` moves the mean away from 0. */
static void fill(float *values, int64_t n, float drift, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        values[i] = drift + (float)(seed >> 40) / (1 << 23) - 1;
    }
}

static void *take(size_t bytes)
{
    Err err = {0};
    void *memory = be_alloc(be, bytes, &err);
    assert_ok(memory != NULL, err);
    return memory;
}

static FeatureMap take_map(int h, int w, int c)
{
    return (FeatureMap){.data = take(be_map_bytes(be, IMAGES, h, w, c)), .b = IMAGES, .h = h, .w = w, .c = c};
}

static Tensor rows_of(FeatureMap map)
{
    Tensor rows = bench.rows;
    rows.shape[0] = (int64_t)map.b * map.h * map.w;
    rows.shape[1] = map.c;
    return rows;
}

static void fill_map(FeatureMap map, float drift, uint64_t seed)
{
    Err err = {0};
    Tensor rows = rows_of(map);
    float *values = xmalloc(tensor_bytes(&rows));
    fill(values, tensor_count(&rows), drift, seed);
    be_upload(be, rows, values);
    be_map_from_rows(be, rows, map);
    assert_ok(be_check(be, &err), err);
    free(values);
}

static float *read_map(FeatureMap map)
{
    Err err = {0};
    Tensor rows = rows_of(map);
    float *values = xmalloc(tensor_bytes(&rows));
    be_map_to_rows(be, map, rows);
    be_download(be, values, rows);
    assert_ok(be_check(be, &err), err);
    return values;
}

static Conv *pack(bool upsample)
{
    static float w[C * C_IN * 9], bias[C];
    const ConvShape shape = {
        .c_in = C_IN, .c_out = C, .kh = 3, .kw = 3, .stride = 1, .pad_h = 1, .pad_w = 1, .upsample = upsample};
    Err err = {0};
    fill(w, countof(w), 0, 5);
    fill(bias, C, 20, 6); /* a mean that is large beside the deviation */
    Conv *conv = be_conv_pack(be, w, bias, &shape, H, W, &err);
    assert_ok(conv != NULL, err);
    return conv;
}

static Tensor channels(uint64_t seed)
{
    float values[C];
    Tensor t = tensor_f32(take(sizeof(values)), 1, C, 0, 0, 0);
    fill(values, C, 1, seed);
    be_upload(be, t, values);
    return t;
}

static int set_up(void **state)
{
    (void)state;
    Err err = {0};
    be = backend_open(device, precision, 0, &err);
    assert_ok(be != NULL, err);
    bench = (Bench){.plain = pack(false), .enlarged = pack(true)};
    bench.rows = tensor_f32(take(ALL * sizeof(float)), 2, 1, 1, 0, 0);
    bench.x = take_map(H, W, C_IN);
    bench.small = take_map(H / 2, W / 2, C_IN);
    bench.y = take_map(H, W, C);
    bench.other = take_map(H, W, C);
    bench.normed = take_map(H, W, C);
    bench.gamma = channels(7);
    bench.beta = channels(8);
    fill_map(bench.x, 0, 1);
    fill_map(bench.small, 0, 2);
    fill_map(bench.other, 3, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    void *const memory[] = {bench.rows.data,  bench.x.data,      bench.small.data, bench.y.data,
                            bench.other.data, bench.normed.data, bench.gamma.data, bench.beta.data};
    for (size_t i = 0; i < countof(memory); i++)
        be_free(be, memory[i]);
    be_conv_free(be, bench.plain);
    be_conv_free(be, bench.enlarged);
    backend_close(be);
    return 0;
}

/* The norm of y, read back. */
static float *norm(FeatureMap y)
{
    FeatureMap normed = bench.normed;
    normed.b = y.b;
    be_group_norm(be, y, bench.gamma, bench.beta, GROUPS, true, normed);
    return read_map(normed);
}

/* Equal but for the rounding of the statistics: in 16 bits a value in thousands may fall to its neighbour. */
static void assert_near(const float *got, const float *want)
{
    double errors = 0, squares = 0;
    for (int i = 0; i < ALL; i++) {
        errors += pow((double)got[i] - (double)want[i], 2);
        squares += pow((double)want[i], 2);
    }
    double bound = precision == PREC_F32 || precision == PREC_TF32 ? 1e-12 : 1e-7;
    if (!(errors / squares <= bound))
        fail_msg("relative square error %g, wanted at most %g", errors / squares, bound);
}

static void agree(Conv *conv, FeatureMap x)
{
    const FeatureMap none = {0};
    be_conv(be, conv, x, none, bench.y);
    float *direct = norm(bench.y);
    be_conv(be, conv, x, none, bench.y);
    free(read_map(bench.y)); /* another op */
    float *measured = norm(bench.y);
    assert_near(direct, measured);
    free(direct);
    free(measured);
}

static void test_agrees(void **state)
{
    (void)state;
    agree(bench.plain, bench.x);
    agree(bench.enlarged, bench.small);
}

static void test_images_alone(void **state)
{
    (void)state;
    FeatureMap x = bench.x, y = bench.y;
    be_conv(be, bench.plain, x, (FeatureMap){0}, y);
    float *all = norm(y);
    x.b = y.b = 1;
    for (int i = 0; i < IMAGES; i++) {
        x.data = (char *)bench.x.data + be_map_bytes(be, i, H, W, C_IN);
        be_conv(be, bench.plain, x, (FeatureMap){0}, y);
        float *alone = norm(y);
        assert_memory_equal(alone, all + (size_t)i * ONE, ONE * sizeof(float));
        free(alone);
    }
    free(all);
}

/* By a copy, which is no op, and by an op that writes elsewhere in between. */
static void test_forgets(void **state)
{
    (void)state;
    int64_t bytes = (int64_t)be_map_bytes(be, IMAGES, H, W, C);
    Tensor from = {.data = bench.other.data, .dtype = DTYPE_U8, .ndim = 1, .shape = {bytes}}, to = from;
    to.data = bench.y.data;
    float *want = norm(bench.other);
    be_conv(be, bench.plain, bench.x, (FeatureMap){0}, bench.y);
    be_copy(be, to, from);
    float *copied = norm(bench.y);
    be_conv(be, bench.plain, bench.x, (FeatureMap){0}, bench.y);
    fill_map(bench.y, 3, 3);
    float *written = norm(bench.y);
    assert_memory_equal(copied, want, ALL * sizeof(float));
    assert_memory_equal(written, want, ALL * sizeof(float));
    free(want);
    free(copied);
    free(written);
}

/* From its third round on a recorded convolution runs without its host code; the norm after it must give the same. */
static void test_recorded(void **state)
{
    (void)state;
    enum { ROUNDS = 4, KEY = 77 };
    float *first = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        fill_map(bench.y, 3, 9);
        if (be_replay_begin(be, KEY)) {
            be_conv(be, bench.plain, bench.x, (FeatureMap){0}, bench.y);
            be_replay_end(be);
        }
        float *now = norm(bench.y);
        if (first)
            assert_memory_equal(now, first, ALL * sizeof(float));
        else
            first = now;
        if (now != first)
            free(now);
    }
    free(first);
}

/* Before any memory is touched, so the maps need not be that large. */
static void test_too_long(void **state)
{
    (void)state;
    enum { LONG = 15001 };
    Err err = {0};
    FeatureMap x = {.data = bench.x.data, .b = 1, .h = 1, .w = LONG, .c = C_IN}, y = x;
    if (!strcmp(device, "cpu") || precision == PREC_F32)
        skip();
    y.data = bench.y.data;
    y.c = C;
    be_conv(be, bench.plain, x, (FeatureMap){0}, y);
    assert_err(be_check(be, &err), err, "be_conv", "1x15001", "15000");
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"f32", "tf32", "f16", "bf16"};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees), cmocka_unit_test(test_images_alone),
                                       cmocka_unit_test(test_forgets), cmocka_unit_test(test_recorded),
                                       cmocka_unit_test(test_too_long)};
    if (argc == 3 && !strcmp(argv[1], "--device"))
        device = argv[2];
    backend_register(&cuda_host_driver);
    int failed = 0, ran = 0;
    for (precision = PREC_F32; precision <= PREC_BF16; precision++) {
        Err err = {0};
        Backend *offered = backend_open(device, precision, 1, &err);
        backend_close(offered);
        if (!offered) {
            printf("[  SKIPPED ] %s: %s\n", names[precision], err.text);
            continue;
        }
        failed += _cmocka_run_group_tests(names[precision], tests, countof(tests), set_up, tear_down);
        ran++;
    }
    return failed || !ran ? EXIT_FAILURE : EXIT_SUCCESS;
}
