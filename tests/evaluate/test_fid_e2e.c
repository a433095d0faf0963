/* From images to every metric: two sets of small pictures through the 1/16-width network, as a user's evaluation goes.
 */
#include "tests/models/network.h"

#include "worker/images/images.h"
#include "worker/metrics/metrics.h"

enum { WIDTH = 128, CLASSES = 1008, MOST = 192 };

typedef struct Measured {
    int64_t count;
    float pool3[MOST * WIDTH], logits[MOST * CLASSES], spatial[MOST * INCEPTION_SPATIAL];
} Measured;

/* All images of a source; features are compared with the golden ones on the way. */
static void measure(Inception *net, const char *source_path, Resize pipeline, const char *golden_path, Measured *ret)
{
    Err err = {0};
    NpyArray golden = golden_npy(golden_path);
    ImageSource *source = image_source_open(source_path, &err);
    assert_ok(source != NULL, err);
    for (ret->count = 0; ret->count < image_source_count(source); ret->count++) {
        Image image;
        assert_ok(image_source_read(source, ret->count, &image, &err), err);
        float *pool3 = ret->pool3 + ret->count * WIDTH;
        assert_ok(inception_run(net, image.rgb, 1, image.height, image.width, pipeline, pool3,
                                ret->logits + ret->count * CLASSES, ret->spatial + ret->count * INCEPTION_SPATIAL,
                                &err),
                  err);
        for (int k = 0; k < WIDTH; k++)
            assert_near((double)pool3[k], npy_at(&golden, ret->count * WIDTH + k), pipeline == RESIZE_PT ? 2e-4 : 5e-4,
                        source_path, ret->count);
        image_free(&image);
    }
    assert_int_equal(ret->count, golden.shape[0]);
    image_source_close(source);
    npy_free(&golden);
}

static double distance_of(const float *a, int64_t a_count, const float *b, int64_t b_count, int dim)
{
    Err err = {0};
    Statistics *a_stats, *b_stats;
    Frechet f;
    assert_ok(features_statistics(&(Features){a, a_count, dim}, &a_stats, &err), err);
    assert_ok(features_statistics(&(Features){b, b_count, dim}, &b_stats, &err), err);
    assert_ok(frechet_distance(a_stats, b_stats, &f, &err), err);
    statistics_free(a_stats);
    statistics_free(b_stats);
    return f.fid;
}

/* The distance, between the sets and to a reference file. */
static void check_distances(const Measured *a, const Measured *b, const cJSON *golden, const char *name)
{
    Err err = {0};
    double wanted = golden_number(golden, "fid_symmetric");
    assert_near(distance_of(a->pool3, a->count, b->pool3, b->count, WIDTH), wanted, 5e-5, name, 0);
    assert_near(distance_of(a->pool3, a->count, a->pool3, a->count, WIDTH), 0, 0, name, 1);
    char *path = xasprintf(INCEPTION_GOLDEN("e2e/stats_b_%s.npz"), name);
    Statistics *stats, *reference;
    Frechet f;
    assert_ok(features_statistics(&(Features){a->pool3, a->count, WIDTH}, &stats, &err), err);
    assert_ok(statistics_load(path, &reference, &err), err);
    assert_ok(frechet_distance(stats, reference, &f, &err), err);
    assert_near(f.fid, wanted, 5e-5, name, 2);
    statistics_free(stats);
    statistics_free(reference);
    free(path);
}

static void check_metrics(const Measured *a, const Measured *b, const cJSON *golden)
{
    Err err = {0};
    Features fake = {a->pool3, a->count, WIDTH}, real = {b->pool3, b->count, WIDTH},
             rows = {a->logits, a->count, CLASSES};
    KidPlan plan = {.subsets = KID_SUBSETS, .subset_size = KID_SUBSET_SIZE};
    Kid kid;
    assert_ok(kid_measure(&fake, &real, &plan, &kid, &err), err);
    assert_near(kid.kid.value, golden_number(golden, "kid_full"), 5e-6, "KID", 0);
    Neighbours n;
    assert_ok(neighbours_measure(NULL, &fake, &real, 3, NULL, &n, &err), err);
    const cJSON *wanted = golden_get(golden, "prdc_k3_le");
    assert_near((double)n.within.precision, golden_number(wanted, "precision_count"), 0, "precision", 0);
    assert_near((double)n.within.recall, golden_number(wanted, "recall_count"), 0, "recall", 0);
    neighbours_free(&n);
    Logits logits = logits_of(&rows);
    Score score;
    assert_ok(score_measure(&logits, SCORE_PARTS, NULL, &score, &err), err);
    assert_near(score.score.value, golden_number(golden_get(golden, "isc_a_splits10"), "mean"), 1e-5, "IS", 10);
    assert_ok(score_measure(&logits, 1, NULL, &score, &err), err);
    assert_near(score.score.value, golden_number(golden_get(golden, "isc_a_splits1"), "mean"), 1e-5, "IS", 1);
}

static void check_pipeline(const char *name, Resize pipeline)
{
    static Measured a, b;
    Err err = {0};
    Backend *be = network_backend();
    Inception *net = inception_open(INCEPTION_GOLDEN("net/inception_w16_legacy.pth"), be, &err);
    assert_ok(net != NULL, err);
    char *a_path = xasprintf(INCEPTION_GOLDEN("e2e/pool3_a_%s.npy"), name);
    char *b_path = xasprintf(INCEPTION_GOLDEN("e2e/pool3_b_%s.npy"), name);
    measure(net, INCEPTION_GOLDEN("e2e/set_a_adm.npz"), pipeline, a_path, &a);
    measure(net, INCEPTION_GOLDEN("e2e/set_b.npy"), pipeline, b_path, &b);
    cJSON *json = golden_json(INCEPTION_GOLDEN("e2e/e2e.json"));
    const cJSON *golden = golden_get(json, name);
    check_distances(&a, &b, golden, name);
    check_metrics(&a, &b, golden);
    if (pipeline == RESIZE_TF) /* sFID is defined on this one; 2023 features of 192 images, so both are singular */
        assert_near(distance_of(a.spatial, a.count, b.spatial, b.count, INCEPTION_SPATIAL),
                    golden_number(golden, "sfid_gram"), 0.01, "sFID", 0);
    cJSON_Delete(json);
    free(a_path);
    free(b_path);
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
