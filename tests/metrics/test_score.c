/* Inception Score: parts, the interval, streamed logits, and what is refused. Golden values are in test_metrics.c. */
#include "tests/golden_arrays.h"

#include "tests/metrics/sets.h"

static Score measure(const Features *set, int parts)
{
    Err err = {0};
    Score score;
    Logits logits = logits_of(set);
    assert_ok(score_measure(&logits, parts, NULL, &score, &err), err);
    return score;
}

/* Equal logits score 1; n rows that are sure of n different classes score n. */
static void test_limits(void **state)
{
    (void)state;
    float rows[16 * 16] = {0};
    Features set = {rows, 16, 16};
    assert_near(measure(&set, 1).score.value, 1, 1e-12, "equal", 0);
    for (int i = 0; i < 16; i++)
        rows[i * 16 + i] = 3000; /* exp of the others underflows even in double */
    assert_near(measure(&set, 1).score.value, 16, 1e-10, "sure", 0);
    Score two = measure(&set, 2);
    assert_near(two.part[0], 8, 1e-10, "half", 0);
    assert_near(two.std, 0, 1e-10, "std", 0);
}

/* Parts are [k n/parts, (k+1) n/parts), whatever n is. */
static void test_parts(void **state)
{
    (void)state;
    for (int n = 7; n < 40; n++) {
        Features set = normal_set("parts", n, 5, 0, 2);
        Score score = measure(&set, 7);
        for (int k = 0; k < 7; k++) {
            int first = k * n / 7, end = (k + 1) * n / 7;
            Features part = {set.rows + first * 5, end - first, 5};
            assert_near(score.part[k], measure(&part, 1).score.value, 1e-12, "part", k);
        }
        set_free(&set);
    }
}

/* Without a block every part loses that block's rows and keeps its others. */
static void test_interval(void **state)
{
    (void)state;
    enum { N = 700, CLASSES = 6, PARTS = 3 };
    Features set = normal_set("interval", N, CLASSES, 0, 2);
    double without[INTERVAL_BLOCKS] = {0};
    for (int b = 0; b < INTERVAL_BLOCKS; b++)
        for (int k = 0; k < PARTS; k++) {
            static float rows[N * CLASSES];
            Features left = {rows, 0, CLASSES};
            for (int i = k * N / PARTS; i < (k + 1) * N / PARTS; i++)
                if (interval_block(i) != b)
                    memcpy(rows + left.count++ * CLASSES, set.rows + i * CLASSES, CLASSES * sizeof(float));
            without[b] += measure(&left, 1).score.value / PARTS;
        }
    Score score = measure(&set, PARTS);
    Interval wanted = interval_of(score.score.value, without, INTERVAL_BLOCKS, 1, INFINITY);
    assert_near(score.score.low, wanted.low, 1e-10, "low", 0);
    assert_near(score.score.high, wanted.high, 1e-10, "high", 0);
    assert_true(score.score.high > score.score.low);
    set_free(&set);
}

static void test_threads(void **state)
{
    (void)state;
    Features set = normal_set("threads", 900, 33, 0, 3);
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    Score one = measure(&set, 10);
    omp_set_num_threads(3);
    Score three = measure(&set, 10);
    omp_set_num_threads(threads);
    assert_true(one.score.value == three.score.value && one.score.low == three.score.low && one.std == three.std);
    set_free(&set);
}

static bool broken(void *ctx, int64_t first, int64_t count, float *ret_logits, Err *err)
{
    (void)ctx;
    memset(ret_logits, 0, sizeof(float) * 4 * (size_t)count);
    return first == 0 || err_set(err, ERR_IO, "the file ended at %lld", (long long)first);
}

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    Score score;
    Features set = normal_set("refuses", 600, 4, 0, 1);
    Logits logits = logits_of(&set), few = logits, torn = {600, 4, broken, NULL};
    few.count = 9;
    assert_err(score_measure(&few, 10, NULL, &score, &err), err, "9 images", "10 parts");
    assert_err(score_measure(&logits, 0, NULL, &score, &err), err, "0 parts");
    ((float *)set.rows)[300 * 4 + 1] = NAN;
    assert_err(score_measure(&logits, 10, NULL, &score, &err), err, "image 300", "class 1");
    assert_int_equal(err.kind, ERR_NUMERIC);
    ((float *)set.rows)[300 * 4 + 1] = 0;
    assert_err(score_measure(&torn, 10, NULL, &score, &err), err, "the file ended at 256");
    Watch watch = {.stop_after = 2};
    MetricHooks hooks = watch_hooks(&watch);
    assert_err(score_measure(&logits, 10, &hooks, &score, &err), err, "inception score", "stopped");
    assert_int_equal(err.kind, ERR_CANCELLED);
    set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_parts),   cmocka_unit_test(test_interval),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
