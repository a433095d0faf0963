/* KID: against plain loops across tiles, the draw of subsets, the interval, and what is refused. */
#include "tests/golden_arrays.h"

#include "tests/metrics/sets.h"

static double kernel(const float *a, const float *b, int dim)
{
    double product = 0;
    for (int i = 0; i < dim; i++)
        product += (double)a[i] * (double)b[i];
    return pow(product / dim + 1, 3);
}

static double same(const Features *set)
{
    double sum = 0, n = (double)set->count;
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t j = 0; j < i; j++)
            sum += 2 * kernel(set->rows + i * set->dim, set->rows + j * set->dim, set->dim);
    return sum / (n * (n - 1));
}

static double plain(const Features *fake, const Features *real)
{
    double sum = 0;
    for (int64_t i = 0; i < fake->count; i++)
        for (int64_t j = 0; j < real->count; j++)
            sum += kernel(fake->rows + i * fake->dim, real->rows + j * real->dim, fake->dim);
    return same(fake) + same(real) - 2 * sum / ((double)fake->count * (double)real->count);
}

static Kid measure(const Features *fake, const Features *real, KidPlan plan)
{
    Err err = {0};
    Kid kid;
    assert_ok(kid_measure(fake, real, &plan, &kid, &err), err);
    return kid;
}

static void test_tiles(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{2, 2}, {5, 3}, {1024, 7}, {1025, 1100}, {90, 2100}};
    for (size_t i = 0; i < countof(sizes); i++) {
        Features fake = normal_set("fake", sizes[i][0], 9, 0.2, 1), real = normal_set("real", sizes[i][1], 9, 0, 1);
        Kid kid = measure(&fake, &real, (KidPlan){.subsets = 1, .subset_size = 3000});
        double wanted = plain(&fake, &real);
        assert_near(kid.kid.value, wanted, 1e-11 * fabs(wanted) + 1e-12, "KID", (long long)i);
        set_free(&fake);
        set_free(&real);
    }
}

static void test_draw(void **state)
{
    (void)state;
    enum { ROWS = 700, SIZE = 300, SUBSETS = 40 };
    static int64_t draw[SUBSETS * 2][SIZE], again[SIZE];
    int times[ROWS] = {0};
    for (int d = 0; d < SUBSETS * 2; d++) {
        bool seen[ROWS] = {0};
        kid_draw(5, d / 2, d % 2, ROWS, SIZE, draw[d]);
        for (int i = 0; i < SIZE; i++) {
            assert_in_range(draw[d][i], 0, ROWS - 1);
            assert_false(seen[draw[d][i]]);
            seen[draw[d][i]] = true;
            times[draw[d][i]]++;
        }
        for (int e = 0; e < d; e++)
            assert_memory_not_equal(draw[d], draw[e], sizeof draw[d]);
    }
    for (int i = 0; i < ROWS; i++) /* 34.3 on average, deviation 4.4 */
        assert_in_range(times[i], 12, 57);
    kid_draw(5, 3, 1, ROWS, SIZE, again);
    assert_memory_equal(again, draw[7], sizeof again);
    kid_draw(6, 3, 1, ROWS, SIZE, again);
    assert_memory_not_equal(again, draw[7], sizeof again);
}

/* The mean over subsets is that of the drawn rows, and scatters around the value of all pairs. */
static void test_subsets(void **state)
{
    (void)state;
    enum { SUBSETS = 30, SIZE = 200 };
    Features fake = normal_set("fake", 900, 6, 0.3, 1), real = normal_set("real", 1100, 6, 0, 1);
    static int64_t fake_index[SUBSETS][SIZE], real_index[SUBSETS][SIZE];
    double values[SUBSETS], mean = 0, squares = 0;
    for (int s = 0; s < SUBSETS; s++) {
        kid_draw(11, s, 0, fake.count, SIZE, fake_index[s]);
        kid_draw(11, s, 1, real.count, SIZE, real_index[s]);
        values[s] = kid_of_rows(&fake, &real, fake_index[s], real_index[s], SIZE);
    }
    for (int s = 0; s < SUBSETS; s++)
        mean += values[s] / SUBSETS;
    for (int s = 0; s < SUBSETS; s++)
        squares += (values[s] - mean) * (values[s] - mean) / SUBSETS;
    KidPlan plan = {.subsets = SUBSETS, .subset_size = SIZE, .seed = 11, .all_pairs = true};
    Kid kid = measure(&fake, &real, plan);
    assert_int_equal(kid.subsets, SUBSETS);
    assert_near(kid.kid.value, mean, 1e-12, "mean", 0);
    assert_near(kid.std, sqrt(squares), 1e-12, "std", 0);
    assert_near(kid.all_pairs, plain(&fake, &real), 1e-12, "all pairs", 0);
    assert_near(kid.kid.value, kid.all_pairs, 3 * kid.std / sqrt(SUBSETS), "subsets against all pairs", 0);
    set_free(&fake);
    set_free(&real);
}

/* Subsets that are all of both sets do not vary, so there is no deviation; one set that is larger varies. */
static void test_whole_subsets(void **state)
{
    (void)state;
    Features fake = normal_set("fake", 60, 4, 0.3, 1), real = normal_set("real", 60, 4, 0, 1),
             more = normal_set("more", 61, 4, 0, 1);
    KidPlan plan = {.subsets = 5, .subset_size = 60};
    Kid kid = measure(&fake, &real, plan);
    assert_near(kid.kid.value, plain(&fake, &real), 1e-12, "the value of all pairs", 0);
    assert_true(isnan(kid.std));
    assert_true(measure(&fake, &more, plan).std > 0);
    assert_true(measure(&more, &real, plan).std > 0);
    set_free(&fake);
    set_free(&real);
    set_free(&more);
}

/* Leaving a block out of the sums is leaving its rows out. */
static void test_interval(void **state)
{
    (void)state;
    Features fake = normal_set("fake", 430, 4, 0.3, 1), real = normal_set("real", 200, 4, 0, 1);
    double without[INTERVAL_BLOCKS];
    for (int b = 0; b < INTERVAL_BLOCKS; b++) {
        Features left = set_without(&fake, b);
        without[b] = plain(&left, &real);
        set_free(&left);
    }
    Kid kid = measure(&fake, &real, (KidPlan){.subsets = 1, .subset_size = 1000});
    Interval wanted = interval_of(kid.kid.value, without, INTERVAL_BLOCKS, -INFINITY, INFINITY);
    assert_near(kid.kid.low, wanted.low, 1e-11, "low", 0);
    assert_near(kid.kid.high, wanted.high, 1e-11, "high", 0);
    set_free(&fake);
    set_free(&real);
}

static void test_threads(void **state)
{
    (void)state;
    Features fake = normal_set("fake", 1500, 5, 0.1, 1), real = normal_set("real", 1300, 5, 0, 1);
    KidPlan plan = {.subsets = 9, .subset_size = 120, .all_pairs = true};
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    Kid one = measure(&fake, &real, plan);
    omp_set_num_threads(3);
    Kid three = measure(&fake, &real, plan);
    omp_set_num_threads(threads);
    assert_memory_equal(&one, &three, sizeof one);
    set_free(&fake);
    set_free(&real);
}

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    Kid kid;
    KidPlan plan = {.subsets = 5, .subset_size = 10}, none = {.subsets = 0, .subset_size = 10};
    Features fake = normal_set("fake", 60, 5, 0, 1), real = normal_set("real", 50, 5, 0, 1);
    Features one = {fake.rows, 1, 5}, narrow = {fake.rows, 60, 4};
    assert_err(kid_measure(&fake, &real, &none, &kid, &err), err, "0 subsets of 10");
    assert_err(kid_measure(&one, &real, &plan, &kid, &err), err, "1 generated", "at least 2");
    assert_err(kid_measure(&narrow, &real, &plan, &kid, &err), err, "4 features", "5");
    ((float *)real.rows)[33 * 5] = INFINITY;
    assert_err(kid_measure(&fake, &real, &plan, &kid, &err), err, "reference", "image 33", "inf");
    ((float *)real.rows)[33 * 5] = 0;
    Watch watch = {.stop_after = 1};
    MetricHooks hooks = watch_hooks(&watch);
    plan.hooks = &hooks;
    assert_err(kid_measure(&fake, &real, &plan, &kid, &err), err, "KID", "stopped");
    assert_int_equal(err.kind, ERR_CANCELLED);
    watch = (Watch){0};
    assert_ok(kid_measure(&fake, &real, &plan, &kid, &err), err);
    assert_near(watch.done, 1, 1e-12, "progress", 0);
    set_free(&fake);
    set_free(&real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),         cmocka_unit_test(test_draw),     cmocka_unit_test(test_subsets),
        cmocka_unit_test(test_whole_subsets), cmocka_unit_test(test_interval), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
