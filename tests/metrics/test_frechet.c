/* The Frechet distance against closed forms and scipy, at dim 16, 64 and 2048, and input that has none. */
#include "tests/golden_arrays.h"

#include "worker/metrics/fid.h"

static Statistics *from_npz(const Npz *npz, const char *name, int which)
{
    Err err = {0};
    char *mu_name = xasprintf("%s/mu%d", name, which), *sigma_name = xasprintf("%s/sigma%d", name, which);
    NpyArray mu, sigma;
    assert_ok(npz_read(npz, mu_name, SIZE_MAX, &mu, &err), err);
    assert_ok(npz_read(npz, sigma_name, SIZE_MAX, &sigma, &err), err);
    Statistics *stats = statistics_new((int)mu.shape[0], &err);
    memcpy(stats->mu, mu.data, (size_t)mu.shape[0] * sizeof(double));
    memcpy(stats->sigma, sigma.data, (size_t)(mu.shape[0] * mu.shape[0]) * sizeof(double));
    npy_free(&mu);
    npy_free(&sigma);
    free(mu_name);
    free(sigma_name);
    return stats;
}

static Statistics *unit_gaussian(int dim)
{
    Err err = {0};
    Statistics *stats = statistics_new(dim, &err);
    for (int i = 0; i < dim; i++)
        stats->sigma[(size_t)i * (size_t)dim + (size_t)i] = 1;
    return stats;
}

static void test_cases(void **state)
{
    (void)state;
    Err err = {0};
    cJSON *json = golden_json(INCEPTION_GOLDEN("frechet/frechet_cases.json"));
    Npz *npz = npz_open(INCEPTION_GOLDEN("frechet/frechet_cases.npz"), &err);
    assert_ok(npz != NULL, err);
    int count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, golden_get(json, "cases"))
    {
        Statistics *a = from_npz(npz, item->string, 1), *b = from_npz(npz, item->string, 2);
        Frechet f, back;
        assert_ok(frechet_distance(a, b, &f, &err), err);
        assert_ok(frechet_distance(b, a, &back, &err), err);
        double expected = golden_number(item, "expected"), scale = f.mean_term + f.trace1 + f.trace2;
        assert_near(f.fid, expected, 1e-6 * scale, item->string, 0);
        assert_near(back.fid, expected, 1e-6 * scale, item->string, 1);
        assert_near(f.mean_term, golden_number(item, "mean_term"), 1e-12 * scale, item->string, 2);
        assert_near(f.trace1, golden_number(item, "trace1"), 1e-12 * scale, item->string, 3);
        assert_near(f.trace2, golden_number(item, "trace2"), 1e-12 * scale, item->string, 4);
        assert_true(f.fid >= 0 && f.fid >= f.raw);
        FrechetRoot *root = frechet_root(b, &err);
        assert_ok(root && frechet_from_root(root, a, &back, &err), err);
        assert_near(back.fid, expected, 1e-6 * scale, item->string, 5);
        frechet_root_free(root);
        /* What pytorch-fid printed; its root diverges in the case with dead features and in no other. */
        assert_ok(frechet_like_pytorch_fid(a, b, &back, &err), err);
        assert_near(back.raw, golden_number(item, "fid_scipy"), 1e-6 * scale, item->string, 6);
        assert_int_equal(back.eps, strcmp(item->string, "e_dead_dims16") == 0);
        if (back.eps)
            assert_near(back.raw, golden_number(item, "fid_symmetric_eps1e6"), 1e-10 * scale, item->string, 7);
        statistics_free(a);
        statistics_free(b);
        count++;
    }
    assert_int_equal(count, 13);
    npz_close(npz);
    cJSON_Delete(json);
}

/* Zero to the last bit, where eigenvalues of a singular covariance would leave some: rank 1 in 40. */
static void test_identical(void **state)
{
    (void)state;
    Err err = {0};
    Statistics *a = statistics_new(40, &err), *b = statistics_new(40, &err);
    for (int i = 0; i < 40; i++) {
        a->mu[i] = b->mu[i] = 0.1 * i;
        for (int j = 0; j < 40; j++)
            a->sigma[i * 40 + j] = b->sigma[i * 40 + j] = sqrt(1 + i) * sqrt(1 + j);
    }
    Frechet f;
    assert_ok(frechet_distance(a, b, &f, &err), err);
    assert_true(f.fid == 0 && f.raw == 0);
    assert_near(f.trace_sqrt, f.trace1, 0, "trace", 0);
    b->mu[3] += 0.5;
    assert_ok(frechet_distance(a, b, &f, &err), err);
    assert_near(f.fid, 0.25, 1e-9, "moved", 0);
    statistics_free(a);
    statistics_free(b);
}

/* Each set has a constant feature of its own. scipy's root diverges up to 127 features and not at 128. */
static void test_eps_branch(void **state)
{
    (void)state;
    Err err = {0};
    static const int dims[] = {16, 127, 128, 300};
    for (size_t k = 0; k < countof(dims); k++) {
        int dim = dims[k];
        Statistics *a = unit_gaussian(dim), *b = unit_gaussian(dim);
        Frechet f;
        a->sigma[0] = 0;
        assert_ok(frechet_like_pytorch_fid(a, b, &f, &err), err);
        assert_false(f.eps); /* one set alone is not enough */
        b->sigma[(size_t)dim + 1] = 0;
        assert_ok(frechet_like_pytorch_fid(a, b, &f, &err), err);
        assert_int_equal(f.eps, dim <= 127);
        /* Features 0 and 1 pair 1 with 0 (or eps), the others 1 with 1. */
        double pair = f.eps ? sqrt(1e-6 * (1 + 1e-6)) : 0, others = (dim - 2) * (f.eps ? 1 + 1e-6 : 1);
        assert_near(f.raw, 2 * (dim - 1) - 2 * (2 * pair + others), 1e-9, "distance", dim);
        a->sigma[(size_t)dim + 1] = b->sigma[0] = 0; /* dead in both: no divergence either */
        assert_ok(frechet_like_pytorch_fid(a, b, &f, &err), err);
        assert_false(f.eps);
        statistics_free(a);
        statistics_free(b);
    }
}

static void test_must_fail(void **state)
{
    (void)state;
    Err err = {0};
    Frechet f;
    Statistics *a = unit_gaussian(64), *b = unit_gaussian(2048), *c = unit_gaussian(64);
    assert_err(frechet_distance(a, b, &f, &err), err, "64", "2048");
    c->sigma[5] = NAN;
    assert_err(frechet_distance(a, c, &f, &err), err, "second", "0,5");
    assert_int_equal(err.kind, ERR_NUMERIC);
    c->sigma[5] = 0;
    c->mu[7] = INFINITY;
    assert_err(frechet_distance(c, a, &f, &err), err, "first", "mean", "7");
    statistics_free(a);
    statistics_free(b);
    statistics_free(c);
}

/* --- dim 2048 ------------------------------------------------------------------------------------ */

enum { BIG = 2048, PATTERNS = 8 };

static Statistics *big_set(char set, int n, double shift, double *ret_sum)
{
    Err err = {0};
    char *u_key = xasprintf("big/%c/u", set), *a_key = xasprintf("big/%c/a", set);
    uint64_t u_stream = stream_open(u_key), a_stream = stream_open(a_key), b_stream = stream_open("big/b");
    double *b = xmalloc(sizeof(double) * PATTERNS * BIG), x[BIG];
    float *row = xmalloc(sizeof(float) * BIG);
    for (uint64_t i = 0; i < PATTERNS * BIG; i++)
        b[i] = 2 * stream_at(b_stream, i) - 1;
    Moments *m = moments_new(BIG);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < BIG; j++)
            x[j] = 0.35 + shift + 0.5 * (2 * stream_at(u_stream, (uint64_t)i * BIG + (uint64_t)j) - 1);
        for (int r = 0; r < PATTERNS; r++) {
            double a = 2 * stream_at(a_stream, (uint64_t)i * PATTERNS + (uint64_t)r) - 1;
            for (int j = 0; j < BIG; j++)
                x[j] += 0.4 * a * b[r * BIG + j];
        }
        for (int j = 0; j < BIG; j++) {
            row[j] = (float)(x[j] > 0 ? x[j] : 0);
            *ret_sum += (double)row[j];
        }
        assert_ok(moments_add(m, row, 1, &err), err);
    }
    Statistics *stats;
    assert_ok(moments_finish(m, &stats, &err), err);
    moments_free(m);
    free(b);
    free(row);
    free(u_key);
    free(a_key);
    return stats;
}

static void test_big(void **state)
{
    (void)state;
    Err err = {0};
    cJSON *json = golden_json(INCEPTION_GOLDEN("frechet/big_2048.json"));
    const cJSON *cases = golden_get(json, "cases"), *check = golden_get(json, "check");
    double sum_b = 0;
    Statistics *b = big_set('B', 2500, 0.03, &sum_b);
    assert_near(sum_b, golden_number(golden_get(check, "B"), "sum"), 1e-6, "sum of B", 0);
    static const struct {
        char set;
        int n;
        const char *name;
        double tolerance;
    } rows[] = {{'A', 3000, "full_rank", 2e-10}, {'C', 1000, "rank_deficient", 2e-9}};
    for (size_t i = 0; i < countof(rows); i++) {
        double sum = 0;
        char key[2] = {rows[i].set, 0};
        Statistics *a = big_set(rows[i].set, rows[i].n, 0, &sum);
        assert_near(sum, golden_number(golden_get(check, key), "sum"), 1e-6, "sum", 0);
        double expected = golden_number(golden_get(cases, rows[i].name), "fid_gram_exact");
        Frechet f;
        assert_ok(frechet_distance(a, b, &f, &err), err);
        assert_near(f.fid, expected, rows[i].tolerance, rows[i].name, 0);
        assert_ok(frechet_distance(b, a, &f, &err), err);
        assert_near(f.fid, expected, rows[i].tolerance, rows[i].name, 1);
        FrechetRoot *root = frechet_root(b, &err);
        assert_ok(root && frechet_from_root(root, a, &f, &err), err);
        assert_near(f.fid, expected, rows[i].tolerance, rows[i].name, 2);
        frechet_root_free(root);
        statistics_free(a);
    }
    statistics_free(b);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),     cmocka_unit_test(test_identical), cmocka_unit_test(test_eps_branch),
        cmocka_unit_test(test_must_fail), cmocka_unit_test(test_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
