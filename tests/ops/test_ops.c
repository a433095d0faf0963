/* Every op of kernels/backend.h against plain loops in double, on one device, in every precision it offers and, on the
 * CPU, with every width of vectors. Rows: op_cases.c; bounds: op_rows.c, op_maps.c. Each passing row prints how much of
 * its bounds it used. "cuda-host" is the CUDA backend with its kernels run on the host (kernels/cuda/README.md).
 *
 *     test_ops [--device cpu|cuda|cuda-host] [--list] [--coverage] [OP or OP/ROW]
 */
#include "tests/test.h"

#include "kernels/cuda/host/driver.h"
#include "tests/ops/rig.h"

static Backend *be;
static Precision precision;
static const char *device = "cpu", *only, *narrow; /* narrow: the CPU held to these vectors */

static const char *precision_name(Precision p)
{
    static const char *const names[] = {"f32", "tf32", "f16", "bf16"};
    return names[p];
}

/* Rows whose result depends on the precision, or on a vector width chosen when the backend opens. */
static bool touched(const Case *row)
{
    static const BackendOp by_width[] = {OP_linear, OP_argmax_linear, OP_attention, OP_conv, OP_pixel_attention};
    for (size_t i = 0; narrow && i < countof(by_width); i++)
        if (row->op == by_width[i])
            return true;
    if (row->p[LARGE] && precision != PREC_F16 && !strcmp(device, "cuda-host"))
        return false;
    return !narrow && (precision == PREC_F32 || op_tests[row->op]->nmse_bf16 > 0);
}

static bool chosen(const Case *row)
{
    char name[96];
    snprintf(name, sizeof(name), "%s/%s", backend_op_name(row->op), row->name);
    return !only || !strcmp(only, name) || !strcmp(only, backend_op_name(row->op));
}

static void test_row(void **state)
{
    const Case *row = *state;
    static Rig rig;
    if (!rig_run(&rig, be, row))
        fail_msg("%s/%s %s: %s", backend_op_name(row->op), row->name, precision_name(precision), rig.text);
    printf("         %5.1f%% of the nmse bound, %5.1f%% of the error bound\n", 100 * rig.nmse, 100 * rig.max);
}

/* The same bytes whatever the threads: an image must not depend on the machine's core count. */
static void test_threads(void **state)
{
    (void)state;
    static const char *const names[] = {"qkv_thin",      "latents_out",  "codes",   "grid_16",      "res_128",
                                        "mid_thin",      "upsample_256", "inc_1x7", "nin_shortcut", "large",
                                        "across_blocks", "both_ties",    "prime"};
    static Rig rig;
    Err err = {0};
    if (!backend_is_host(be)) /* threads are the CPU's */
        skip();
    for (int i = 0; i < op_case_count; i++)
        for (size_t j = 0; j < countof(names); j++) {
            if (strcmp(op_cases[i].name, names[j]))
                continue;
            uint64_t digests[2];
            for (int k = 0; k < 2; k++) {
                Backend *other = backend_open(device, precision, k ? 3 : 1, &err);
                assert_ok(other != NULL, err);
                if (!rig_run(&rig, other, &op_cases[i]))
                    fail_msg("%s/%s: %s", backend_op_name(op_cases[i].op), names[j], rig.text);
                digests[k] = rig.digest;
                backend_close(other);
            }
            if (digests[0] != digests[1])
                fail_msg("%s/%s: other bytes with 3 threads than with 1", backend_op_name(op_cases[i].op), names[j]);
        }
}

/* Bytes that are compared with other programs are the same on every device, and so are copies and pools. */
static void test_cpu_bytes(void **state)
{
    (void)state;
    static const BackendOp ops[] = {OP_to_u8, OP_resize_inception, OP_pool, OP_concat, OP_global_mean};
    static Rig rig;
    Err err = {0};
    Backend *cpu = backend_open("cpu", PREC_F32, 1, &err);
    assert_ok(cpu != NULL, err);
    for (int i = 0; i < op_case_count; i++)
        for (size_t j = 0; j < countof(ops); j++) {
            if (op_cases[i].op != ops[j])
                continue;
            uint64_t digests[2];
            for (int k = 0; k < 2; k++) {
                if (!rig_run(&rig, k ? cpu : be, &op_cases[i]))
                    fail_msg("%s/%s: %s", backend_op_name(ops[j]), op_cases[i].name, rig.text);
                digests[k] = rig.digest;
            }
            if (digests[0] != digests[1])
                fail_msg("%s/%s: other bytes than the CPU's", backend_op_name(ops[j]), op_cases[i].name);
        }
    backend_close(cpu);
}

/* A second call with the same shapes must not allocate. */
static void test_no_allocation(void **state)
{
    (void)state;
    Err err = {0};
    enum { ROWS = 21, N = 48, K = 32 };
    float *w = xcalloc(N * K, sizeof(*w));
    Linear *linear = be_linear_pack(be, w, NULL, N, K, &err);
    const ConvShape shape = {.c_in = K, .c_out = K, .kh = 1, .kw = 1, .stride = 1, .upsample = true};
    Conv *conv = be_conv_pack(be, w, NULL, &shape, 3, 4, &err);
    assert_ok(linear && conv, err);
    Tensor x = tensor_f32(be_alloc(be, ROWS * N * 4, &err), 2, ROWS, K, 0, 0);
    Tensor y = tensor_f32(be_alloc(be, ROWS * N * 4, &err), 2, ROWS, N, 0, 0);
    Tensor ids = {.data = be_alloc(be, ROWS * 4, &err), .dtype = DTYPE_I32, .ndim = 1, .shape = {ROWS}};
    FeatureMap a = {.data = be_alloc(be, be_map_bytes(be, 1, 3, 4, K), &err), .b = 1, .h = 3, .w = 4, .c = K};
    FeatureMap b = {.data = be_alloc(be, be_map_bytes(be, 1, 6, 8, K), &err), .b = 1, .h = 6, .w = 8, .c = K};
    BackendCounters before = {0};
    for (int pass = 0; pass < 2; pass++) {
        before = *backend_counters(be);
        be_linear(be, linear, x, y, false);
        be_argmax_linear(be, linear, x, ids, (Tensor){0});
        be_sample(be, y, 3, 0.9f, 1, (Tensor){0}, ids, (Tensor){0});
        be_conv(be, conv, a, (FeatureMap){0}, b);
        be_pixel_attention(be, a, a, a, 1, a);
        assert_ok(be_check(be, &err), err);
    }
    assert_int_equal(backend_counters(be)->allocations, before.allocations);
    assert_int_equal(backend_counters(be)->calls[OP_linear], before.calls[OP_linear] + 1);
    assert_int_equal(backend_counters(be)->calls[OP_conv], before.calls[OP_conv] + 1);
    void *memory[] = {x.data, y.data, ids.data, a.data, b.data};
    for (size_t i = 0; i < countof(memory); i++)
        be_free(be, memory[i]);
    be_linear_free(be, linear);
    be_conv_free(be, conv);
    free(w);
}

/* The first failure is kept with names and shapes; later ops do nothing; be_check reports it once. */
static void test_sticky_errors(void **state)
{
    (void)state;
    Err err = {0};
    void *memory = be_alloc(be, 4096, &err);
    Tensor x = tensor_f32(memory, 2, 3, 5, 0, 0), wrong = tensor_f32(memory, 2, 3, 7, 0, 0);
    int64_t calls = backend_counters(be)->calls[OP_swiglu];
    be_rms_norm(be, x, (Tensor){0}, wrong);
    be_swiglu(be, x, x);
    assert_int_equal(backend_counters(be)->calls[OP_swiglu], calls);
    assert_err(be_check(be, &err), err, "be_rms_norm", "y is [3,7] f32", "wanted [3,5] f32");
    assert_ok(be_check(be, &err), err);
    be_gather(be, x, (Tensor){.data = memory, .dtype = DTYPE_F32, .ndim = 1, .shape = {1}}, x);
    assert_err(be_check(be, &err), err, "be_gather", "ids is [1] f32", "wanted [*] i32");
    be_group_norm(be, (FeatureMap){.data = memory, .b = 1, .h = 1, .w = 1, .c = 6}, tensor_f32(memory, 1, 6, 0, 0, 0),
                  tensor_f32(memory, 1, 6, 0, 0, 0), 4, true,
                  (FeatureMap){.data = memory, .b = 1, .h = 1, .w = 1, .c = 6});
    assert_err(be_check(be, &err), err, "6 channels", "4 groups");
    assert_null(
        be_conv_pack(be, memory, NULL, &(ConvShape){.c_in = 1, .c_out = 1, .kh = 3, .kw = 3, .stride = 1}, 2, 2, &err));
    assert_non_null(strstr(err.text, "be_conv_pack"));
    be_free(be, memory);
}

static void test_selftest(void **state)
{
    (void)state;
    Err err = {0};
    assert_ok(backend_selftest(be, &err), err);
}

static void test_refusals(void **state)
{
    (void)state;
    Err err = {0};
    assert_err(backend_open("nosuch", PREC_F32, 1, &err), err, "nosuch", "cpu");
    assert_err(backend_open("cpu", PREC_TF32, 1, &err), err, "tf32", "fp32");
    assert_err(backend_open("cpu", PREC_F16, 1, &err), err, "fp16", "fp32");
    assert_err(be_alloc(be, (size_t)1 << 50, &err), err, "MiB");
}

static int open_backend(void **state)
{
    (void)state;
    Err err = {0};
    be = backend_open(device, precision, 0, &err);
    if (!be)
        fprintf(stderr, "%s\n", err.text);
    return be ? 0 : -1;
}

static int close_backend(void **state)
{
    (void)state;
    backend_close(be);
    return 0;
}

static int run_all(void)
{
    struct CMUnitTest *tests = xcalloc((size_t)op_case_count + 6, sizeof(*tests));
    char(*names)[96] = xcalloc((size_t)op_case_count, sizeof(*names));
    size_t n = 0;
    for (int i = 0; i < op_case_count; i++)
        if (chosen(&op_cases[i]) && touched(&op_cases[i])) {
            snprintf(names[i], sizeof(names[i]), "%s/%s %s%s%s", backend_op_name(op_cases[i].op), op_cases[i].name,
                     precision_name(precision), narrow ? " " : "", narrow ? narrow : "");
            tests[n++] = (struct CMUnitTest){names[i], test_row, NULL, NULL, (void *)&op_cases[i]};
        }
    if (!only)
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_selftest);
    if (!only && !narrow && precision == PREC_F32 && !strcmp(device, "cpu"))
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_threads);
    if (!only && precision == PREC_F32 && strcmp(device, "cpu") != 0)
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_cpu_bytes);
    if (!only && !narrow && precision == PREC_F32) {
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_no_allocation);
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_sticky_errors);
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_refusals);
    }
    int failed = n ? _cmocka_run_group_tests(precision_name(precision), tests, n, open_backend, close_backend) : 0;
    free(tests);
    free(names);
    return failed;
}

/* The CPU's narrower vectors, on a machine that has wider ones. */
static int run_narrow(void)
{
    static const char *const widths[] = {"base", "x86-64-v3"};
    int failed = 0;
    precision = PREC_F32;
    for (size_t i = 0; i < countof(widths) && !strcmp(device, "cpu") && !getenv("DDQ_CPU_ISA"); i++) {
        narrow = widths[i];
        setenv("DDQ_CPU_ISA", narrow, 1);
        failed += run_all();
        unsetenv("DDQ_CPU_ISA");
    }
    return failed;
}

/* Ops without a row. */
static int coverage(void)
{
    int missing = 0;
    for (int op = 0; op < BACKEND_OP_COUNT; op++) {
        int rows = 0;
        for (int i = 0; i < op_case_count; i++)
            rows += op_cases[i].op == (BackendOp)op;
        printf("%-20s %d rows%s\n", backend_op_name((BackendOp)op), rows, rows ? "" : "  <-- none");
        missing += !rows;
    }
    return missing;
}

static bool offered(Precision wanted)
{
    Err err = {0};
    Backend *opened = backend_open(device, wanted, 1, &err);
    if (!opened)
        printf("[  SKIPPED ] %s: %s\n", precision_name(wanted), err.text);
    backend_close(opened);
    return opened;
}

int main(int argc, char **argv)
{
    bool brief = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--coverage"))
            return coverage() ? EXIT_FAILURE : EXIT_SUCCESS;
        if (!strcmp(argv[i], "--list")) {
            for (int j = 0; j < op_case_count; j++)
                printf("%s/%s\n", backend_op_name(op_cases[j].op), op_cases[j].name);
            return EXIT_SUCCESS;
        }
        if (!strcmp(argv[i], "--device") && i + 1 < argc)
            device = argv[++i];
        else if (!strcmp(argv[i], "--brief")) /* one precision of each element size */
            brief = true;
        else
            only = argv[i];
    }
    backend_register(&cuda_host_driver);
    int failed = coverage(), ran = 0;
    for (precision = PREC_F32; precision <= PREC_BF16; precision++)
        if ((!brief || precision == PREC_F32 || precision == PREC_F16) && offered(precision)) {
            failed += run_all();
            ran++;
        }
    failed += ran == 0;
    failed += run_narrow();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
