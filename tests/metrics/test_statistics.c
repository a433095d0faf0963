/* Statistics files: every container, what is written, and what is refused. */
#include "tests/golden_arrays.h"

#include "worker/checkpoints/checkpoint.h"
#include "worker/metrics/statistics.h"

static void check_golden(const Statistics *stats, double mu_tolerance)
{
    cJSON *json = golden_json(INCEPTION_GOLDEN("stats/stats.json"));
    assert_int_equal(stats->dim, 64);
    double mu_sum = 0, trace = 0, sum = 0;
    for (int i = 0; i < 64; i++) {
        mu_sum += stats->mu[i];
        trace += stats->sigma[i * 64 + i];
    }
    for (int i = 0; i < 64 * 64; i++)
        sum += stats->sigma[i];
    for (int i = 0; i < 8; i++)
        assert_near(stats->mu[i], cJSON_GetArrayItem(golden_get(json, "m_first8"), i)->valuedouble, mu_tolerance, "mu",
                    i);
    static const int corner[] = {0, 1, 64, 65};
    for (int i = 0; i < 4; i++)
        assert_near(stats->sigma[corner[i]], cJSON_GetArrayItem(golden_get(json, "s_00_01_10_11"), i)->valuedouble,
                    1e-15, "sigma", corner[i]);
    assert_near(mu_sum, golden_number(json, "m_sum"), 64 * mu_tolerance, "sum of mu", 0);
    assert_near(trace, golden_number(json, "s_trace"), 1e-12, "trace", 0);
    assert_near(sum, golden_number(json, "s_sum"), 1e-11, "sum of sigma", 0);
    cJSON_Delete(json);
}

static void test_containers(void **state)
{
    (void)state;
    static const char *const files[] = {
        "dd/statistic.pth",      "dd", /* the folder that --fid_statistic of the release names */
        "statistic_f64.pth",     "statistic_legacy.pth",
        "statistic_tensors.pth", "statistic_numpy2.pth",
        "stats_savez.npz",       "stats_savez_compressed.npz",
        "adm_style_ref.npz",
    };
    for (size_t i = 0; i < countof(files); i++) {
        Err err = {0};
        Statistics *stats;
        char *path = xasprintf(INCEPTION_GOLDEN("stats/%s"), files[i]);
        assert_ok(statistics_load(path, &stats, &err), err);
        check_golden(stats, 3e-7); /* the release sums the mean in float32, the f64 files hold the exact one */
        assert_int_equal(stats->count, 0);
        assert_null(stats->pipeline);
        statistics_free(stats);
        free(path);
    }
}

/* Fortran order is undone by the reader; the matrix in this file is not symmetric, and so no covariance. */
static void test_fortran(void **state)
{
    (void)state;
    Err err = {0};
    Statistics *stats;
    Ckpt *ckpt = ckpt_open(INCEPTION_GOLDEN("stats/statistic_fortran.pth"), &err);
    assert_ok(ckpt != NULL, err);
    NpyArray truth = golden_npy(INCEPTION_GOLDEN("stats/statistic_fortran_s.npy"));
    double s[64 * 64];
    assert_ok(ckpt_read_f64(ckpt, "s", 2, (int64_t[]){64, 64}, s, &err), err);
    for (int i = 0; i < 64 * 64; i++)
        assert_true(s[i] == npy_at(&truth, i));
    npy_free(&truth);
    ckpt_close(ckpt);
    assert_err(statistics_load(INCEPTION_GOLDEN("stats/statistic_fortran.pth"), &stats, &err), err,
               "statistic_fortran.pth", "not symmetric");
}

static Statistics *small(void)
{
    Err err = {0};
    Statistics *stats = statistics_new(2, &err);
    memcpy(stats->mu, (double[]){0.25, -1.5}, 2 * sizeof(double));
    memcpy(stats->sigma, (double[]){2, 0.5, 0.5, 3}, 4 * sizeof(double));
    return stats;
}

static void test_round_trip(void **state)
{
    (void)state;
    Err err = {0};
    char *folder = test_folder(), *path = xasprintf("%s/statistics.npz", folder);
    Statistics *stats = small(), *back;
    for (int known = 0; known < 2; known++) {
        stats->count = known ? 50000 : 0;
        stats->pipeline = known ? xstrdup("tf") : NULL;
        assert_ok(statistics_save(path, stats, &err), err);
        assert_ok(statistics_load(path, &back, &err), err);
        assert_int_equal(back->dim, 2);
        assert_int_equal(back->count, stats->count);
        assert_memory_equal(back->mu, stats->mu, 2 * sizeof(double));
        assert_memory_equal(back->sigma, stats->sigma, 4 * sizeof(double));
        assert_true(known ? strcmp(back->pipeline, "tf") == 0 : back->pipeline == NULL);
        statistics_free(back);
    }
    char *nowhere = xasprintf("%s/none/statistics.npz", folder);
    assert_err(statistics_save(nowhere, stats, &err), err, nowhere);
    free(nowhere);
    statistics_free(stats);
    free(path);
    test_folder_remove(folder);
}

/* ADM's reference batches carry what sFID needs; the mean there is float32, as its evaluator writes it. */
static void test_spatial(void **state)
{
    (void)state;
    Err err = {0};
    Statistics *stats, *back;
    assert_ok(statistics_load(INCEPTION_GOLDEN("stats/adm_style_ref.npz"), &stats, &err), err);
    assert_non_null(stats->spatial);
    assert_int_equal(stats->spatial->dim, 49);
    assert_null(stats->spatial->spatial);
    Npz *npz = npz_open(INCEPTION_GOLDEN("stats/adm_style_ref.npz"), &err);
    NpyArray mu, sigma;
    assert_ok(npz_read(npz, "mu_s", SIZE_MAX, &mu, &err) && npz_read(npz, "sigma_s", SIZE_MAX, &sigma, &err), err);
    for (int i = 0; i < 49; i++)
        assert_true(stats->spatial->mu[i] == npy_at(&mu, i));
    for (int i = 0; i < 49 * 49; i++)
        assert_near(stats->spatial->sigma[i], npy_at(&sigma, i), 1e-15, "sigma_s", i);
    npy_free(&mu);
    npy_free(&sigma);
    npz_close(npz);
    char *folder = test_folder(), *path = xasprintf("%s/statistics.npz", folder);
    stats->count = 8;
    assert_ok(statistics_save(path, stats, &err), err);
    assert_ok(statistics_load(path, &back, &err), err);
    assert_int_equal(back->count, 8);
    assert_memory_equal(back->spatial->mu, stats->spatial->mu, 49 * sizeof(double));
    assert_memory_equal(back->spatial->sigma, stats->spatial->sigma, 49 * 49 * sizeof(double));
    statistics_free(back);
    stats->spatial->sigma[1] += 1;
    assert_ok(statistics_save(path, stats, &err), err);
    assert_err(statistics_load(path, &back, &err), err, path, "mu_s and sigma_s", "not symmetric");
    statistics_free(stats);
    free(path);
    test_folder_remove(folder);
}

static void test_check(void **state)
{
    (void)state;
    Err err = {0};
    Statistics *stats = small();
    stats->sigma[1] += 1e-9; /* rounding: averaged away */
    assert_ok(statistics_check(stats, "x", &err), err);
    assert_true(stats->sigma[1] == stats->sigma[2]);
    stats->sigma[1] = 0.6;
    assert_err(statistics_check(stats, "ref.npz", &err), err, "ref.npz", "not symmetric", "[0,1]");
    stats->sigma[1] = 0.5;
    stats->sigma[3] = -1;
    assert_err(statistics_check(stats, "ref.npz", &err), err, "variance of feature 1");
    stats->sigma[3] = NAN;
    assert_err(statistics_check(stats, "ref.npz", &err), err, "covariance", "nan", "element 3");
    stats->mu[0] = INFINITY;
    assert_err(statistics_check(stats, "ref.npz", &err), err, "mean", "inf");
    statistics_free(stats);
}

/* Effects of rounding on a covariance are repaired, and nothing else. */
static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        double sigma[4];
        bool good;
    } rows[] = {
        {{2, 0.1, 0.1, -1.7e-15}, true},
        {{2, 0.1, 0.1, -1.9e-8}, true},
        {{2, 0.1, 0.1, -3e-8}, false},
        {{0.25f, 0.131444f, 0.13144404f, 0.5f}, true}, /* float32 numbers, whatever they are stored as */
        {{0.25f, 0.131444f, 0.13145404f, 0.5f}, false},
        {{0.25, 0.131444, 0.131444 + 4e-8, 0.5}, false}, /* float64 numbers have no such excuse */
        {{0.25f, 0, 0, -1e-6f}, true},
        {{0.25f, 0, 0, -1e-5f}, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        Statistics *stats = small();
        memcpy(stats->sigma, rows[i].sigma, sizeof rows[i].sigma);
        if (statistics_check(stats, "x", &err) != rows[i].good)
            fail_msg("row %zu: %s", i, rows[i].good ? err.text : "it was taken");
        if (rows[i].good)
            assert_true(stats->sigma[3] >= 0 && stats->sigma[1] == stats->sigma[2]);
        statistics_free(stats);
    }
    Err err = {0};
    Statistics *stats = small();
    memcpy(stats->sigma, rows[5].sigma, sizeof rows[5].sigma);
    assert_err(statistics_check(stats, "x", &err), err, "0.131444 at [0,1]", "0.13144404 at [1,0]");
    statistics_free(stats);
}

static void copy_to(const char *from, const char *to)
{
    char *command = xasprintf("cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
    free(command);
}

/* The content says what a file is. */
static void test_names_do_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"REF.NPZ", "ref", "ref.npz?download=true", "ref.pth"},
                             *const files[] = {INCEPTION_GOLDEN("stats/stats_savez.npz"),
                                               INCEPTION_GOLDEN("stats/statistic_f64.pth"),
                                               INCEPTION_GOLDEN("stats/statistic_legacy.pth")};
    for (size_t f = 0; f < countof(files); f++)
        for (size_t n = 0; n < countof(names); n++) {
            Err err = {0};
            Statistics *stats;
            char *folder = test_folder(), *path = xasprintf("%s/%s", folder, names[n]);
            copy_to(files[f], path);
            assert_ok(statistics_load(path, &stats, &err), err);
            check_golden(stats, 3e-7);
            statistics_free(stats);
            free(path);
            test_folder_remove(folder);
        }
}

static void write_npz(const char *path, const char *mu, int mu_ndim, int64_t *mu_shape, const char *sigma,
                      int64_t *sigma_shape)
{
    Err err = {0};
    static double zeros[8192];
    NpzWriter *writer = npz_writer_open(path, &err);
    size_t mu_bytes = sizeof(double) * (size_t)(mu_ndim == 1 ? mu_shape[0] : mu_shape[0] * mu_shape[1]);
    assert_ok(npz_writer_begin(writer, mu, DTYPE_F64, mu_ndim, mu_shape, &err) &&
                  npz_writer_add(writer, zeros, mu_bytes, &err) &&
                  npz_writer_begin(writer, sigma, DTYPE_F64, 2, sigma_shape, &err) &&
                  npz_writer_add(writer, zeros, sizeof(double) * (size_t)(sigma_shape[0] * sigma_shape[1]), &err) &&
                  npz_writer_finish(writer, &err),
              err);
}

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    Statistics *stats;
    char *folder = test_folder(), *path = xasprintf("%s/a.npz", folder);
    assert_err(statistics_load(INCEPTION_GOLDEN("stats/adm_style_samples.npz"), &stats, &err), err, "arr_0",
               "no mu and sigma");
    assert_err(statistics_load(INCEPTION_GOLDEN("net/inception_w16.pth"), &stats, &err), err, "inception_w16.pth",
               "m and s");
    assert_err(statistics_load("/nonexistent/statistic.pth", &stats, &err), err, "/nonexistent/statistic.pth");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_err(statistics_load(folder, &stats, &err), err, "statistic.pth"); /* a folder without one */
    write_npz(path, "mu", 1, (int64_t[]){3}, "sigma", (int64_t[]){4, 4});
    assert_err(statistics_load(path, &stats, &err), err, path, "3 features", "4x4");
    write_npz(path, "mu", 2, (int64_t[]){2, 2}, "sigma", (int64_t[]){2, 2});
    assert_err(statistics_load(path, &stats, &err), err, path, "2 dimensions");
    write_npz(path, "mean", 1, (int64_t[]){2}, "sigma", (int64_t[]){2, 2});
    assert_err(statistics_load(path, &stats, &err), err, path, "no mu and sigma", "mean, sigma");
    write_npz(path, "mu", 1, (int64_t[]){5000}, "sigma", (int64_t[]){1, 1});
    assert_err(statistics_load(path, &stats, &err), err, path, "5000 features", "1 to 4096 features");
    free(path);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers), cmocka_unit_test(test_fortran),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_spatial),
        cmocka_unit_test(test_check),      cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_rounding),   cmocka_unit_test(test_names_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
