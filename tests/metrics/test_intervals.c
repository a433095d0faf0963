/* Intervals: how blocks are dealt, the arithmetic of the jackknife, and the width of intervals: over many small sets of
 * one distribution it must match the true deviation of the values. */
#include "tests/golden_arrays.h"

#include "tests/metrics/sets.h"

/* --- blocks -------------------------------------------------------------------------------------- */

static void test_blocks(void **state)
{
    (void)state;
    enum { ROWS = 1999, PERIODS = 50 };
    int64_t rows[INTERVAL_BLOCKS] = {0};
    int same[PERIODS] = {0};
    for (int run = 0; run < ROWS; run += INTERVAL_BLOCKS) {
        uint32_t seen = 0;
        for (int row = run; row < run + INTERVAL_BLOCKS && row < ROWS; row++) {
            int block = interval_block(row);
            assert_true(block >= 0 && block < INTERVAL_BLOCKS && !(seen >> block & 1)); /* each block once in a run */
            seen |= 1u << block;
            rows[block]++;
        }
    }
    for (int b = 0; b < INTERVAL_BLOCKS; b++)
        assert_int_equal(interval_block_rows(ROWS, b), rows[b]);
    /* Nothing repeats: rows a period apart share a block about one time in twenty, whatever the period. */
    for (int period = 20; period < PERIODS; period++) {
        for (int row = 0; row + period < ROWS; row++)
            same[period] += interval_block(row) == interval_block(row + period);
        assert_in_range(same[period], ROWS / 40, ROWS / 10);
    }
}

static void test_arithmetic(void **state)
{
    (void)state;
    assert_int_equal(interval_blocks(399), 0);
    assert_int_equal(interval_blocks(400), 20);
    double without[INTERVAL_BLOCKS];
    for (int b = 0; b < INTERVAL_BLOCKS; b++)
        without[b] = b % 2 ? 3.1 : 2.9; /* deviations of 0.1: sqrt(19/20 20 0.01) = 0.43589 */
    Interval interval = interval_of(3.5, without, 20, 0, INFINITY);
    assert_near(interval.low, 3.5 - 2.09302 * 0.4358899, 1e-4, "low", 0);
    assert_near(interval.high, 3.5 + 2.09302 * 0.4358899, 1e-4, "high", 0);
    interval = interval_of(0.5, without, 20, 0, 1);
    assert_true(interval.low == 0 && interval.high == 1 && interval.value == 0.5);
    interval = interval_of(0.5, without, 0, 0, 1);
    assert_true(isnan(interval.low) && isnan(interval.high) && interval.value == 0.5);
    without[7] = NAN;
    interval = interval_of(0.5, without, 20, 0, 1);
    assert_true(isnan(interval.low) && isnan(interval.high));
}

/* --- the truth ----------------------------------------------------------------------------------- */

enum { TRIALS = 120, ROWS = 400, DIM = 3, KINDS = 8 };

static void measure(const Features *fake, const Features *real, const Statistics *reference, Interval ret[KINDS])
{
    Err err = {0};
    KidPlan all = {.subsets = 1, .subset_size = ROWS + 1}, some = {.subsets = 20, .subset_size = 100, .seed = 7};
    Kid kid;
    Statistics *stats;
    Frechet f;
    Score score;
    Neighbours n;
    Logits logits = logits_of(fake);
    assert_ok(features_statistics(fake, &stats, &err), err);
    assert_ok(frechet_distance(stats, reference, &f, &err), err);
    assert_ok(fid_interval(fake, reference, f.raw, NULL, &ret[0], &err), err);
    assert_ok(score_measure(&logits, 2, NULL, &score, &err), err);
    ret[1] = score.score;
    assert_ok(kid_measure(fake, real, &all, &kid, &err), err);
    ret[2] = kid.kid;
    assert_ok(kid_measure(fake, real, &some, &kid, &err), err);
    assert_int_equal(kid.subsets, 20);
    ret[3] = kid.kid;
    assert_ok(neighbours_measure(NULL, fake, real, 3, NULL, &n, &err), err);
    ret[4] = n.precision;
    ret[5] = n.recall;
    ret[6] = n.density;
    ret[7] = n.coverage;
    neighbours_free(&n);
    statistics_free(stats);
}

/* Deviation of the values over trials against the mean deviation of the intervals. A jackknife of neighbours is rougher
 * than one of smooth functions: what a ball covers jumps. */
static void test_calibration(void **state)
{
    (void)state;
    Err err = {0};
    static const struct {
        const char *name;
        double least, most;
    } kinds[KINDS] = {{"FID", 0.8, 1.25},      {"IS", 0.8, 1.25},    {"KID", 0.8, 1.25},    {"KID subsets", 0.8, 1.3},
                      {"precision", 0.8, 1.3}, {"recall", 0.7, 1.6}, {"density", 0.8, 1.3}, {"coverage", 0.7, 1.6}};
    Features real = normal_set("real", ROWS, DIM, 0, 1);
    Statistics *reference;
    assert_ok(features_statistics(&real, &reference, &err), err);
    double sum[KINDS] = {0}, squares[KINDS] = {0}, claimed[KINDS] = {0};
    for (int trial = 0; trial < TRIALS; trial++) {
        Interval got[KINDS];
        char *key = xasprintf("fake/%d", trial);
        Features fake = normal_set(key, ROWS, DIM, 0.7, 0.9);
        measure(&fake, &real, reference, got);
        set_free(&fake);
        free(key);
        for (int k = 0; k < KINDS; k++) {
            sum[k] += got[k].value;
            squares[k] += got[k].value * got[k].value;
            claimed[k] += (got[k].high - got[k].low) / 2 / 2.093 / TRIALS;
        }
    }
    for (int k = 0; k < KINDS; k++) {
        double mean = sum[k] / TRIALS,
               real_deviation = sqrt((squares[k] / TRIALS - mean * mean) * TRIALS / (TRIALS - 1));
        double ratio = claimed[k] / real_deviation;
        print_message("%-12s mean %8.4f, scatters by %.4f, intervals claim %.4f: ratio %.2f\n", kinds[k].name, mean,
                      real_deviation, claimed[k], ratio);
        if (!(ratio >= kinds[k].least && ratio <= kinds[k].most))
            fail_msg("%s: intervals claim %.3f of the true deviation, wanted %.2f to %.2f", kinds[k].name, ratio,
                     kinds[k].least, kinds[k].most);
    }
    statistics_free(reference);
    set_free(&real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_calibration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
