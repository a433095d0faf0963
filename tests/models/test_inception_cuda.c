/* The Inception network with the CUDA backend's kernels on the host, in the precisions in which a job takes features
 * there. Bounds: in fp32 those of the CPU (test_inception.c); tf32 keeps 11 bits of each operand, and a network
 * computed so was off by 0.039 at most and 0.0045 on the average (tolerances.json), of which twice as much is accepted.
 */
#include "tests/models/network.h"

#include "kernels/cuda/host/driver.h"

enum { WIDTH = 128 };

static void check_pool3(const float *pool3, int pipeline, int image, double most, double average)
{
    double off = golden_row_of("pool3", pipeline, image, pool3, most);
    print_message("%s, image %d: off by %.2g of %.2g on the average\n", pipelines[pipeline].name, image, off, average);
    assert_true(off <= average);
}

static void check(Precision precision, int image, int pipeline)
{
    Err err = {0};
    Backend *be = backend_open("cuda-host", precision, 1, &err);
    assert_ok(be, err);
    Inception *net = inception_open(INCEPTION_GOLDEN("net/inception_w16.pth"), be, &err);
    assert_ok(net, err);
    GoldenImages images;
    golden_images_open(&images);
    const GoldenImage *one = &images.items[image];
    float pool3[WIDTH], level[WIDTH];
    double exact = pipelines[pipeline].pool3;
    assert_ok(inception_run(net, one->rgb, 1, one->h, one->w, pipelines[pipeline].resize, pool3, NULL, NULL, &err),
              err);
    check_pool3(pool3, pipeline, image, precision == PREC_F32 ? exact : 0.08, precision == PREC_F32 ? exact : 0.009);
    assert_ok(
        inception_run_level(net, one->rgb, 1, one->h, one->w, pipelines[pipeline].resize, INCEPTION_2048, level, &err),
        err);
    assert_memory_equal(level, pool3, sizeof pool3); /* and a second pass is the same */
    golden_images_close(&images);
    inception_close(net);
    backend_close(be);
}

static void test_fp32(void **state)
{
    (void)state;
    check(PREC_F32, 6, 0);
}

static void test_tf32(void **state)
{
    (void)state;
    check(PREC_TF32, 6, 1);
    check(PREC_TF32, 7, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fp32), cmocka_unit_test(test_tf32)};
    backend_register(&cuda_host_driver);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
