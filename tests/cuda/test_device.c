/* Device failures: the kind for the policy and the message for people. The host's runtime makes the errors
 * (kernels/cuda/host/driver.h); their table is that of GPUs. */
#include "tests/test.h"

#include <math.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernels/cuda/host/driver.h"
#include "worker/serve.h"

static Backend *open_host(void)
{
    Err err = {0};
    Backend *be = backend_open("cuda-host", PREC_F32, 1, &err);
    assert_ok(be, err);
    return be;
}

/* A few ops on a small tensor; true unless the device fails. */
static bool work(Backend *be, void *memory, Err *err)
{
    Tensor x = tensor_f32(memory, 2, 4, 8, 0, 0);
    float host[32] = {0};
    be_upload(be, x, host);
    be_rms_norm(be, x, (Tensor){0}, x);
    be_download(be, host, x);
    return be_check(be, err);
}

static void test_running(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        ErrKind kind;
        const char *advice;
        bool device_fails;
    } rows[] = {
        {"cudaErrorIllegalAddress", ERR_DEVICE, "a kernel faulted", false},
        {"cudaErrorLaunchFailure", ERR_DEVICE, "dmesg | grep Xid", false},
        {"cudaErrorLaunchTimeout", ERR_DEVICE, "display", false},
        {"cudaErrorECCUncorrectable", ERR_DEVICE_ECC, "nvidia-smi --gpu-reset", true},
        {"cudaErrorNvlinkUncorrectable", ERR_DEVICE_ECC, "NVLink", true},
        {"cudaErrorDevicesUnavailable", ERR_DEVICE_LOST, "fell off the bus", true},
        {"cudaErrorNoDevice", ERR_DEVICE_LOST, "fell off the bus", true},
        {"cudaErrorMemoryAllocation", ERR_MEMORY, "smaller batch", false},
        {"cudaErrorNobodyKnows", ERR_DEVICE, "cudaErrorNobodyKnows", false},
    };
    Err err = {0};
    Backend *be = open_host();
    void *memory = be_alloc(be, 4096, &err);
    for (size_t i = 0; i < countof(rows); i++) {
        assert_ok(work(be, memory, &err), err);
        cuda_host_break(rows[i].error, 1);        /* the upload still goes well */
        for (int again = 0; again < 2; again++) { /* and it stays broken */
            assert_err(work(be, memory, &err), err, "cuda-host (CUDA kernels on the host)", rows[i].error,
                       rows[i].advice);
            assert_int_equal(err.kind, rows[i].kind);
        }
        assert_int_equal(err_is_device_failure(err.kind), rows[i].device_fails);
        assert_int_equal(err_ends_worker(err.kind), rows[i].kind != ERR_MEMORY);
        cuda_host_break(NULL, 0);
    }
    be_free(be, memory);
    backend_close(be);
}

static void test_opening(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        ErrKind kind;
        const char *advice;
    } rows[] = {
        {"cudaErrorDevicesUnavailable", ERR_REFUSED, "nvidia-smi -c 0"},
        {"cudaErrorECCUncorrectable", ERR_DEVICE_ECC, "replaced"},
        {"cudaErrorNoDevice", ERR_NOT_FOUND, "restart the machine"},
        {"cudaErrorMemoryAllocation", ERR_MEMORY, "nvidia-smi lists who is on it"},
        {"cudaErrorInsufficientDriver", ERR_DEVICE, "install a newer one"},
        {"cudaErrorSystemDriverMismatch", ERR_DEVICE, "restart the machine after an update"},
        {"cudaErrorSystemNotReady", ERR_DEVICE, "nvidia-fabricmanager"},
    };
    Err err = {0};
    for (size_t i = 0; i < countof(rows); i++) {
        cuda_host_refuse(rows[i].error);
        assert_err(backend_open("cuda-host", PREC_F16, 1, &err), err, "cuda-host", rows[i].error, rows[i].advice);
        assert_int_equal(err.kind, rows[i].kind);
    }
    cuda_host_refuse(NULL);
    cuda_host_break("cudaErrorNoKernelImageForDevice", 0); /* fails at the first kernel, which opening runs */
    assert_err(backend_open("cuda-host", PREC_F16, 1, &err), err, "compute capability 8.0, 8.9 and 9.0");
    cuda_host_break(NULL, 0);
    backend_close(open_host());
}

/* The error for a missing kind of device has the reason. */
static int none_devices(DeviceInfo *ret_devices, int max)
{
    (void)ret_devices, (void)max;
    return 0;
}

static void none_why(Err *err)
{
    err_set(err, ERR_DEVICE,
            "device none: the driver supports CUDA 1.0, this build needs 99.0; install a newer driver");
}

static void test_absent(void **state)
{
    (void)state;
    static const BackendDriver none = {.name = "none", .devices = none_devices, .why_none = none_why};
    Err err = {0}, whys[4];
    backend_register(&none);
    assert_err(backend_open("none", PREC_F32, 1, &err), err, "install a newer driver");
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_err(backend_open("GPU-12-34", PREC_F32, 1, &err), err, "GPU-12-34", "there is cpu",
               "install a newer driver");
    int absent = backend_absent(whys, 4);
    assert_in_range(absent, 1, 2); /* and a GPU, where the build knows them and there is none */
    assert_non_null(strstr(whys[absent - 1].text, "CUDA 1.0"));
}

static void test_memory(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    Err err = {0};
    cuda_host_memory(16 * MIB);
    Backend *be = open_host();
    void *some = be_alloc(be, 10 * MIB, &err);
    assert_ok(some, err);
    assert_err(be_alloc(be, 8 * MIB, &err), err, "wanted 9 MiB", "of 16 MiB are free", "smaller batch");
    assert_int_equal(err.kind, ERR_MEMORY);
    DeviceInfo info = *backend_device(be);
    assert_int_equal(info.free_mib, -1);
    backend_inspect(&info);
    assert_in_range(info.free_mib, 4, 6);
    assert_int_equal(info.memory_mib, 16);
    assert_string_equal(info.compute, "8.0");
    be_free(be, some);
    some = be_alloc(be, 8 * MIB, &err);
    assert_ok(some, err);
    be_free(be, some);
    backend_close(be);
    cuda_host_memory(0);
}

/* A value that 16 bits cannot hold is reported wherever it occurs: rows of a product, a map under a group norm, an
 * image. */
static void test_overflow(void **state)
{
    (void)state;
    enum { C = 16 };
    static const struct {
        Precision precision;
        float value;
        const char *says; /* NULL: it fits */
    } rows[] = {
        {PREC_F16, 65504, NULL},
        {PREC_F16, 65519, NULL},
        {PREC_F16, 65520, "does not fit into fp16"},
        {PREC_F16, -1e6f, "does not fit into fp16"},
        {PREC_F16, NAN, "does not fit into fp16"},
        {PREC_BF16, 1e30f, NULL},
        {PREC_BF16, INFINITY, "is infinite, or not a number"},
    };
    Err err = {0};
    for (size_t i = 0; i < countof(rows); i++)
        for (int op = 0; op < 3; op++) {
            Backend *be = backend_open("cuda-host", rows[i].precision, 1, &err);
            float host[C] = {0.5f, 0.25f}, w[C * C] = {0};
            Linear *linear = be_linear_pack(be, w, NULL, C, C, &err);
            Tensor x = tensor_f32(be_alloc(be, sizeof host, &err), 2, 1, C, 0, 0),
                   y = tensor_f32(be_alloc(be, sizeof host, &err), 2, 1, C, 0, 0);
            Tensor u8 = {.data = y.data, .dtype = DTYPE_U8, .ndim = 4, .shape = {1, 1, 1, 3}};
            FeatureMap map = {be_alloc(be, be_map_bytes(be, 1, 1, 1, C), &err), 1, 1, 1, op == 2 ? 3 : C};
            Tensor narrow = tensor_f32(x.data, 2, 1, map.c, 0, 0), affine = tensor_f32(y.data, 1, C, 0, 0, 0);
            be_upload(be, y, host);
            host[1] = rows[i].value;
            be_upload(be, x, host);
            if (op == 0)
                be_linear(be, linear, x, y, false);
            else
                be_map_from_rows(be, narrow, map);
            if (op == 1)
                be_group_norm(be, map, affine, affine, 1, true, map);
            else if (op == 2)
                be_to_u8(be, map, u8);
            bool good = be_check(be, &err);
            /* a pixel of 1e30 is no number of bytes any more, but a norm's squares of it end in infinity */
            bool fits = !rows[i].says && (op != 1 || rows[i].value < 1e18f);
            if (good != fits)
                fail_msg("op %d, %g: %s", op, (double)rows[i].value, good ? "no error was reported" : err.text);
            if (!good) {
                assert_int_equal(err.kind, ERR_NUMERIC);
                assert_non_null(strstr(err.text, rows[i].precision == PREC_F16 ? "65504" : "infinite"));
            }
            assert_ok(be_check(be, &err), err); /* reported once */
            void *memory[] = {x.data, y.data, map.data};
            for (size_t k = 0; k < countof(memory); k++)
                be_free(be, memory[k]);
            be_linear_free(be, linear);
            backend_close(be);
        }
}

/* --- a worker on such a device ---------------------------------------------------------------------- */

typedef struct Child {
    int status;
    char said[4096], words[4096]; /* on its line, on stderr */
} Child;

static void read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    for (ssize_t got; (got = read(fd, text + used, size - 1 - used)) > 0;)
        used += (size_t)got;
    text[used] = 0;
    close(fd);
}

/* A worker that must stop at once, or fails before it can. */
static Child serve_once(const char *refusal)
{
    static const char stop[] = "{\"type\":\"stop\"}\n";
    Child child = {0};
    int line[2], words[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, line), 0);
    assert_int_equal(pipe(words), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(line[0]);
        dup2(words[1], 2);
        close(words[0]), close(words[1]);
        cuda_host_refuse(refusal);
        _exit(serve("cuda-host", 1, NULL, 0, line[1]));
    }
    close(line[1]), close(words[1]);
    if (send(line[0], stop, sizeof stop - 1, MSG_NOSIGNAL) < 0)
        child.said[0] = 0; /* it has ended already */
    read_all(words[0], child.words, sizeof child.words);
    read_all(line[0], child.said, sizeof child.said);
    assert_int_equal(waitpid(pid, &child.status, 0), pid);
    return child;
}

/* The device is opened before hello: its error is the last line on stderr, and no job is affected. */
static void test_worker(void **state)
{
    (void)state;
    Child child = serve_once(NULL);
    assert_non_null(strstr(child.said, "\"type\":\"hello\""));
    assert_non_null(strstr(child.said, "\"device\":\"cuda-host\""));
    assert_int_equal(WEXITSTATUS(child.status), EXIT_OK);
    child = serve_once("cudaErrorDevicesUnavailable");
    assert_string_equal(child.said, "");
    assert_non_null(strstr(child.words, "ddq-worker: device cuda-host"));
    assert_non_null(strstr(child.words, "another process uses it exclusively"));
    assert_int_equal(WEXITSTATUS(child.status), EXIT_REFUSED);
    child = serve_once("cudaErrorECCUncorrectable");
    assert_string_equal(child.said, "");
    assert_non_null(strstr(child.words, "its memory failed"));
    assert_int_equal(WEXITSTATUS(child.status), EXIT_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running), cmocka_unit_test(test_opening),  cmocka_unit_test(test_absent),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_overflow), cmocka_unit_test(test_worker),
    };
    backend_register(&cuda_host_driver);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
