/* Checkpoints: every container of the golden files gives the same numbers, under the names of the golden cases. */
#include "tests/test.h"

#include <math.h>

#include "worker/ckpt.h"
#include "worker/npy.h"

static int64_t count_of(const CkptTensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->ndim; i++)
        count *= t->shape[i];
    return count;
}

static Ckpt *open_ok(const char *path)
{
    Err err = {0};
    Ckpt *ckpt = ckpt_open(path, &err);
    if (!ckpt)
        fail_msg("%s", err.text);
    return ckpt;
}

static float *read_ok(const Ckpt *ckpt, const CkptTensor *t)
{
    Err err = {0};
    float *numbers = xmalloc((size_t)count_of(t) * sizeof *numbers + 4);
    assert_ok(ckpt_read(ckpt, t->name, t->ndim, t->shape, numbers, &err), err);
    return numbers;
}

/* Every floating tensor of `path` is one of `base` with the same shape and, within relative `bound`, the same numbers. */
static void same_numbers(const char *base_path, const char *path, const char *root, double bound)
{
    Ckpt *base = open_ok(base_path), *other = open_ok(path);
    assert_string_equal(ckpt_root(other), root);
    assert_int_equal(ckpt_count(other), ckpt_count(base));
    for (int i = 0; i < ckpt_count(other); i++) {
        const CkptTensor *t = ckpt_at(other, i), *want = ckpt_find(base, t->name);
        if (!want)
            fail_msg("%s: %s is not in %s", path, t->name, base_path);
        if (t->dtype > DTYPE_F64)
            continue;
        assert_int_equal(t->ndim, want->ndim);
        assert_memory_equal(t->shape, want->shape, (size_t)t->ndim * sizeof t->shape[0]);
        float *a = read_ok(other, t), *b = read_ok(base, want);
        for (int64_t k = 0; k < count_of(t); k++)
            if (!(fabs((double)a[k] - (double)b[k]) <= bound * fabs((double)b[k]) + bound * 1e-3))
                fail_msg("%s: %s[%lld] is %g, wanted %g", path, t->name, (long long)k, (double)a[k], (double)b[k]);
        free(a);
        free(b);
    }
    ckpt_close(base);
    ckpt_close(other);
}

static void test_variants(void **state)
{
    (void)state;
    static const struct {
        const char *base, *path, *root;
        double bound;
    } rows[] = {
#define TINY GOLDEN("llamagen/tiny/")
        {TINY "teacher.pt", TINY "variants/teacher.safetensors", "", 0},
        {TINY "teacher.pt", TINY "variants/teacher_bf16.pt", "model", 1.0 / 256},
        {TINY "teacher.pt", TINY "variants/teacher_fp16.pt", "model", 1.0 / 2048},
        {TINY "teacher.pt", TINY "variants/teacher_legacy_format.pt", "model", 0},
        {TINY "teacher.pt", TINY "variants/teacher_one_storage.pt", "model", 0},
        {TINY "teacher.pt", TINY "variants/teacher_strided.pt", "model", 0},
        {TINY "student.pt", TINY "variants/student_parameters.pt", "ema", 0},
#define NET GOLDEN("inception/net/inception_w16")
        {NET ".pth", NET "_legacy.pth", "", 0},
        {NET ".pth", NET ".safetensors", "", 0},
    };
    for (size_t i = 0; i < countof(rows); i++)
        same_numbers(rows[i].base, rows[i].path, rows[i].root, rows[i].bound);
}

/* Mean and covariance in every container, numpy arrays inside the pickle or tensors, against the .npz. */
static void test_statistics(void **state)
{
    (void)state;
    static const struct {
        const char *path, *sigma; /* sigma: a .npy of its own, or NULL */
        bool wide_mean;           /* the mean was kept in float64 */
    } rows[] = {
#define STATS GOLDEN("inception/stats/")
        {STATS "dd/statistic.pth", NULL, false},      {STATS "statistic_f64.pth", NULL, true},
        {STATS "statistic_legacy.pth", NULL, false},  {STATS "statistic_tensors.pth", NULL, false},
        {STATS "statistic_numpy2.pth", NULL, false},  {STATS "statistic_fortran.pth", STATS "statistic_fortran_s.npy", false},
    };
    enum { D = 64 };
    Err err = {0};
    NpyArray mu, sigma, own;
    Npz *npz = npz_open(STATS "stats_savez.npz", &err);
    assert_ok(npz && npz_read(npz, "mu", &mu, &err) && npz_read(npz, "sigma", &sigma, &err), err);
    for (size_t i = 0; i < countof(rows); i++) {
        Ckpt *ckpt = open_ok(rows[i].path);
        double m[D], s[D * D];
        assert_ok(ckpt_read_f64(ckpt, "m", 1, (int64_t[]){D}, m, &err), err);
        assert_ok(ckpt_read_f64(ckpt, "s", 2, (int64_t[]){D, D}, s, &err), err);
        for (int k = 0; k < D; k++) {
            double want = mu.dtype == DTYPE_F32 ? (double)((float *)mu.data)[k] : ((double *)mu.data)[k];
            if (!(fabs(m[k] - want) <= 1e-6)) /* some files have the mean in float32, summed in float32 */
                fail_msg("%s: m[%d] is %.17g, wanted %.17g", rows[i].path, k, m[k], want);
        }
        if (rows[i].sigma)
            assert_ok(npy_open(rows[i].sigma, &own, &err), err);
        assert_memory_equal(s, rows[i].sigma ? own.data : sigma.data, sizeof s);
        if (rows[i].sigma)
            npy_free(&own);
        assert_int_equal(ckpt_find(ckpt, "m")->dtype, rows[i].wide_mean ? DTYPE_F64 : DTYPE_F32);
        ckpt_close(ckpt);
    }
    npy_free(&mu);
    npy_free(&sigma);
    npz_close(npz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
