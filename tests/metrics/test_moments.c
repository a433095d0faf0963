/* Moments: the right numbers, and the same bits however the rows are split. */
#include "tests/golden_arrays.h"

#include "worker/metrics/fid.h"

static Statistics *statistics_of(const float *rows, int dim, int64_t count, int64_t step)
{
    Err err = {0};
    Moments *m = moments_new(dim);
    for (int64_t at = 0; at < count; at += step)
        assert_ok(moments_add(m, rows + at * dim, count - at < step ? count - at : step, &err), err);
    assert_int_equal(moments_count(m), count);
    Statistics *stats;
    assert_ok(moments_finish(m, &stats, &err), err);
    moments_free(m);
    return stats;
}

static void test_golden(void **state)
{
    (void)state;
    Err err = {0};
    NpyArray feats = golden_npy(INCEPTION_GOLDEN("frechet/feats_a.npy"));
    Npz *npz = npz_open(INCEPTION_GOLDEN("frechet/frechet_cases.npz"), &err);
    NpyArray mu, sigma;
    assert_ok(npz_read(npz, "l_from_feats64/mu1", SIZE_MAX, &mu, &err), err);
    assert_ok(npz_read(npz, "l_from_feats64/sigma1", SIZE_MAX, &sigma, &err), err);
    Statistics *stats = statistics_of(feats.data, 64, 1000, 1000);
    assert_int_equal(stats->count, 1000);
    for (int i = 0; i < 64; i++)
        assert_near(stats->mu[i], npy_at(&mu, i), 1e-14, "mu", i);
    for (int i = 0; i < 64 * 64; i++)
        assert_near(stats->sigma[i], npy_at(&sigma, i), 1e-14, "sigma", i);
    statistics_free(stats);
    npy_free(&mu);
    npy_free(&sigma);
    npy_free(&feats);
    npz_close(npz);
}

/* Against plain loops, at widths that do not divide into tiles. */
static void test_widths(void **state)
{
    (void)state;
    static const int widths[] = {1, 2, 7, 8, 9, 31};
    enum { ROWS = 1201 };
    for (size_t k = 0; k < countof(widths); k++) {
        int dim = widths[k];
        float *rows = xmalloc(sizeof(float) * ROWS * (size_t)dim);
        uint64_t stream = stream_open("moments");
        for (int i = 0; i < ROWS * dim; i++)
            rows[i] = (float)stream_at(stream, (uint64_t)i);
        Statistics *stats = statistics_of(rows, dim, ROWS, 100);
        for (int i = 0; i < dim; i++)
            for (int j = 0; j < dim; j++) {
                double mean_i = 0, mean_j = 0, sum = 0;
                for (int r = 0; r < ROWS; r++) {
                    mean_i += (double)rows[r * dim + i] / ROWS;
                    mean_j += (double)rows[r * dim + j] / ROWS;
                }
                for (int r = 0; r < ROWS; r++)
                    sum += ((double)rows[r * dim + i] - mean_i) * ((double)rows[r * dim + j] - mean_j);
                assert_near(stats->sigma[i * dim + j], sum / (ROWS - 1), 1e-13, "sigma", i * dim + j);
            }
        statistics_free(stats);
        free(rows);
    }
}

/* The bits of groups of 500 rows, each summed in order from zero: the definition in moments.h, as plain loops. */
static void test_bits(void **state)
{
    (void)state;
    enum { ROWS = 1234, DIM = 19 };
    static float rows[ROWS * DIM];
    uint64_t stream = stream_open("bits");
    for (int i = 0; i < ROWS * DIM; i++)
        rows[i] = (float)(stream_at(stream, (uint64_t)i) * 3 - 1);
    static const int64_t steps[] = {1, 7, 32, 499, 500, 501, ROWS};
    Statistics *first = statistics_of(rows, DIM, ROWS, ROWS);
    for (size_t k = 0; k < countof(steps); k++) {
        Statistics *stats = statistics_of(rows, DIM, ROWS, steps[k]);
        assert_memory_equal(stats->mu, first->mu, DIM * sizeof(double));
        assert_memory_equal(stats->sigma, first->sigma, DIM * DIM * sizeof(double));
        statistics_free(stats);
    }
    for (int i = 0; i < DIM; i++)
        for (int j = i; j < DIM; j++) {
            double outer = 0, sum_i = 0, sum_j = 0;
            for (int group = 0; group < ROWS; group += MOMENTS_GROUP) {
                double o = 0, a = 0, b = 0;
                for (int r = group; r < ROWS && r < group + MOMENTS_GROUP; r++) {
                    o += (double)rows[r * DIM + i] * (double)rows[r * DIM + j];
                    a += (double)rows[r * DIM + i];
                    b += (double)rows[r * DIM + j];
                }
                outer += o, sum_i += a, sum_j += b;
            }
            double wanted = (outer - (double)ROWS * (sum_i / ROWS) * (sum_j / ROWS)) / (ROWS - 1);
            assert_true(first->sigma[i * DIM + j] == wanted);
        }
    statistics_free(first);
}

static void test_finish_goes_on(void **state)
{
    (void)state;
    Err err = {0};
    NpyArray feats = golden_npy(INCEPTION_GOLDEN("frechet/feats_a.npy"));
    Moments *m = moments_new(64);
    Statistics *partial, *whole, *wanted = statistics_of(feats.data, 64, 1000, 1000);
    assert_ok(moments_add(m, feats.data, 700, &err), err);
    assert_ok(moments_finish(m, &partial, &err), err);
    assert_ok(moments_add(m, (const float *)feats.data + 700 * 64, 300, &err), err);
    assert_ok(moments_finish(m, &whole, &err), err);
    assert_memory_equal(whole->sigma, wanted->sigma, 64 * 64 * sizeof(double));
    assert_int_equal(partial->count, 700);
    statistics_free(partial);
    statistics_free(whole);
    statistics_free(wanted);
    moments_free(m);
    npy_free(&feats);
}

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    Statistics *stats;
    float rows[4 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3};
    Moments *m = moments_new(3);
    assert_err(moments_finish(m, &stats, &err), err, "0 images", "at least 2");
    assert_ok(moments_add(m, rows, 1, &err), err);
    assert_err(moments_finish(m, &stats, &err), err, "1 image;", "at least 2");
    rows[2 * 3 + 1] = NAN;
    assert_err(moments_add(m, rows, 4, &err), err, "image 3", "feature 1 of 3");
    assert_int_equal(err.kind, ERR_NUMERIC);
    assert_int_equal(moments_count(m), 1);
    rows[2 * 3 + 1] = -INFINITY;
    assert_err(moments_add(m, rows, 4, &err), err, "image 3", "inf");
    moments_free(m);
}

/* A feature that never changes has variance 0, not a small negative number. */
static void test_constant_feature(void **state)
{
    (void)state;
    float rows[1000 * 2];
    for (int i = 0; i < 1000; i++) {
        rows[i * 2] = 0.1f;
        rows[i * 2 + 1] = (float)i;
    }
    Statistics *stats = statistics_of(rows, 2, 1000, 1000);
    assert_true(stats->sigma[0] >= 0 && stats->sigma[0] < 1e-15);
    statistics_free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),         cmocka_unit_test(test_widths),  cmocka_unit_test(test_bits),
        cmocka_unit_test(test_finish_goes_on), cmocka_unit_test(test_refuses), cmocka_unit_test(test_constant_feature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
