/* From images to a distance: two sets of small pictures through the 1/16-width network, as a user's evaluation goes. */
#include "tests/eval/network.h"

#include "worker/fid.h"
#include "worker/images.h"

enum { WIDTH = 128 };

/* Statistics of all images of a source; features are compared with the golden ones on the way. */
static Statistics *statistics_of(Inception *net, const char *source_path, Resize pipeline, const char *golden_path)
{
    Err err = {0};
    NpyArray golden = golden_npy(golden_path);
    ImageSource *source = image_source_open(source_path, &err);
    assert_ok(source != NULL, err);
    Moments *m = moments_new(WIDTH);
    float pool3[WIDTH];
    for (int64_t i = 0;; i++) {
        Image image;
        assert_ok(image_source_next(source, &image, &err), err);
        if (!image.rgb)
            break;
        assert_ok(inception_run(net, image.rgb, 1, image.height, image.width, pipeline, pool3, NULL, NULL, &err), err);
        for (int k = 0; k < WIDTH; k++)
            assert_near((double)pool3[k], npy_at(&golden, i * WIDTH + k), pipeline == RESIZE_PT ? 2e-4 : 5e-4,
                        source_path, i);
        assert_ok(moments_add(m, pool3, 1, &err), err);
        image_free(&image);
    }
    assert_int_equal(moments_count(m), golden.shape[0]);
    Statistics *stats;
    assert_ok(moments_finish(m, &stats, &err), err);
    moments_free(m);
    image_source_close(source);
    npy_free(&golden);
    return stats;
}

static void check_pipeline(const char *name, Resize pipeline)
{
    Err err = {0};
    Backend *be = cpu_backend();
    Inception *net = inception_open(INCEPTION_GOLDEN("net/inception_w16_legacy.pth"), be, &err);
    assert_ok(net != NULL, err);
    char *a_path = xasprintf(INCEPTION_GOLDEN("e2e/pool3_a_%s.npy"), name);
    char *b_path = xasprintf(INCEPTION_GOLDEN("e2e/pool3_b_%s.npy"), name);
    char *stats_path = xasprintf(INCEPTION_GOLDEN("e2e/stats_b_%s.npz"), name);
    Statistics *a = statistics_of(net, INCEPTION_GOLDEN("e2e/set_a_adm.npz"), pipeline, a_path);
    Statistics *b = statistics_of(net, INCEPTION_GOLDEN("e2e/set_b.npy"), pipeline, b_path), *reference;
    assert_ok(statistics_load(stats_path, &reference, &err), err);
    cJSON *json = golden_json(INCEPTION_GOLDEN("e2e/e2e.json"));
    double wanted = golden_number(golden_get(json, name), "fid_symmetric");
    Frechet f;
    assert_ok(frechet_distance(a, b, &f, &err), err);
    assert_near(f.fid, wanted, 5e-5, name, 0);
    assert_ok(frechet_distance(a, reference, &f, &err), err); /* what an evaluation against a reference file reports */
    assert_near(f.fid, wanted, 5e-5, name, 1);
    assert_ok(frechet_distance(a, a, &f, &err), err);
    assert_near(f.fid, 0, 1e-9, name, 2);
    cJSON_Delete(json);
    statistics_free(a);
    statistics_free(b);
    statistics_free(reference);
    free(a_path);
    free(b_path);
    free(stats_path);
    inception_close(net);
    backend_close(be);
}

static void test_pt(void **state)
{
    (void)state;
    check_pipeline("pt", RESIZE_PT);
}

static void test_tf(void **state)
{
    (void)state;
    check_pipeline("tf", RESIZE_TF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pt), cmocka_unit_test(test_tf)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
