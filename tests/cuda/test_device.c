/* What a device that fails is said to have done, in kinds that policy reads and sentences that people read. The errors
 * are made by the host's runtime (kernels/cuda/host/driver.h); their table is the GPU's own. */
#include "tests/test.h"

#include "kernels/cuda/host/driver.h"

static Backend *open_host(void)
{
    Err err = {0};
    Backend *be = backend_open("cuda-host", PREC_F32, 1, &err);
    assert_ok(be, err);
    return be;
}

/* A few ops on a small tensor; true while the device is whole. */
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
        bool condemns;
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
        assert_int_equal(err_condemns_device(err.kind), rows[i].condemns);
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
    cuda_host_break("cudaErrorNoKernelImageForDevice", 0); /* shows at the first kernel, which opening is */
    assert_err(backend_open("cuda-host", PREC_F16, 1, &err), err, "compute capability 8.0, 8.9 and 9.0");
    cuda_host_break(NULL, 0);
    backend_close(open_host());
}

static void test_memory(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    Err err = {0};
    cuda_host_memory(16);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_memory),
    };
    backend_register(&cuda_host_driver);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
