/* The sampler apart from golden numbers: results do not depend on batches, plans and files that do not fit are errors,
 * and the teacher works alone. */
#include "tests/models/golden.h"

#include "core/philox.h"

enum { IMAGES = 7, L = 16, C = 8, SIDE = 16, PIXELS = SIDE * SIDE * 3 };

static const GoldenSet *const TINY = &GOLDEN_SETS[0];

typedef struct Images {
    int32_t labels[IMAGES], codes[IMAGES * L];
    float noise[IMAGES * L * C], uniform[IMAGES * L], vectors[IMAGES * L * C];
    uint8_t pixels[IMAGES * PIXELS];
} Images;

static Images *images_new(uint64_t seed)
{
    Images *images = xcalloc(1, sizeof *images);
    for (uint64_t i = 0; i < IMAGES; i++) {
        images->labels[i] = noise_label(seed, i, 10);
        noise_normal(seed, i, images->noise + i * L * C, L * C);
        noise_uniform(seed, i, images->uniform + i * L, L);
    }
    return images;
}

/* Images lo..lo+count-1 of `images` in one batch. */
static void run_some(Sampler *sampler, const SamplerPlan *plan, Images *images, int lo, int count)
{
    Err err = {0};
    ModelBatch batch = {.count = count,
                        .condition = {.labels = images->labels + lo},
                        .noise = images->noise + lo * L * C,
                        .uniform = plan->argmax ? NULL : images->uniform + lo * L,
                        .codes = images->codes + lo * L,
                        .vectors = images->vectors + lo * L * C,
                        .pixels = images->pixels + lo * PIXELS};
    assert_ok(sampler_run(sampler, plan, &batch, NULL, NULL, &err), err);
}

static const int ONE[] = {0}, TWO[] = {0, 5}, THREE[] = {0, 3, 9}, TO_8[] = {0, 8}, TO_END[] = {0, L};

static const struct {
    const char *name;
    SamplerPlan plan;
} PLANS[] = {
    {"one step", {ONE, 1, 5, -1, 2, -1, 0, 1, 1, true}},
    {"two steps", {TWO, 2, 10, -1, 2, -1, 0, 1, 1, true}},
    {"three steps", {THREE, 3, 6, -1, 2, -1, 0, 1, 1, true}},
    {"teacher, argmax", {TO_8, 2, 10, 4, 2, -1, 0, 1, 1, true}},
    {"teacher, prefix past split", {TO_8, 2, 2, 6, 2, -1, 0, 1, 1, true}},
    {"teacher, sampled", {TO_8, 2, 10, 4, 2, -1, 0, 1, 1, false}},
    {"teacher, top-k and top-p", {TO_8, 2, 10, 4, 1.5f, 2, 20, 0.9f, 1.2f, false}},
    {"teacher, no guidance", {TO_8, 2, 10, 4, 1, -1, 20, 1, 1, false}},
    {"teacher from the start", {TO_8, 2, 12, 0, 2, -1, 40, 1, 1, false}},
    {"teacher alone", {TO_END, 2, 0, 0, 2, -1, 40, 0.95f, 1, false}},
};

/* Every plan, every way to cut seven images into batches: the same bits for every image. */
static void test_batches_do_not_matter(void **state)
{
    (void)state;
    static const int cuts[][IMAGES] = {{7}, {1, 1, 1, 1, 1, 1, 1}, {3, 4}, {5, 2}, {2, 1, 4}};
    Backend *be = golden_backend();
    Sampler *sampler = golden_sampler(TINY, be, IMAGES);
    for (size_t p = 0; p < countof(PLANS); p++) {
        Images *want = images_new(5);
        run_some(sampler, &PLANS[p].plan, want, 0, IMAGES);
        for (size_t c = 1; c < countof(cuts); c++) {
            Images *got = images_new(5);
            for (int lo = 0, i = 0; lo < IMAGES; lo += cuts[c][i++])
                run_some(sampler, &PLANS[p].plan, got, lo, cuts[c][i]);
            if (memcmp(got, want, sizeof *got))
                fail_msg("%s: images differ when cut another way (%zu)", PLANS[p].name, c);
            free(got);
        }
        free(want);
    }
    sampler_close(sampler);
    backend_close(be);
}

/* A new sampler, with an empty class table, gives the same as one that has used all classes. */
static void test_warm_equals_cold(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Images *want = images_new(6), *got = images_new(6);
    Sampler *sampler = golden_sampler(TINY, be, IMAGES);
    run_some(sampler, &PLANS[5].plan, want, 0, IMAGES);
    sampler_close(sampler);
    sampler = golden_sampler(TINY, be, 1);
    for (int i = IMAGES - 1; i >= 0; i--)
        run_some(sampler, &PLANS[5].plan, got, i, 1);
    assert_memory_equal(got, want, sizeof *got);
    assert_ok(sampler_reserve(sampler, 4, &err), err); /* room for another batch size, nothing else changes */
    memset(got->pixels, 0, sizeof got->pixels);
    run_some(sampler, &PLANS[5].plan, got, 0, 4);
    run_some(sampler, &PLANS[5].plan, got, 4, 3);
    assert_memory_equal(got, want, sizeof *got);
    sampler_close(sampler);
    backend_close(be);
    free(want);
    free(got);
}

static void test_codes_and_vectors_agree(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Sampler *sampler = golden_sampler(TINY, be, IMAGES);
    Npz *npz = npz_open(TINY->expected, &err);
    NpyArray codebook = golden_array(npz, "codebook");
    for (size_t p = 0; p < countof(PLANS); p++) {
        const SamplerPlan *plan = &PLANS[p].plan;
        Images *images = images_new(8);
        int drawn =
            plan->teacher_start_t >= 0 ? plan->t_list[1] : 0; /* the teacher's tokens keep their codes past split_t */
        run_some(sampler, plan, images, 0, IMAGES);
        for (int i = 0; i < IMAGES * L; i++) {
            assert_int_equal(images->codes[i] >= 0, i % L < plan->split_t || i % L < drawn);
            if (images->codes[i] >= 0)
                assert_true(
                    golden_max_error(images->vectors + i * C, (float *)codebook.data + images->codes[i] * C, C) < 1e-6);
        }
        free(images);
    }
    npy_free(&codebook);
    npz_close(npz);
    sampler_close(sampler);
    backend_close(be);
}

/* The teacher alone needs no student and no noise, and starts like any run from the first token. */
static void test_teacher_alone(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    SamplerFiles files = {.teacher = TINY->teacher, .tokenizer = TINY->tokenizer, .grid = TINY->grid};
    Sampler *sampler = sampler_open(&files, be, &err);
    assert_ok(sampler, err);
    assert_ok(sampler_reserve(sampler, TINY->batch, &err), err);
    Npz *npz = npz_open(TINY->expected, &err);
    NpyArray label = golden_array(npz, "label"), ids = golden_array(npz, "teacher.start_zero.ids");
    int32_t codes[3 * L];
    uint8_t pixels[3 * PIXELS];
    SamplerPlan plan = {TO_END, 2, 0, 0, 2, -1, 0, 1, 1, true};
    ModelBatch batch = {.count = 3, .condition = {.labels = label.data}, .codes = codes, .pixels = pixels};
    assert_ok(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < L; j++) {
            assert_in_range(codes[i * L + j], 0, 95);
            if (j < 8)
                assert_int_equal(codes[i * L + j], ((int32_t *)ids.data)[i * 8 + j]);
        }
    plan.t_list = TO_8;
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "student", "0,16");
    npy_free(&label);
    npy_free(&ids);
    npz_close(npz);
    sampler_close(sampler);
    backend_close(be);
}

/* A second batch allocates nothing; and codes are searched for only where the continuous head made a teacher's prefix.
 */
static void test_counters(void **state)
{
    (void)state;
    Backend *be = golden_backend();
    Sampler *sampler = golden_sampler(TINY, be, IMAGES);
    Images *images = images_new(5);
    for (size_t p = 0; p < countof(PLANS); p++) {
        const SamplerPlan *plan = &PLANS[p].plan;
        run_some(sampler, plan, images, 0, IMAGES);
        BackendCounters before = *backend_counters(be);
        run_some(sampler, plan, images, 0, IMAGES);
        const BackendCounters *after = backend_counters(be);
        assert_int_equal(after->allocations - before.allocations, 0);
        assert_int_equal(after->calls[OP_nearest_code] - before.calls[OP_nearest_code],
                         plan->teacher_start_t > plan->split_t ? 1 : 0);
    }
    free(images);
    sampler_close(sampler);
    backend_close(be);
}

typedef struct Log {
    char text[256];
} Log;

static void on_stage(void *ctx, const char *name)
{
    Log *log = ctx;
    strncat(log->text, name, sizeof log->text - strlen(log->text) - 1);
    strncat(log->text, " ", sizeof log->text - strlen(log->text) - 1);
}

static void log_stage(const char *name, void *ctx)
{
    on_stage(ctx, name);
}

static void test_stages(void **state)
{
    (void)state;
    static const struct {
        int plan;
        const char *stages;
    } rows[] = {{0, "student decode "},
                {2, "student student student decode "},
                {3, "student teacher student decode "},
                {8, "teacher student decode "},
                {9, "teacher decode "}};
    Backend *be = golden_backend();
    Sampler *sampler = golden_sampler(TINY, be, 1);
    Images *images = images_new(1);
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        Log log = {""};
        ModelBatch batch = {.count = 1,
                            .condition = {.labels = images->labels},
                            .noise = images->noise,
                            .uniform = images->uniform,
                            .pixels = images->pixels};
        assert_ok(sampler_run(sampler, &PLANS[rows[i].plan].plan, &batch, log_stage, &log, &err), err);
        assert_string_equal(log.text, rows[i].stages);
    }
    free(images);
    sampler_close(sampler);
    backend_close(be);
}

static void test_plans_refused(void **state)
{
    (void)state;
    static const int late[] = {1, 5}, equal[] = {0, 5, 5}, back[] = {0, 8, 3}, past[] = {0, L}, far[] = {0, L + 1};
    static const struct {
        SamplerPlan plan;
        const char *words[2];
    } rows[] = {
        {{ONE, 0, 5, -1, 2, -1, 0, 1, 1, true}, {"t_list", "wanted 0"}},
        {{late, 2, 5, -1, 2, -1, 0, 1, 1, true}, {"t_list", "starts with 1"}},
        {{equal, 3, 5, -1, 2, -1, 0, 1, 1, true}, {"5 comes after 5", "increasing"}},
        {{back, 3, 5, -1, 2, -1, 0, 1, 1, true}, {"3 comes after 8", "increasing"}},
        {{past, 2, 5, -1, 2, -1, 0, 1, 1, true}, {"16 is past the end", "may be 15"}},
        {{far, 2, 5, 0, 2, -1, 0, 1, 1, true}, {"17 is past the end", "may be 16"}},
        {{THREE, 3, 5, 0, 2, -1, 0, 1, 1, true}, {"3 values", "wanted 2"}},
        {{ONE, 1, 5, 0, 2, -1, 0, 1, 1, true}, {"1 values", "wanted 2"}},
        {{TO_8, 2, 17, -1, 2, -1, 0, 1, 1, true}, {"split_t: it is 17", "0 to 16"}},
        {{TO_8, 2, -1, -1, 2, -1, 0, 1, 1, true}, {"split_t: it is -1", "0 to 16"}},
        {{TO_8, 2, 5, 8, 2, -1, 0, 1, 1, true}, {"teacher_start_t: it is 8", "0 to 7"}},
        {{TO_8, 2, 5, -2, 2, -1, 0, 1, 1, true}, {"teacher_start_t: it is -2", "0 to 15"}},
        {{TO_8, 2, 5, 4, -1, -1, 0, 1, 1, true}, {"cfg_scale: it is -1", ">= 0"}},
        {{TO_8, 2, 5, 4, NAN, -1, 0, 1, 1, true}, {"cfg_scale", "finite"}},
        {{TO_8, 2, 5, 4, 2, -2, 0, 1, 1, true}, {"cfg_interval: it is -2", "-1"}},
        {{TO_8, 2, 5, 4, 2, -1, -1, 1, 1, true}, {"top_k: it is -1", "0 (off)"}},
        {{TO_8, 2, 5, 4, 2, -1, 0, 0, 1, true}, {"top_p: it is 0", "at most 1"}},
        {{TO_8, 2, 5, 4, 2, -1, 0, 1.5f, 1, true}, {"top_p: it is 1.5", "at most 1"}},
        {{TO_8, 2, 5, 4, 2, -1, 0, 1, -1, true}, {"temperature: it is -1", ">= 0"}},
    };
    Backend *be = golden_backend();
    Sampler *sampler = golden_sampler(TINY, be, 1);
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        assert_err(sampler_check(sampler, &rows[i].plan, &err), err, rows[i].words[0], rows[i].words[1]);
        assert_int_equal(err.kind, ERR_USAGE);
    }
    for (size_t i = 0; i < countof(PLANS); i++) {
        Err err = {0};
        assert_ok(sampler_check(sampler, &PLANS[i].plan, &err), err);
    }
    sampler_close(sampler);
    backend_close(be);
}

static void test_models_missing(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    SamplerFiles files = {.student = TINY->student, .tokenizer = TINY->tokenizer, .grid = 4};
    Sampler *sampler = sampler_open(&files, be, &err);
    assert_ok(sampler, err);
    SamplerPlan plan = {TO_8, 2, 5, 4, 2, -1, 0, 1, 1, true};
    assert_err(sampler_check(sampler, &plan, &err), err, "needs a teacher");
    sampler_close(sampler);
    files = (SamplerFiles){.student = TINY->student};
    assert_err(sampler_open(&files, be, &err), err, "tokenizer");
    files = (SamplerFiles){.tokenizer = TINY->tokenizer};
    assert_err(sampler_open(&files, be, &err), err, "neither a student nor a teacher");
    files = (SamplerFiles){.student = "/nowhere/student.pt", .tokenizer = TINY->tokenizer};
    assert_err(sampler_open(&files, be, &err), err, "/nowhere/student.pt");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    backend_close(be);
}

static void test_files_that_do_not_fit(void **state)
{
    (void)state;
    const GoldenSet *small = &GOLDEN_SETS[1];
    const struct {
        SamplerFiles files;
        const char *words[2];
    } rows[] = {
        {{.student = TINY->student, .teacher = NULL, .tokenizer = small->tokenizer, .heads = 0, .grid = 0},
         {"96 codes", "1024"}},
        {{.student = NULL, .teacher = TINY->teacher, .tokenizer = small->tokenizer, .heads = 0, .grid = 0},
         {"96 codes", "1024"}},
        {{.student = TINY->teacher, .teacher = NULL, .tokenizer = TINY->tokenizer, .heads = 0, .grid = 0},
         {"n_d_embed.weight", "teacher"}},
        {{.student = NULL, .teacher = TINY->student, .tokenizer = TINY->tokenizer, .heads = 0, .grid = 0},
         {"n_d_embed.weight", "student"}},
        {{.student = TINY->student, .teacher = NULL, .tokenizer = TINY->student, .heads = 0, .grid = 0},
         {"quantize.embedding.weight", "student.safetensors"}},
        {{.student = TINY->tokenizer, .teacher = NULL, .tokenizer = TINY->tokenizer, .heads = 0, .grid = 0},
         {"n_d_embed.weight", "vq.safetensors"}},
        {{.student = TINY->student, .teacher = NULL, .tokenizer = TINY->tokenizer, .heads = 3, .grid = 0},
         {"width 128", "3 heads"}},
        {{.student = TINY->student, .teacher = NULL, .tokenizer = TINY->tokenizer, .heads = 0, .grid = -4},
         {"grid: it is -4", "1 to 128"}},
        {{.student = TINY->student, .teacher = NULL, .tokenizer = TINY->tokenizer, .heads = 0, .grid = 1000},
         {"grid: it is 1000", "1 to 128"}},
    };
    Backend *be = golden_backend();
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        assert_err(sampler_open(&rows[i].files, be, &err), err, rows[i].words[0], rows[i].words[1]);
    }
    backend_close(be);
}

/* No file states the grid: it follows from the tokenizer's levels unless the caller gives it. */
static void test_grid(void **state)
{
    (void)state;
    static const struct {
        int set, grid, want, side;
    } rows[] = {{0, 0, 8, 32}, {0, 4, 4, 16}, {0, 5, 5, 20}, {1, 0, 16, 256}, {1, 2, 2, 32}};
    Backend *be = golden_backend();
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        const GoldenSet *set = &GOLDEN_SETS[rows[i].set];
        SamplerFiles files = {.student = set->student, .tokenizer = set->tokenizer, .grid = rows[i].grid};
        Sampler *sampler = sampler_open(&files, be, &err);
        assert_ok(sampler, err);
        const ModelInfo *info = sampler_info(sampler);
        assert_int_equal(info->grid, rows[i].want);
        assert_int_equal(info->tokens, rows[i].want * rows[i].want);
        assert_int_equal(info->image_size, rows[i].side);
        sampler_close(sampler);
    }
    backend_close(be);
}

static void test_batches_refused(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Sampler *sampler = golden_sampler(TINY, be, 2);
    Images *images = images_new(1);
    SamplerPlan plan = PLANS[0].plan;
    ModelBatch batch = {
        .count = 3, .condition = {.labels = images->labels}, .noise = images->noise, .codes = images->codes};
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "batch of 3", "2");
    batch.count = 2;
    images->labels[1] = 10;
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "label 1", "is 10", "0 to 9");
    images->labels[1] = -1;
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "label 1", "is -1");
    images->labels[1] = 9;
    assert_ok(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err);
    batch.noise = NULL;
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "noise");
    plan = PLANS[9].plan;
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "uniform");
    assert_err(sampler_reserve(sampler, 0, &err), err, "batch: it is 0");
    assert_err(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err, "batch of 2");
    free(images);
    sampler_close(sampler);
    backend_close(be);
}

int main(int argc, char **argv)
{
    golden_options(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_do_not_matter),
        cmocka_unit_test(test_warm_equals_cold),
        cmocka_unit_test(test_codes_and_vectors_agree),
        cmocka_unit_test(test_teacher_alone),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_plans_refused),
        cmocka_unit_test(test_models_missing),
        cmocka_unit_test(test_files_that_do_not_fit),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_batches_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
