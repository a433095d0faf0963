/* The teacher by itself: golden logits, the cache against prefill, cfg_interval, and the filters of a draw. */
#include "tests/models/golden.h"

#include "worker/models/teacher.h"

enum { MAX_TOKENS = 256, MAX_BATCH = 3 };
static const double BOUND = 2e-4, PROBABILITY_BOUND = 1e-5;

typedef struct Rig {
    const GoldenSet *set;
    Backend *be;
    Npz *npz;
    NpyArray label;
    Teacher teacher;
    Workspace workspace;
    TeacherWork work;
    int32_t ids[MAX_BATCH * MAX_TOKENS];
    float margin[MAX_BATCH * MAX_TOKENS], *logits;
} Rig;

/* The teacher's checkpoint without its second layer. */
static bool one_layer_has(const void *ctx, const char *name)
{
    return strncmp(name, "layers.1.", 9) != 0 && ckpt_find(ctx, name);
}

static void rig_open_layers(Rig *rig, const GoldenSet *set, bool one_layer)
{
    Err err = {0};
    memset(rig, 0, sizeof *rig);
    rig->set = set;
    rig->be = golden_backend();
    assert_ok(rig->npz = npz_open(set->expected, &err), err);
    rig->label = golden_array(rig->npz, "label");
    Ckpt *ckpt = ckpt_open(set->teacher, &err);
    assert_ok(ckpt, err);
    Weights weights = weights_of_ckpt(ckpt);
    if (one_layer)
        weights.has = one_layer_has, weights.name = NULL;
    assert_ok(teacher_load(&rig->teacher, &weights, rig->be, 0, set->grid, &err), err);
    ckpt_close(ckpt);
    teacher_layout(&rig->teacher, &rig->workspace, set->batch, &rig->work);
    assert_ok(workspace_open(&rig->workspace, rig->be, &err), err);
    teacher_layout(&rig->teacher, &rig->workspace, set->batch, &rig->work);
    teacher_work_open(&rig->teacher, set->batch, &rig->work);
    rig->logits = xcalloc((size_t)set->batch * (size_t)rig->teacher.tf.codes, sizeof(float));
}

static void rig_open(Rig *rig, const GoldenSet *set)
{
    rig_open_layers(rig, set, false);
}

static void rig_close(Rig *rig)
{
    teacher_work_close(&rig->work);
    workspace_close(&rig->workspace);
    teacher_free(&rig->teacher);
    npy_free(&rig->label);
    npz_close(rig->npz);
    backend_close(rig->be);
    free(rig->logits);
}

static TeacherDraw draw_of(const Rig *rig, int start, int end, const int32_t *prefix, float cfg_scale)
{
    return (TeacherDraw){.b = rig->set->batch,
                         .start = start,
                         .end = end,
                         .labels = rig->label.data,
                         .prefix = prefix,
                         .cfg_scale = cfg_scale,
                         .cfg_interval = -1,
                         .top_p = 1,
                         .temperature = 1};
}

/* Into rig->ids, margin and logits. */
static void draw_all(Rig *rig, const TeacherDraw *draw)
{
    Err err = {0};
    TeacherResult result = {rig->ids, rig->margin, rig->logits};
    assert_ok(teacher_draw(&rig->teacher, &rig->work, draw, &result, &err), err);
}

/* The first n of every sequence's `wide` ids. */
static void copy_prefix(const int32_t *ids, int b, int wide, int n, int32_t *dst)
{
    for (int i = 0; i < b; i++)
        memcpy(dst + i * n, ids + i * wide, (size_t)n * sizeof *dst);
}

static void check_case(Rig *rig, const char *name, int start, int end, float cfg_scale)
{
    NpyArray ids = golden_case(rig->npz, "teacher", name, "ids"),
             want = golden_case(rig->npz, "teacher", name, "last_logits");
    NpyArray margin = golden_case(rig->npz, "teacher", name, "margin");
    int32_t prefix[MAX_BATCH * MAX_TOKENS];
    int b = rig->set->batch, count = end - start;
    copy_prefix(ids.data, b, end, start, prefix);
    TeacherDraw draw = draw_of(rig, start, end, prefix, cfg_scale);
    draw_all(rig, &draw);
    for (int i = 0; i < b; i++)
        assert_memory_equal(rig->ids + i * count, (int32_t *)ids.data + i * end + start,
                            (size_t)count * sizeof(int32_t));
    double error = golden_max_error(rig->logits, want.data, (size_t)b * (size_t)rig->teacher.tf.codes);
    double off = golden_max_error(rig->margin, margin.data, (size_t)(b * count));
    print_message("%-5s %-12s last logits off by %.2g, margins by %.2g of %.2g\n", rig->set->name, name, error, off,
                  2 * BOUND);
    assert_true(error <= BOUND);
    assert_true(off <= 2 * BOUND);
    npy_free(&ids);
    npy_free(&want);
    npy_free(&margin);
}

static void test_tiny(void **state)
{
    (void)state;
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[0]);
    check_case(&rig, "start_mid", 4, 8, 2.0f);
    check_case(&rig, "start_zero", 0, 8, 2.0f);
    check_case(&rig, "no_guidance", 4, 8, 1.0f);
    check_case(&rig, "to_the_end", 12, 16, 1.5f);
    rig_close(&rig);
}

static void test_small(void **state)
{
    (void)state;
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[1]);
    check_case(&rig, "22step", 60, 80, 2.0f);
    check_case(&rig, "42step", 40, 80, 2.0f);
    check_case(&rig, "81step", 0, 80, 2.0f);
    rig_close(&rig);
}

/* Token by token through the cache, or all earlier tokens at once: the same tokens and logits. */
static void check_cache_equals_prefill(bool one_layer)
{
    enum { END = 16 };
    Rig rig;
    rig_open_layers(&rig, &GOLDEN_SETS[0], one_layer);
    assert_int_equal(rig.teacher.tf.layers, one_layer ? 1 : 2);
    int b = rig.set->batch;
    TeacherDraw draw = draw_of(&rig, 0, END, NULL, 2.0f);
    draw_all(&rig, &draw);
    int32_t ids[MAX_BATCH * END], prefix[MAX_BATCH * END];
    float margin[MAX_BATCH * END];
    memcpy(ids, rig.ids, sizeof ids);
    memcpy(margin, rig.margin, sizeof margin);
    for (int k = 1; k < END; k++) {
        copy_prefix(ids, b, END, k, prefix);
        draw = draw_of(&rig, k, k + 1, prefix, 2.0f);
        draw_all(&rig, &draw);
        for (int i = 0; i < b; i++) {
            assert_int_equal(rig.ids[i], ids[i * END + k]);
            assert_true(fabs((double)rig.margin[i] - (double)margin[i * END + k]) < BOUND);
        }
    }
    rig_close(&rig);
}

static void test_cache_equals_prefill(void **state)
{
    (void)state;
    check_cache_equals_prefill(false);
}

static void test_one_layer(void **state)
{
    (void)state;
    check_cache_equals_prefill(true);
}

/* New tokens 0 .. interval+1 are guided, later ones see their class alone. */
static void test_cfg_interval(void **state)
{
    (void)state;
    enum { END = 12, START = 3 };
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[0]);
    int b = rig.set->batch, differ = 0;
    int32_t first[MAX_BATCH * START], ids[MAX_BATCH * END], prefix[MAX_BATCH * END];
    for (int i = 0; i < b * START; i++)
        first[i] = 7 * i % 96;
    for (int interval = 0; interval < END - START; interval++) {
        int count = END - START;
        TeacherDraw draw = draw_of(&rig, START, END, first, 3.0f);
        draw.cfg_interval = interval;
        draw_all(&rig, &draw);
        memcpy(ids, rig.ids, sizeof ids);
        for (int k = 0; k < count; k++) { /* each token again, alone, after the tokens before it */
            for (int i = 0; i < b; i++) {
                memcpy(prefix + i * (START + k), first + i * START, START * sizeof *prefix);
                memcpy(prefix + i * (START + k) + START, ids + i * count, (size_t)k * sizeof *prefix);
            }
            draw = draw_of(&rig, START + k, START + k + 1, prefix, k <= interval + 1 ? 3.0f : 1.0f);
            draw_all(&rig, &draw);
            for (int i = 0; i < b; i++)
                assert_int_equal(rig.ids[i], ids[i * count + k]);
            draw.cfg_scale = k <= interval + 1 ? 1.0f : 3.0f;
            draw_all(&rig, &draw);
            for (int i = 0; i < b; i++)
                differ += rig.ids[i] != ids[i * count + k];
        }
    }
    assert_true(differ > 0); /* else guidance changes nothing here and the test is void */
    rig_close(&rig);
}

/* Draws are distributed as the filtered logits say, and every draw is a token that the filter kept. */
static void test_draws_follow_the_filter(void **state)
{
    (void)state;
    enum { DRAWS = 600, TOP_K = 3 };
    Err err = {0};
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[0]);
    int b = rig.set->batch, v = rig.teacher.tf.codes, tokens = rig.teacher.tf.tokens;
    TeacherDraw draw = draw_of(&rig, 0, 1, NULL, 2.0f);
    draw_all(&rig, &draw);
    float *logits = xmalloc((size_t)b * (size_t)v * sizeof *logits), uniform[MAX_BATCH * MAX_TOKENS];
    memcpy(logits, rig.logits, (size_t)b * (size_t)v * sizeof *logits);
    int *seen = xcalloc((size_t)b * (size_t)v, sizeof *seen);
    draw.top_k = TOP_K;
    draw.uniform = uniform;
    for (int n = 0; n < DRAWS; n++) {
        for (int i = 0; i < b; i++)
            uniform[i * tokens] = ((float)n + 0.5f) / DRAWS;
        TeacherResult result = {rig.ids, rig.margin, NULL};
        assert_ok(teacher_draw(&rig.teacher, &rig.work, &draw, &result, &err), err);
        for (int i = 0; i < b; i++)
            seen[i * v + rig.ids[i]]++;
    }
    for (int i = 0; i < b; i++) {
        double sum = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int j = 0; j < v; j++) {
                int above = 0;
                for (int other = 0; other < v; other++)
                    above += logits[i * v + other] > logits[i * v + j];
                double weight = above < TOP_K ? exp((double)logits[i * v + j]) : 0;
                if (!pass)
                    sum += weight;
                else
                    assert_true(fabs(seen[i * v + j] - DRAWS * weight / sum) <= 1.01); /* uniforms are evenly spaced */
            }
    }
    free(seen);
    free(logits);
    rig_close(&rig);
}

static void test_golden_filters(void **state)
{
    (void)state;
    static const struct {
        int set;
        const char *name;
        int top_k;
        float top_p, temperature;
    } rows[] = {
        {0, "k0_p1.0_t1.0", 0, 1, 1},    {0, "k20_p1.0_t1.0", 20, 1, 1},
        {0, "k0_p0.8_t1.0", 0, 0.8f, 1}, {0, "k20_p0.8_t0.7", 20, 0.8f, 0.7f},
        {0, "k1_p1.0_t1.0", 1, 1, 1},    {0, "k101_p0.95_t1.3", 101, 0.95f, 1.3f},
        {1, "k0_p1.0_t1.0", 0, 1, 1},    {1, "k20_p1.0_t1.0", 20, 1, 1},
        {1, "k0_p0.8_t1.0", 0, 0.8f, 1}, {1, "k20_p0.8_t0.7", 20, 0.8f, 0.7f},
        {1, "k1_p1.0_t1.0", 1, 1, 1},    {1, "k1029_p0.95_t1.3", 1029, 0.95f, 1.3f},
    };
    Err err = {0};
    Backend *be = golden_backend();
    for (size_t r = 0; r < countof(rows); r++) {
        Npz *npz = npz_open(GOLDEN_SETS[rows[r].set].expected, &err);
        assert_ok(npz, err);
        NpyArray logits = golden_array(npz, "filter.logits");
        char *name = xasprintf("filter.%s", rows[r].name);
        NpyArray want = golden_array(npz, name);
        int64_t b = logits.shape[0], v = logits.shape[1];
        Workspace workspace = {0};
        Tensor in, uniform, ids, probs;
        for (int placed = 0; placed < 2; placed++) {
            in = workspace_take(&workspace, DTYPE_F32, 2, b, v, 0, 0);
            uniform = workspace_take(&workspace, DTYPE_F32, 1, b, 0, 0, 0);
            ids = workspace_take(&workspace, DTYPE_I32, 1, b, 0, 0, 0);
            probs = workspace_take(&workspace, DTYPE_F32, 2, b, v, 0, 0);
            if (!placed)
                assert_ok(workspace_open(&workspace, be, &err), err);
        }
        float half[8] = {0.5f, 0.5f, 0.5f, 0.5f}, *got = xmalloc((size_t)(b * v) * sizeof *got);
        be_upload(be, in, logits.data);
        be_upload(be, uniform, half);
        be_sample(be, in, rows[r].top_k, rows[r].top_p, rows[r].temperature, uniform, ids, probs);
        be_download(be, got, probs);
        assert_ok(be_check(be, &err), err);
        double error = golden_max_error(got, want.data, (size_t)(b * v));
        print_message("%-5s %-18s off by %.2g of %.2g\n", GOLDEN_SETS[rows[r].set].name, rows[r].name, error,
                      PROBABILITY_BOUND);
        assert_true(error <= PROBABILITY_BOUND);
        free(got);
        free(name);
        workspace_close(&workspace);
        npy_free(&logits);
        npy_free(&want);
        npz_close(npz);
    }
    backend_close(be);
}

static void test_a_student_is_no_teacher(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Ckpt *ckpt = ckpt_open(GOLDEN_SETS[0].student, &err);
    Weights weights = weights_of_ckpt(ckpt);
    Teacher teacher = {0};
    assert_err(teacher_load(&teacher, &weights, be, 0, 4, &err), err, "n_d_embed.weight", "student");
    ckpt_close(ckpt);
    backend_close(be);
}

int main(int argc, char **argv)
{
    golden_options(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_cache_equals_prefill),
        cmocka_unit_test(test_one_layer),
        cmocka_unit_test(test_cfg_interval),
        cmocka_unit_test(test_draws_follow_the_filter),
        cmocka_unit_test(test_golden_filters),
        cmocka_unit_test(test_a_student_is_no_teacher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
