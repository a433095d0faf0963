/* The FID against the number of images, its limit, and its interval. */
#include "tests/golden_arrays.h"

#include "tests/metrics/sets.h"

static Statistics *statistics_of(const Features *set)
{
    Err err = {0};
    Statistics *stats;
    assert_ok(features_statistics(set, &stats, &err), err);
    return stats;
}

static double distance(const Features *fake, const Statistics *reference)
{
    Err err = {0};
    Statistics *stats = statistics_of(fake);
    Frechet f;
    assert_ok(frechet_distance(stats, reference, &f, &err), err);
    statistics_free(stats);
    return f.raw;
}

/* Normals against their own distribution: the FID is bias alone, falls as 1/n, and tends to 0. */
static void test_curve(void **state)
{
    (void)state;
    enum { N = 6000, DIM = 12 };
    Err err = {0};
    Features fake = normal_set("fake", N, DIM, 0, 1);
    Statistics *truth = statistics_new(DIM, &err);
    for (int i = 0; i < DIM; i++)
        truth->sigma[i * DIM + i] = 1;
    FidCurve curve;
    assert_ok(fid_infinity(&fake, truth, NULL, &curve, &err), err);
    assert_int_equal(curve.points, 15);
    assert_int_equal(curve.count[0], 600);
    assert_int_equal(curve.count[7], 3300);
    assert_int_equal(curve.count[14], N);
    assert_near(curve.fid[14], distance(&fake, truth), 1e-10, "all images", 0);
    assert_true(curve.fid[0] > 5 * curve.fid[14]);
    assert_true(fabs(curve.infinity) < 0.2 * curve.fid[14]);
    /* The bias of normals: DIM for the mean and about DIM (DIM+1) / 4 for the covariance, over n. */
    assert_near(curve.slope, DIM + DIM * (DIM + 1) / 4.0, 25, "slope", 0);
    double residual = 0, weighted = 0; /* of least squares: both vanish */
    for (int i = 0; i < 15; i++) {
        double x = 1.0 / (double)curve.count[i], error = curve.fid[i] - curve.infinity - curve.slope * x;
        residual += error;
        weighted += error * x;
    }
    assert_near(residual, 0, 1e-12, "residual", 0);
    assert_near(weighted, 0, 1e-15, "residual", 1);
    statistics_free(truth);
    set_free(&fake);
}

/* Two classes, one after the other: a prefix of the file would be one class, far from the reference. */
static void test_sorted(void **state)
{
    (void)state;
    Err err = {0};
    Features fake = normal_set("fake", 3000, 4, 0, 1), real = normal_set("real", 3000, 4, 0, 1);
    for (int64_t i = 1500 * 4; i < 3000 * 4; i++) {
        ((float *)fake.rows)[i] += 5;
        ((float *)real.rows)[i] += 5;
    }
    Statistics *reference = statistics_of(&real);
    FidCurve curve;
    Interval interval;
    assert_ok(fid_infinity(&fake, reference, NULL, &curve, &err), err);
    for (int i = 0; i < 15; i++)
        assert_true(curve.fid[i] < 1.5); /* one class alone: 40 */
    assert_ok(fid_interval(&fake, reference, curve.fid[14], NULL, &interval, &err), err);
    assert_true(interval.high - interval.low < 1);
    statistics_free(reference);
    set_free(&fake);
    set_free(&real);
}

/* Leaving a block out of the sums is leaving its rows out; a singular reference goes through its other factor. */
static void assert_interval(int reference_rows)
{
    enum { DIM = 9 };
    Err err = {0};
    Features fake = normal_set("fake", 1203, DIM, 0.2, 1), real = normal_set("real", reference_rows, DIM, 0, 1);
    Statistics *reference = statistics_of(&real);
    double value = distance(&fake, reference), without[INTERVAL_BLOCKS];
    for (int b = 0; b < INTERVAL_BLOCKS; b++) {
        Features left = set_without(&fake, b);
        without[b] = distance(&left, reference);
        set_free(&left);
    }
    Interval got, wanted = interval_of(value, without, INTERVAL_BLOCKS, 0, INFINITY);
    assert_ok(fid_interval(&fake, reference, value, NULL, &got, &err), err);
    assert_true(got.value == value);
    assert_near(got.low, wanted.low, 1e-7, "low", reference_rows);
    assert_near(got.high, wanted.high, 1e-7, "high", reference_rows);
    statistics_free(reference);
    set_free(&fake);
    set_free(&real);
}

static void test_interval(void **state)
{
    (void)state;
    assert_interval(500);
    assert_interval(6);
}

static void test_threads(void **state)
{
    (void)state;
    Err err = {0};
    Features fake = normal_set("fake", 900, 20, 0, 1), real = normal_set("real", 700, 20, 0.1, 1);
    Statistics *reference = statistics_of(&real);
    FidCurve curve[2] = {0};
    Interval interval[2];
    int threads = omp_get_max_threads();
    for (int t = 0; t < 2; t++) {
        omp_set_num_threads(t ? 3 : 1);
        assert_ok(fid_infinity(&fake, reference, NULL, &curve[t], &err), err);
        assert_ok(fid_interval(&fake, reference, 1, NULL, &interval[t], &err), err);
    }
    omp_set_num_threads(threads);
    assert_memory_equal(&curve[0], &curve[1], sizeof curve[0]);
    assert_memory_equal(&interval[0], &interval[1], sizeof interval[0]);
    statistics_free(reference);
    set_free(&fake);
    set_free(&real);
}

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    FidCurve curve;
    Interval interval;
    Features fake = normal_set("fake", 500, 4, 0, 1), few = {fake.rows, 199, 4}, narrow = {fake.rows, 600, 3};
    Statistics *reference = statistics_of(&fake);
    assert_err(fid_infinity(&few, reference, NULL, &curve, &err), err, "199 images", "200");
    assert_err(fid_infinity(&narrow, reference, NULL, &curve, &err), err, "3 features", "4");
    assert_err(fid_interval(&narrow, reference, 0, NULL, &interval, &err), err, "3 features", "4");
    assert_ok(fid_interval(&few, reference, 0.5, NULL, &interval, &err), err); /* too few: no interval, no error */
    assert_true(interval.value == 0.5 && isnan(interval.low) && isnan(interval.high));
    Watch watch = {.stop_after = 1};
    MetricHooks hooks = watch_hooks(&watch);
    assert_err(fid_infinity(&fake, reference, &hooks, &curve, &err), err, "FID-infinity", "stopped");
    watch = (Watch){.stop_after = 22};
    assert_err(fid_interval(&fake, reference, 0, &hooks, &interval, &err), err, "interval", "stopped");
    assert_int_equal(err.kind, ERR_CANCELLED);
    ((float *)fake.rows)[41 * 4 + 3] = NAN;
    assert_err(fid_interval(&fake, reference, 0, NULL, &interval, &err), err, "generated", "image 41",
               "feature 3 of 4");
    statistics_free(reference);
    set_free(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curve),   cmocka_unit_test(test_sorted),  cmocka_unit_test(test_interval),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
