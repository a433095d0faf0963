/* Checkpoints: every container of the golden files gives the same numbers, every shape of make_pt.py's good files is
 * read, and each of its bad ones ends in one sentence that names the file and what is wrong with it. */
#include "tests/folder.h"

#include <math.h>

#include "worker/arrays/npy.h"
#include "worker/checkpoints/checkpoint.h"
#include "worker/files/map.h"

static int setup(void **state)
{
    static const char script[] = "checkpoints/make_pt.py";
    static const char *const kinds[] = {"good", "bad", "odd", "parts"};
    folder_make(state);
    for (size_t i = 0; i < countof(kinds); i++)
        if (folder_script(script, kinds[i], kinds[i], "") != 0)
            return 1;
    return folder_script(script, "golden", "golden", MADE("llamagen/tiny"));
}

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

/* Every floating tensor of `path` is one of `base` with the same shape and, within relative `bound`, the same numbers.
 */
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
#define TINY MADE("llamagen/tiny/")
        {TINY "student.safetensors", "student.pt", "ema", 0},
        {TINY "teacher.safetensors", "teacher.pt", "model", 0},
        {TINY "vq.safetensors", "vq.pt", "model", 0},
        {TINY "teacher.safetensors", "teacher_bf16.pt", "model", 1.0 / 256},
        {TINY "teacher.safetensors", "teacher_fp16.pt", "model", 1.0 / 2048},
        {TINY "teacher.safetensors", "teacher_one_storage.pt", "model", 0},
        {TINY "teacher.safetensors", "teacher_strided.pt", "model", 0},
        {TINY "teacher.safetensors", "teacher_legacy.pt", "model", 0},
        {TINY "student.safetensors", "student_parameters.pt", "ema", 0},
#define NET GOLDEN("inception/net/inception_w16")
        {NET ".pth", NET "_legacy.pth", "", 0},
        {NET ".pth", NET ".safetensors", "", 0},
    };
    for (size_t i = 0; i < countof(rows); i++) { /* a bare name is a file of make_pt.py's */
        char *made = xasprintf("%s/golden/%s", folder, rows[i].path);
        same_numbers(rows[i].base, strchr(rows[i].path, '/') ? rows[i].path : made, rows[i].root, rows[i].bound);
        free(made);
    }
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
        {STATS "dd/statistic.pth", NULL, false},
        {STATS "statistic_f64.pth", NULL, true},
        {STATS "statistic_legacy.pth", NULL, false},
        {STATS "statistic_tensors.pth", NULL, false},
        {STATS "statistic_numpy2.pth", NULL, false},
        {STATS "statistic_fortran.pth", STATS "statistic_fortran_s.npy", false},
    };
    enum { D = 64 };
    Err err = {0};
    NpyArray mu, sigma, own;
    Npz *npz = npz_open(STATS "stats_savez.npz", &err);
    assert_ok(npz && npz_read(npz, "mu", SIZE_MAX, &mu, &err) && npz_read(npz, "sigma", SIZE_MAX, &sigma, &err), err);
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

/* Every file has a.weight [2,3], a.bias [3] and n, which count 0, 1, 2, ...; the rows say where it differs. */
static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *name, *root, *type; /* type: of a.weight */
    } rows[] = {
        {"bare", "", "float32"},
        {"module", "module", "float32"},
        {"state_dict", "state_dict", "float32"},
        {"ema_first", "ema", "float32"},
        {"ema_without_tensors", "model", "float32"},
        {"nested", "state_dict.model.module", "float32"},
        {"data_parallel", "model", "float32"},
        {"compiled", "model", "float32"},
        {"ordered", "model", "float32"},
        {"objects_beside", "model", "float32"},
        {"legacy", "", "float32"},
        {"legacy_view", "", "float32"},
        {"safetensors", "", "F32"},
        {"protocol1", "", "float32"},
        {"protocol2", "", "float32"},
        {"protocol3", "", "float32"},
        {"protocol4", "", "float32"},
        {"protocol5", "", "float32"},
        {"numpy2", "", "f4"},
        {"numpy3", "", "f4"},
        {"numpy4", "", "f4"},
        {"numpy5", "", "f4"},
        {"plain2", "", "f4"},
        {"plain3", "", "f4"},
        {"plain4", "", "f4"},
        {"plain5", "", "f4"},
        {"type_f4", "", "float32"},
        {"type_f2", "", "float16"},
        {"type_f8", "", "float64"},
        {"type_bf", "", "bfloat16"},
        {"strided", "", "float32"},
        {"parameters", "", "float32"},
        {"parameters_with_state", "", "float32"},
        {"typed", "", "float32"},
        {"untyped", "", "float32"},
        {"flags_off", "", "float32"},
        {"wrapped0", "model", "float32"},
        {"wrapped1", "model", "float32"},
        {"wrapped2", "model", "float32"},
        {"wrapped3", "model", "float32"},
        {"lightning", "state_dict.model", "float32"},
        {"dicts_in_dicts", "model", "float32"},
        {"safetensors_lightning", "model", "F32"},
        {"optimizer_beside", "", "float32"},
        {"damage_elsewhere", "model", "float32"},
        {"without_crc", "", "float32"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        char *path = xasprintf("%s/good/%s.pt", folder, rows[i].name);
        Ckpt *ckpt = open_ok(path);
        float weight[6];
        double bias[3];
        assert_string_equal(ckpt_root(ckpt), rows[i].root);
        assert_int_equal(ckpt_count(ckpt), 3);
        assert_non_null(ckpt_find(ckpt, "n"));
        assert_ok(ckpt_read(ckpt, "a.weight", 2, (int64_t[]){2, 3}, weight, &err), err);
        assert_ok(ckpt_read_f64(ckpt, "a.bias", 1, (int64_t[]){3}, bias, &err), err);
        assert_string_equal(ckpt_find(ckpt, "a.weight")->type, rows[i].type);
        for (int k = 0; k < 6; k++)
            if (weight[k] != (float)k || (k < 3 && bias[k] != (double)k))
                fail_msg("%s: number %d is %g and %g", path, k, (double)weight[k], k < 3 ? bias[k] : NAN);
        ckpt_close(ckpt);
        free(path);
    }
}

/* A file without any of the known roots: {"a": {"weight", "bias"}, "": {}, "n": {"x"}}. */
static void test_groups(void **state)
{
    (void)state;
    Err err = {0};
    char *path = xasprintf("%s/good/groups.pt", folder);
    Ckpt *ckpt = open_ok(path);
    float weight[6];
    assert_string_equal(ckpt_root(ckpt), "");
    assert_int_equal(ckpt_count(ckpt), 3);
    assert_ok(ckpt_read(ckpt, "a.weight", 2, (int64_t[]){2, 3}, weight, &err), err);
    assert_true(weight[5] == 5);
    assert_non_null(ckpt_find(ckpt, "n.x"));
    ckpt_close(ckpt);
    free(path);
}

static void test_bad(void **state)
{
    (void)state;
    char *list = xasprintf("%s/bad/bad.tsv", folder), line[500];
    FILE *rows = fopen(list, "r");
    assert_non_null(rows);
    int count = 0;
    for (; fgets(line, sizeof line, rows); count++) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = 0;
        tab[1 + strcspn(tab + 1, "\n")] = 0;
        Err err = {0};
        char *path = xasprintf("%s/bad/%s", folder, line);
        assert_err(ckpt_open(path, &err), err, "checkpoint ", path, tab + 1);
        assert_int_equal(err.kind, ERR_FORMAT);
        free(path);
    }
    fclose(rows);
    free(list);
    if (count < 80)
        fail_msg("only %d bad files were tried", count);
    assert_int_not_equal(access("HACKED", F_OK), 0);
}

/* Beside good weights, a tensor x that cannot be read: the file opens, x alone is refused, and it was not read. */
static void test_odd(void **state)
{
    (void)state;
    static const CkptUnneeded known[] = {{"?", "of no use here"}};
    char *list = xasprintf("%s/odd/odd.tsv", folder), line[500];
    FILE *rows = fopen(list, "r");
    assert_non_null(rows);
    int count = 0;
    for (; fgets(line, sizeof line, rows); count++) {
        Err err = {0};
        char *tab = strchr(line, '\t');
        *tab = 0;
        tab[1 + strcspn(tab + 1, "\n")] = 0;
        char *path = xasprintf("%s/odd/%s", folder, line);
        Ckpt *ckpt = open_ok(path);
        float weight[6], bias[3], x[2];
        int counts[1] = {0};
        int64_t any[] = {-1};
        assert_ok(ckpt_read(ckpt, "a.weight", 2, (int64_t[]){2, 3}, weight, &err), err);
        assert_ok(ckpt_read(ckpt, "a.bias", 1, (int64_t[]){3}, bias, &err), err);
        assert_true(weight[5] == 5 && bias[2] == 2);
        assert_err(ckpt_read(ckpt, "x", 1, (int64_t[]){2}, x, &err), err, path, "tensor x: ", tab + 1);
        assert_err(ckpt_shape(ckpt, "x", 1, any, &err), err, "tensor x: ", tab + 1);
        assert_err(ckpt_all_read(ckpt, NULL, 0, NULL, &err), err, path, "2 of its tensors", "n, x", tab + 1);
        assert_ok(ckpt_all_read(ckpt, known, 1, counts, &err), err);
        assert_int_equal(counts[0], 2);
        ckpt_close(ckpt);
        free(path);
    }
    fclose(rows);
    free(list);
    assert_true(count >= 15);
}

static void test_parts(void **state)
{
    (void)state;
    char *list = xasprintf("%s/parts/parts.tsv", folder), line[800];
    FILE *rows = fopen(list, "r");
    assert_non_null(rows);
    int count = 0;
    for (; fgets(line, sizeof line, rows); count++) {
        Err err = {0};
        char *cells[4], *at = line;
        line[strcspn(line, "\n")] = 0;
        for (int i = 0; i < 4; i++)
            cells[i] = strsep(&at, "\t");
        char *path = xasprintf("%s/parts/%s", folder, cells[0]);
        const char *wanted = strcmp(cells[1], "-") ? cells[1] : NULL;
        if (cells[2][0] == '!') {
            assert_err(ckpt_open_part(path, wanted, &err), err, path, cells[2] + 1);
            free(path);
            continue;
        }
        Ckpt *ckpt = ckpt_open_part(path, wanted, &err);
        if (!ckpt)
            fail_msg("%s", err.text);
        float weight[6];
        assert_string_equal(ckpt_root(ckpt), cells[2]);
        assert_string_equal(ckpt_rivals(ckpt) ? ckpt_rivals(ckpt) : "-", cells[3]);
        assert_ok(ckpt_read(ckpt, "a.weight", 2, (int64_t[]){2, 3}, weight, &err), err);
        assert_true(weight[5] == 5);
        ckpt_close(ckpt);
        free(path);
    }
    fclose(rows);
    free(list);
    assert_true(count >= 15);
}

static void test_not_there(void **state)
{
    (void)state;
    Err err = {0};
    assert_err(ckpt_open("/no/such.pt", &err), err, "checkpoint", "/no/such.pt", "No such file");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_err(ckpt_open(folder, &err), err, folder, "is a folder");
    assert_err(ckpt_open("/dev/zero", &err), err, "/dev/zero", "device");
}

/* A file cut anywhere is refused when it is opened. */
static void test_truncated(void **state)
{
    (void)state;
    static const char *const names[] = {"bare", "legacy", "safetensors", "numpy4", "plain2"};
    for (size_t i = 0; i < countof(names); i++) {
        Err err = {0};
        FileMap map;
        char *path = xasprintf("%s/good/%s.pt", folder, names[i]);
        assert_ok(file_map(path, &map, &err), err);
        for (size_t cut = 0; cut < map.size; cut++) {
            char *copy = xmalloc(cut); /* exactly as long, so that a sanitizer sees a read past the end */
            memcpy(copy, map.data, cut);
            assert_err(ckpt_open_memory(copy, cut, "cut.pt", &err), err, "checkpoint cut.pt");
            free(copy);
        }
        file_unmap(&map);
        free(path);
    }
}

/* Each byte of a zip changed in turn: never a crash, and never other numbers. */
static void test_flipped(void **state)
{
    (void)state;
    Err err = {0};
    FileMap map;
    char *path = xasprintf("%s/good/bare.pt", folder);
    assert_ok(file_map(path, &map, &err), err);
    int refused = 0;
    for (size_t at = 0; at < map.size; at++) {
        char *copy = xmalloc(map.size);
        memcpy(copy, map.data, map.size);
        copy[at] ^= 0x41;
        float weight[6];
        Ckpt *ckpt = ckpt_open_memory(copy, map.size, "flipped.pt", &err);
        if (ckpt && ckpt_read(ckpt, "a.weight", 2, (int64_t[]){2, 3}, weight, &err))
            for (int k = 0; k < 6; k++)
                assert_true(weight[k] == (float)k);
        else
            refused++;
        ckpt_close(ckpt);
        free(copy);
    }
    if (refused < (int)map.size / 2)
        fail_msg("only %d of %zu changed bytes were noticed", refused, map.size);
    file_unmap(&map);
    free(path);
}

static void test_sentences(void **state)
{
    (void)state;
    Err err = {0};
    char *path = xasprintf("%s/golden/teacher.pt", folder);
    Ckpt *ckpt = open_ok(path);
    free(path);
    float none[1];
    int64_t shape[3] = {-1, 64, 7};
    assert_err(ckpt_read(ckpt, "norm.weigth", 1, (int64_t[]){128}, none, &err), err, "teacher.pt (model)",
               "no tensor norm.weigth", "nearest of", "names: norm.weight");
    assert_err(ckpt_read(ckpt, "model.norm.weight", 1, (int64_t[]){128}, none, &err), err, "names: norm.weight");
    assert_err(ckpt_read(ckpt, "norm.weight", 1, (int64_t[]){127}, none, &err), err,
               "tensor norm.weight is [128], wanted [127]");
    assert_err(ckpt_read(ckpt, "norm.weight", 0, NULL, none, &err), err, "tensor norm.weight is [128], wanted []");
    assert_err(ckpt_shape(ckpt, "norm.weight", 3, shape, &err), err, "is [128], wanted [any,64,7]");
    assert_int_equal(shape[0], -1);
    assert_ok(ckpt_shape(ckpt, "norm.weight", 1, shape, &err), err);
    assert_int_equal(shape[0], 128);
    ckpt_close(ckpt);

    ckpt = open_ok(GOLDEN("inception/net/inception_w16.pth"));
    assert_err(ckpt_read(ckpt, "Conv2d_1a_3x3.bn.num_batches_tracked", 0, NULL, none, &err), err,
               "is of type int64, wanted floating point");
    assert_non_null(ckpt_find_prefix(ckpt, "Mixed_5b.branch_pool."));
    assert_string_equal(ckpt_find_prefix(ckpt, "fc.")->name, "fc.bias");
    assert_null(ckpt_find_prefix(ckpt, "AuxLogits."));
    assert_null(ckpt_find_prefix(ckpt, "zzz"));
    assert_null(ckpt_find(ckpt, "fc."));
    ckpt_close(ckpt);

    path = xasprintf("%s/good/untyped.pt", folder);
    ckpt = open_ok(path);
    assert_int_equal(ckpt_find(ckpt, "n")->dtype, DTYPES);
    assert_err(ckpt_read(ckpt, "n", 1, (int64_t[]){2}, none, &err), err,
               "tensor n is of type uint16, wanted floating point");
    ckpt_close(ckpt);
    free(path);
}

/* NaN and infinity are named by their place, whatever the layout; subnormal and largest halves are exact. */
static void test_not_finite(void **state)
{
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } halves[] = {{0x0001, 0x1p-24f}, {0x8001, -0x1p-24f}, {0x03ff, 0x1.ff8p-15f}, {0x0400, 0x1p-14f},
                  {0x7bff, 65504},    {0x8000, -0.0f},     {0x3555, 0x1.554p-2f}};
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}",
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[7],\"data_offsets\":[0,14]}}",
    };
    float numbers[6] = {0, 1, 2, 3, 4, 5}, read[7];
    char file[200];
    Err err = {0};
    for (int bad = 0; bad < 6; bad++) {
        float kept = numbers[bad];
        numbers[bad] = bad % 2 ? NAN : -INFINITY;
        memcpy(file, &(uint64_t){strlen(headers[0])}, 8);
        memcpy(file + 8, headers[0], strlen(headers[0]));
        memcpy(file + 8 + strlen(headers[0]), numbers, sizeof numbers);
        numbers[bad] = kept;
        Ckpt *ckpt = ckpt_open_memory(file, 8 + strlen(headers[0]) + sizeof numbers, "nan.safetensors", &err);
        assert_ok(ckpt, err);
        char place[20];
        snprintf(place, sizeof place, "at [%d,%d]", bad / 3, bad % 3);
        assert_err(ckpt_read(ckpt, "a", 2, (int64_t[]){2, 3}, read, &err), err, "nan.safetensors", "tensor a",
                   bad % 2 ? "NaN" : "infinity", place);
        assert_int_equal(err.kind, ERR_NUMERIC);
        ckpt_close(ckpt);
    }
    memcpy(file, &(uint64_t){strlen(headers[1])}, 8);
    memcpy(file + 8, headers[1], strlen(headers[1]));
    for (size_t i = 0; i < countof(halves); i++)
        memcpy(file + 8 + strlen(headers[1]) + 2 * i, &halves[i].half, 2);
    Ckpt *ckpt = ckpt_open_memory(file, 8 + strlen(headers[1]) + 14, "half.safetensors", &err);
    assert_ok(ckpt && ckpt_read(ckpt, "a", 1, (int64_t[]){7}, read, &err), err);
    for (size_t i = 0; i < countof(halves); i++)
        assert_memory_equal(&read[i], &halves[i].value, sizeof(float));
    ckpt_close(ckpt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants), cmocka_unit_test(test_statistics), cmocka_unit_test(test_good),
        cmocka_unit_test(test_groups),   cmocka_unit_test(test_bad),        cmocka_unit_test(test_odd),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_not_there),  cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),  cmocka_unit_test(test_sentences),  cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
