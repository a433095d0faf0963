/* Copies through the ring of pinned buffers and recordings of passes, on the backend that runs kernels on the host. */
extern "C" {
#include "tests/test.h"
}

#include "kernels/backend.h"
#include "kernels/cuda/host/driver.h"

enum { WIDTH = 64, ROWS = 5 };

static Backend *open_backend()
{
    Err err = {};
    backend_register(&cuda_host_driver);
    Backend *be = backend_open("cuda-host", PREC_F32, 0, &err);
    assert_non_null(be);
    return be;
}

static Tensor new_tensor(Backend *be, int64_t rows, int64_t width)
{
    Err err = {};
    Tensor t = tensor_f32(nullptr, 2, rows, width, 0, 0);
    t.data = be_alloc(be, tensor_bytes(&t), &err);
    assert_non_null(t.data);
    return t;
}

/* More than the whole ring holds, so every buffer is used again while a copy out of it is pending. */
static void test_large_copies(void **state)
{
    (void)state;
    Err err = {};
    Backend *be = open_backend();
    const int64_t rows = 3000, width = 4099;
    const size_t count = static_cast<size_t>(rows * width);
    Tensor t = new_tensor(be, rows, width);
    float *out = static_cast<float *>(malloc(count * sizeof(float))),
          *in = static_cast<float *>(calloc(count, sizeof(float))),
          *beside = static_cast<float *>(calloc(count, sizeof(float)));
    for (size_t i = 0; i < count; i++)
        out[i] = static_cast<float>(i % 16777213);
    be_upload(be, t, out);
    memset(out, 0, count * sizeof(float)); /* may be written again at once */
    be_download(be, in, t);
    be_download_beside(be, beside, t);
    assert_true(be_check(be, &err));
    for (size_t i = 0; i < count; i++)
        assert_true(in[i] == static_cast<float>(i % 16777213) && in[i] == beside[i]);
    free(out), free(in), free(beside);
    be_free(be, t.data);
    backend_close(be);
}

struct Pass {
    Backend *be;
    Linear *linear;
    Tensor x, normed, y;
};

static Pass open_pass(Backend *be, int64_t rows)
{
    Err err = {};
    Pass pass = {};
    pass.be = be;
    float *w = static_cast<float *>(calloc(WIDTH * WIDTH, sizeof(float)));
    for (int i = 0; i < WIDTH; i++)
        w[i * WIDTH + (i + 1) % WIDTH] = 2; /* y[i] = 2 x[i+1] */
    pass.linear = be_linear_pack(pass.be, w, nullptr, WIDTH, WIDTH, &err);
    free(w);
    pass.x = new_tensor(pass.be, rows, WIDTH);
    pass.normed = new_tensor(pass.be, rows, WIDTH);
    pass.y = new_tensor(pass.be, rows, WIDTH);
    return pass;
}

static void close_pass(Pass *pass)
{
    be_linear_free(pass->be, pass->linear);
    be_free(pass->be, pass->x.data);
    be_free(pass->be, pass->normed.data);
    be_free(pass->be, pass->y.data);
}

/* Uploads, runs the pass of two ops, and compares: rows are all `value`, but for element 0, which is -value. */
static void run_pass(Pass *pass, float value)
{
    Err err = {};
    const int64_t rows = pass->x.shape[0];
    float *x = static_cast<float *>(malloc(tensor_bytes(&pass->x))),
          *y = static_cast<float *>(calloc(1, tensor_bytes(&pass->y)));
    for (int64_t i = 0; i < rows * WIDTH; i++)
        x[i] = i % WIDTH ? value : -value;
    be_upload(pass->be, pass->x, x);
    const int64_t key[] = {reinterpret_cast<intptr_t>(pass->x.data), rows};
    if (be_replay_begin(pass->be, be_replay_key("test", key, 2))) {
        be_rms_norm(pass->be, pass->x, Tensor{}, pass->normed);
        be_linear(pass->be, pass->linear, pass->normed, pass->y, false);
        be_replay_end(pass->be);
    }
    be_download(pass->be, y, pass->y);
    assert_true(be_check(pass->be, &err));
    float sign = value < 0 ? -1 : 1;
    for (int64_t i = 0; i < rows * WIDTH; i++)
        assert_float_equal(y[i], (i % WIDTH == WIDTH - 1 ? -2 : 2) * sign, 1e-3);
    free(x), free(y);
}

static void test_replays(void **state)
{
    (void)state;
    Pass pass = open_pass(open_backend(), ROWS);
    const BackendCounters *counters = backend_counters(pass.be);
    run_pass(&pass, 3);  /* as it comes */
    run_pass(&pass, -5); /* recorded */
    assert_int_equal(counters->replays, 0);
    assert_int_equal(counters->calls[OP_rms_norm], 2);
    run_pass(&pass, 7);
    run_pass(&pass, -1);
    assert_int_equal(counters->replays, 2);
    assert_int_equal(counters->calls[OP_rms_norm], 2);

    Pass other =
        open_pass(pass.be, 2 * ROWS); /* another shape has a recording of its own, and frees memory in the end */
    for (int i = 0; i < 3; i++)
        run_pass(&other, 2);
    assert_int_equal(counters->replays, 3);
    run_pass(&pass, 4);
    assert_int_equal(counters->replays, 4);
    close_pass(&other);
    run_pass(&pass, 6); /* dropped with the memory, so it is not replayed */
    assert_int_equal(counters->replays, 4);
    for (int i = 0; i < 2; i++)
        run_pass(&pass, 6);
    assert_int_equal(counters->replays, 5);
    close_pass(&pass);
    backend_close(pass.be);
}

/* A pass that fails while it is recorded is reported and recorded again. */
static void test_failure_while_recording(void **state)
{
    (void)state;
    Err err = {};
    Pass pass = open_pass(open_backend(), ROWS);
    Tensor narrow = pass.normed; /* one row too few */
    narrow.shape[0]--;
    const uint64_t key = be_replay_key("bad", nullptr, 0);
    for (int i = 0; i < 3; i++) {
        if (be_replay_begin(pass.be, key)) {
            be_rms_norm(pass.be, pass.x, Tensor{}, pass.normed);
            be_rms_norm(pass.be, pass.x, Tensor{}, narrow); /* a wrong shape */
            be_replay_end(pass.be);
        }
        assert_false(be_check(pass.be, &err));
        assert_non_null(strstr(err.text, "be_rms_norm"));
    }
    assert_int_equal(backend_counters(pass.be)->replays, 0);
    run_pass(&pass, 1);
    close_pass(&pass);
    backend_close(pass.be);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_copies),
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_failure_while_recording),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
