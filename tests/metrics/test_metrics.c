/* Every metric against tests/golden/inception: metrics.json in full, and e2e.json from its features. */
#include "tests/golden_arrays.h"

#include "tests/metrics/sets.h"

static Features features_at(const NpyArray *array)
{
    assert_int_equal(array->dtype, DTYPE_F32);
    return (Features){array->data, array->shape[0], (int)array->shape[1]};
}

/* Two sets of golden features, kept open while a test runs. */
typedef struct Sets {
    NpyArray fake_array, real_array;
    Features fake, real;
} Sets;

static Sets sets_open(const char *fake, const char *real)
{
    Sets sets = {golden_npy(fake), golden_npy(real), {0}, {0}};
    sets.fake = features_at(&sets.fake_array);
    sets.real = features_at(&sets.real_array);
    return sets;
}

static Sets sets_of_metrics(bool duplicates)
{
    return duplicates
               ? sets_open(INCEPTION_GOLDEN("metrics/fake_dup_250x64.npy"),
                           INCEPTION_GOLDEN("metrics/real_dup_200x64.npy"))
               : sets_open(INCEPTION_GOLDEN("metrics/fake_250x64.npy"), INCEPTION_GOLDEN("metrics/real_200x64.npy"));
}

static void sets_close(Sets *sets)
{
    npy_free(&sets->fake_array);
    npy_free(&sets->real_array);
}

static void assert_relative(double value, double wanted, const char *what)
{
    assert_near(value, wanted, 1e-9 * fabs(wanted), what, 0);
}

/* --- KID ----------------------------------------------------------------------------------------- */

static void test_kid_all_pairs(void **state)
{
    (void)state;
    Err err = {0};
    Sets sets = sets_of_metrics(false);
    cJSON *json = golden_json(INCEPTION_GOLDEN("metrics/metrics.json"));
    KidPlan plan = {.subsets = KID_SUBSETS, .subset_size = KID_SUBSET_SIZE};
    Kid kid;
    assert_ok(kid_measure(&sets.fake, &sets.real, &plan, &kid, &err), err);
    double wanted = golden_number(golden_get(json, "kid"), "full_unbiased");
    assert_relative(kid.kid.value, wanted, "all pairs");
    assert_true(kid.all_pairs == kid.kid.value && kid.subsets == 0 && isnan(kid.std));
    assert_true(isnan(kid.kid.low) && isnan(kid.kid.high)); /* 250 rows are too few */
    cJSON_Delete(json);
    sets_close(&sets);
}

static void test_kid_subsets(void **state)
{
    (void)state;
    Sets sets = sets_of_metrics(false);
    cJSON *json = golden_json(INCEPTION_GOLDEN("metrics/metrics.json"));
    const cJSON *wanted = golden_get(golden_get(json, "kid"), "subsets"), *item;
    NpyArray fake_index = golden_npy(INCEPTION_GOLDEN("metrics/kid_subset_idx_fake.npy"));
    NpyArray real_index = golden_npy(INCEPTION_GOLDEN("metrics/kid_subset_idx_real.npy"));
    double values[10], mean = 0, squares = 0;
    for (int k = 0; k < 10; k++)
        values[k] = kid_of_rows(&sets.fake, &sets.real, (const int64_t *)fake_index.data + k * 100,
                                (const int64_t *)real_index.data + k * 100, 100);
    int s = 0;
    cJSON_ArrayForEach(item, golden_get(wanted, "values"))
    {
        assert_relative(values[s], item->valuedouble, "a subset");
        mean += values[s++] / 10;
    }
    assert_int_equal(s, 10);
    for (s = 0; s < 10; s++)
        squares += (values[s] - mean) * (values[s] - mean) / 10;
    assert_relative(mean, golden_number(wanted, "mean"), "mean");
    assert_relative(sqrt(squares), golden_number(wanted, "std"), "std");
    npy_free(&fake_index);
    npy_free(&real_index);
    cJSON_Delete(json);
    sets_close(&sets);
}

/* --- Inception Score ----------------------------------------------------------------------------- */

static void assert_score(const Score *score, const cJSON *wanted, const char *name)
{
    const cJSON *item;
    int part = 0;
    cJSON_ArrayForEach(item, golden_get(wanted, "per_split"))
        assert_relative(score->part[part++], item->valuedouble, name);
    assert_int_equal(score->parts, part);
    assert_relative(score->score.value, golden_number(wanted, "mean"), name);
    assert_near(score->std, golden_number(wanted, "std"), 1e-9, name, 0);
}

static void assert_score_of(const float *rows, int classes, int parts, const cJSON *golden, const char *name)
{
    Err err = {0};
    Score score;
    Features array = {rows, 120, classes};
    Logits logits = logits_of(&array);
    assert_ok(score_measure(&logits, parts, NULL, &score, &err), err);
    assert_score(&score, golden_get(golden, name), name);
}

static void test_score(void **state)
{
    (void)state;
    enum { ROWS = 120, CLASSES = 1008 };
    Err err = {0};
    cJSON *json = golden_json(INCEPTION_GOLDEN("metrics/metrics.json"));
    const cJSON *golden = golden_get(json, "inception_score");
    NpyArray array = golden_npy(INCEPTION_GOLDEN("metrics/logits_unbiased_120x1008.npy"));
    NpyArray bias = golden_npy(INCEPTION_GOLDEN("metrics/fc_bias_1008.npy"));
    NpyArray order = golden_npy(INCEPTION_GOLDEN("metrics/isc_perm_seed2020_120.npy"));
    const float *rows = array.data;
    static float changed[ROWS * CLASSES], names[ROWS * 1000], biased[ROWS * CLASSES];
    for (int i = 0; i < ROWS; i++) {
        memcpy(changed + i * CLASSES, rows + ((const int64_t *)order.data)[i] * CLASSES, CLASSES * sizeof(float));
        memcpy(names + i * 1000, rows + i * CLASSES + 1, 1000 * sizeof(float));
        for (int c = 0; c < CLASSES; c++)
            biased[i * CLASSES + c] = rows[i * CLASSES + c] + ((const float *)bias.data)[c];
    }
    assert_score_of(rows, CLASSES, 10, golden, "unbiased_1008_splits10");
    assert_score_of(rows, CLASSES, 1, golden, "unbiased_1008_splits1");
    assert_score_of(rows, CLASSES, 7, golden, "unbiased_1008_splits7_uneven");
    assert_score_of(changed, CLASSES, 10, golden, "torch_fidelity_shuffled_splits10");
    assert_score_of(names, 1000, 10, golden, "first1000_of_1_to_1000_splits10");
    Features set = {rows, ROWS, CLASSES};
    Logits logits = logits_of(&set);
    Score score;
    const cJSON *adm = golden_get(golden_get(golden, "adm_split_size_50"), "per_split");
    for (int first = 0; first < ROWS; first += 50) { /* ADM's parts of so many rows, the last one short */
        Features part = {rows + first * CLASSES, ROWS - first < 50 ? ROWS - first : 50, CLASSES};
        Logits of_part = logits_of(&part);
        assert_ok(score_measure(&of_part, 1, NULL, &score, &err), err);
        assert_relative(score.part[0], cJSON_GetArrayItem(adm, first / 50)->valuedouble, "adm_split_size_50");
    }
    /* The sum of a logit and its bias is rounded to float here, so it agrees to that. */
    set.rows = biased;
    assert_ok(score_measure(&logits, 10, NULL, &score, &err), err);
    double wanted = golden_number(golden_get(golden, "biased_1008_splits10"), "mean");
    assert_near(score.score.value, wanted, 1e-6, "biased", 0);
    npy_free(&array);
    npy_free(&bias);
    npy_free(&order);
    cJSON_Delete(json);
}

/* --- neighbours ---------------------------------------------------------------------------------- */

static void assert_counts(const NeighbourCounts *counts, const cJSON *wanted, const char *name)
{
    assert_near((double)counts->precision, golden_number(wanted, "precision_count"), 0, name, 0);
    assert_near((double)counts->recall, golden_number(wanted, "recall_count"), 0, name, 1);
    assert_near((double)counts->density, golden_number(wanted, "density_count"), 0, name, 2);
    assert_near((double)counts->coverage, golden_number(wanted, "coverage_count"), 0, name, 3);
}

static void assert_neighbours(const Sets *sets, int k, const cJSON *within, const cJSON *inside, const char *name)
{
    Err err = {0};
    Neighbours n;
    assert_ok(neighbours_measure(NULL, &sets->fake, &sets->real, k, NULL, &n, &err), err);
    if (within) {
        assert_counts(&n.within, within, name);
        assert_near(n.precision.value, golden_number(within, "precision"), 1e-15, name, 4);
        assert_near(n.recall.value, golden_number(within, "recall"), 1e-15, name, 5);
    }
    if (inside) {
        assert_counts(&n.inside, inside, name);
        assert_near(n.density.value, golden_number(inside, "density"), 1e-15, name, 6);
        assert_near(n.coverage.value, golden_number(inside, "coverage"), 1e-15, name, 7);
    }
    neighbours_free(&n);
}

static void test_neighbours(void **state)
{
    (void)state;
    cJSON *json = golden_json(INCEPTION_GOLDEN("metrics/metrics.json"));
    const cJSON *golden = golden_get(json, "prdc");
    for (int duplicates = 0; duplicates < 2; duplicates++)
        for (int k = 3; k <= 5; k += 2) {
            char le[32], lt[32];
            snprintf(le, sizeof le, "%s_k%d_le", duplicates ? "dup" : "plain", k);
            snprintf(lt, sizeof lt, "%s_k%d_lt", duplicates ? "dup" : "plain", k);
            Sets sets = sets_of_metrics(duplicates);
            assert_neighbours(&sets, k, golden_get(golden, le), golden_get(golden, lt), le);
            sets_close(&sets);
        }
    cJSON_Delete(json);
}

/* --- the distance -------------------------------------------------------------------------------- */

static double distance_of(const Features *fake, const Features *real)
{
    Err err = {0};
    Statistics *a, *b;
    Frechet f;
    assert_ok(features_statistics(fake, &a, &err), err);
    assert_ok(features_statistics(real, &b, &err), err);
    assert_ok(frechet_distance(a, b, &f, &err), err);
    statistics_free(a);
    statistics_free(b);
    return f.raw;
}

static void test_fid(void **state)
{
    (void)state;
    Sets sets = sets_of_metrics(false);
    cJSON *json = golden_json(INCEPTION_GOLDEN("metrics/metrics.json"));
    assert_relative(distance_of(&sets.fake, &sets.real), golden_number(golden_get(json, "fid"), "fake_vs_real"), "FID");
    cJSON_Delete(json);
    sets_close(&sets);
}

/* --- e2e ----------------------------------------------------------------------------------------- */

static void assert_e2e(const Sets *sets, const cJSON *golden)
{
    Err err = {0};
    KidPlan plan = {.subsets = KID_SUBSETS, .subset_size = KID_SUBSET_SIZE};
    Kid kid;
    assert_ok(kid_measure(&sets->fake, &sets->real, &plan, &kid, &err), err);
    /* The golden KID is of float64 features; the file has them in float32. */
    assert_near(kid.kid.value, golden_number(golden, "kid_full"), 1e-6, "KID", 0);
    assert_near(distance_of(&sets->fake, &sets->real), golden_number(golden, "fid_symmetric"), 1e-6, "FID", 0);
    assert_neighbours(sets, 3, golden_get(golden, "prdc_k3_le"), NULL, "prdc_k3_le");
    assert_neighbours(sets, 5, NULL, golden_get(golden, "prdc_k5_lt"), "prdc_k5_lt");
}

static void test_e2e(void **state)
{
    (void)state;
    cJSON *json = golden_json(INCEPTION_GOLDEN("e2e/e2e.json"));
    Sets pt = sets_open(INCEPTION_GOLDEN("e2e/pool3_a_pt.npy"), INCEPTION_GOLDEN("e2e/pool3_b_pt.npy"));
    Sets tf = sets_open(INCEPTION_GOLDEN("e2e/pool3_a_tf.npy"), INCEPTION_GOLDEN("e2e/pool3_b_tf.npy"));
    assert_e2e(&pt, golden_get(json, "pt"));
    assert_e2e(&tf, golden_get(json, "tf"));
    sets_close(&pt);
    sets_close(&tf);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kid_all_pairs), cmocka_unit_test(test_kid_subsets), cmocka_unit_test(test_score),
        cmocka_unit_test(test_neighbours),    cmocka_unit_test(test_fid),         cmocka_unit_test(test_e2e),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
