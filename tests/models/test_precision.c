/* bf16 products and convolutions against the float64 goldens, by the bounds for that precision: relative L2 of the
 * tokens 3e-2, 95% of the argmaxes, 40 dB of the image at equal codes. A machine without bf16 skips by name. */
#include "tests/models/golden.h"

#include "worker/models/decoder.h"
#include "worker/models/student.h"

enum { C = 8 };
static const double TOKENS_BOUND = 3e-2, ARGMAX_BOUND = 0.95, IMAGE_BOUND = 40;

static Backend *bf16_backend(void)
{
    Err err = {0};
    Backend *be = backend_open("cpu", PREC_BF16, 0, &err);
    if (!be) {
        print_message("%s\n", err.text);
        skip();
    }
    return be;
}

static void check_student(const GoldenSet *set, Backend *be, const Npz *npz)
{
    Err err = {0};
    int tokens = set->grid * set->grid, b = set->batch, same = 0;
    size_t count = (size_t)b * (size_t)tokens;
    Student student = {0};
    Workspace workspace = {0};
    StudentWork work;
    Ckpt *ckpt = ckpt_open(set->student, &err);
    Weights weights = weights_of_ckpt(ckpt);
    assert_ok(student_load(&student, &weights, be, 0, set->grid, &err), err);
    ckpt_close(ckpt);
    student_layout(&student, &workspace, b, &work);
    assert_ok(workspace_open(&workspace, be, &err), err);
    student_layout(&student, &workspace, b, &work);
    NpyArray noise = golden_array(npz, "noise"), label = golden_array(npz, "label");
    NpyArray want = golden_array(npz, "few.1step.tokens"), argmax = golden_array(npz, "few.1step.argmax");
    StudentResult got = {xcalloc(count, sizeof(int32_t)), xcalloc(count, sizeof(float)),
                         xcalloc(count * C, sizeof(float))};
    StudentStep step = {.b = b, .split = 0, .end = tokens, .labels = label.data, .latents = noise.data};
    assert_ok(student_step(&student, &work, &step, &got, &err), err);
    double error = golden_relative_l2(got.vectors, want.data, count * C);
    step.split = tokens;
    assert_ok(student_step(&student, &work, &step, &got, &err), err);
    for (size_t i = 0; i < count; i++)
        same += got.codes[i] == ((int32_t *)argmax.data)[i];
    print_message("%-5s tokens off by %.2g of %.2g, %.1f%% of the argmaxes\n", set->name, error, TOKENS_BOUND,
                  100.0 * same / (double)count);
    assert_true(error <= TOKENS_BOUND);
    assert_true(same >= ARGMAX_BOUND * (double)count);
    npy_free(&noise), npy_free(&label), npy_free(&want), npy_free(&argmax);
    free(got.codes), free(got.margin), free(got.vectors);
    workspace_close(&workspace);
    student_free(&student);
}

static void check_decoder(const GoldenSet *set, Backend *be, const Npz *npz)
{
    Err err = {0};
    Decoder decoder;
    DecoderWork work = {0};
    Workspace workspace = {0};
    Ckpt *ckpt = ckpt_open(set->tokenizer, &err);
    Weights weights = weights_of_ckpt(ckpt);
    assert_ok(decoder_load(&decoder, &weights, be, set->grid, &err), err);
    ckpt_close(ckpt);
    decoder_layout(&decoder, &workspace, set->batch, &work);
    assert_ok(workspace_open(&workspace, be, &err), err);
    decoder_layout(&decoder, &workspace, set->batch, &work);
    decoder_work_open(&decoder, &work);
    NpyArray x = golden_array(npz, "few.1step.x"), want = golden_array(npz, "few.1step.uint8");
    size_t bytes = (size_t)set->batch * (size_t)decoder.image_size * (size_t)decoder.image_size * 3;
    uint8_t *pixels = xmalloc(bytes);
    assert_ok(decoder_run(&decoder, &work, x.data, set->batch, pixels, NULL, NULL, &err), err);
    double squares = 0;
    for (size_t i = 0; i < bytes; i++) {
        double d = (double)pixels[i] - (double)((uint8_t *)want.data)[i];
        squares += d * d;
    }
    double psnr = 10 * log10(255.0 * 255.0 * (double)bytes / squares);
    print_message("%-5s image %.1f dB, wanted %.0f\n", set->name, psnr, IMAGE_BOUND);
    assert_true(psnr >= IMAGE_BOUND);
    npy_free(&x), npy_free(&want);
    free(pixels);
    decoder_work_close(&work);
    workspace_close(&workspace);
    decoder_free(&decoder);
}

static void check_set(const GoldenSet *set)
{
    Err err = {0};
    Backend *be = bf16_backend();
    Npz *npz = npz_open(set->expected, &err);
    assert_ok(npz, err);
    check_student(set, be, npz);
    check_decoder(set, be, npz);
    npz_close(npz);
    backend_close(be);
}

static void test_tiny_bf16(void **state)
{
    (void)state;
    check_set(&GOLDEN_SETS[0]);
}

static void test_small_bf16(void **state)
{
    (void)state;
    check_set(&GOLDEN_SETS[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny_bf16),
        cmocka_unit_test(test_small_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
