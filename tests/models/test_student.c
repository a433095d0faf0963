/* One student step at a time: both heads on every token that a step can give, against the golden last steps. */
#include "tests/models/golden.h"

#include "worker/models/student.h"

enum { CHANNELS = 8 };
static const double BOUND = 2e-4, NEAR_TIE = 1e-3;

typedef struct Rig {
    const GoldenSet *set;
    Backend *be;
    Npz *npz;
    Student student;
    Workspace workspace;
    StudentWork work;
} Rig;

static void rig_open(Rig *rig, const GoldenSet *set)
{
    Err err = {0};
    *rig = (Rig){.set = set, .be = golden_backend()};
    assert_ok(rig->npz = npz_open(set->expected, &err), err);
    Ckpt *ckpt = ckpt_open(set->student, &err);
    assert_ok(ckpt, err);
    Weights weights = weights_of_ckpt(ckpt);
    assert_ok(student_load(&rig->student, &weights, rig->be, 0, set->grid, &err), err);
    ckpt_close(ckpt);
    student_layout(&rig->student, &rig->workspace, set->batch, &rig->work);
    assert_ok(workspace_open(&rig->workspace, rig->be, &err), err);
    student_layout(&rig->student, &rig->workspace, set->batch, &rig->work);
}

static void rig_close(Rig *rig)
{
    workspace_close(&rig->workspace);
    student_free(&rig->student);
    npz_close(rig->npz);
    backend_close(rig->be);
}

/* The last step of a golden case at t: with split 0 every token from t on gets a vector, with split L a code. */
static void check_step(Rig *rig, const char *name, int t)
{
    Err err = {0};
    size_t tokens = (size_t)rig->set->grid * (size_t)rig->set->grid, b = (size_t)rig->set->batch,
           rest = tokens - (size_t)t;
    NpyArray x = golden_case(rig->npz, "few", name, "x"), noise = golden_array(rig->npz, "noise");
    NpyArray label = golden_array(rig->npz, "label"), want = golden_case(rig->npz, "few", name, "tokens");
    NpyArray argmax = golden_case(rig->npz, "few", name, "argmax"),
             margin = golden_case(rig->npz, "few", name, "margin");
    float *latents = xmalloc(b * tokens * CHANNELS * sizeof *latents);
    memcpy(latents, noise.data, b * tokens * CHANNELS * sizeof *latents);
    for (size_t i = 0; i < b; i++)
        memcpy(latents + i * tokens * CHANNELS, (float *)x.data + i * tokens * CHANNELS,
               (size_t)t * CHANNELS * sizeof *latents);
    StudentResult got = {xcalloc(b * tokens, sizeof(int32_t)), xcalloc(b * tokens, sizeof(float)),
                         xcalloc(b * tokens * CHANNELS, sizeof(float))};
    StudentStep step = {.b = (int)b, .t = t, .split = 0, .end = (int)tokens, .labels = label.data, .latents = latents};
    assert_int_equal(student_codes(&step), 0);
    assert_ok(student_step(&rig->student, &rig->work, &step, &got, &err), err);
    double error = 0, off = 0;
    for (size_t i = 0; i < b; i++) {
        double one = golden_max_error(got.vectors + i * rest * CHANNELS,
                                      (float *)want.data + (i * tokens + (size_t)t) * CHANNELS, rest * CHANNELS);
        error = one > error || isnan(one) ? one : error;
    }
    step.split = (int)tokens;
    assert_int_equal(student_vectors(&step), 0);
    assert_ok(student_step(&rig->student, &rig->work, &step, &got, &err), err);
    for (size_t i = 0; i < b; i++)
        for (size_t j = 0; j < rest; j++) {
            double tie = (double)((float *)margin.data)[i * tokens + (size_t)t + j];
            off = fmax(off, fabs(tie - (double)got.margin[i * rest + j]));
            if (tie > NEAR_TIE)
                assert_int_equal(got.codes[i * rest + j], ((int32_t *)argmax.data)[i * tokens + (size_t)t + j]);
        }
    print_message("%-5s %-18s tokens off by %.2g of %.2g, margins by %.2g of %.2g\n", rig->set->name, name, error,
                  BOUND, off, 2 * BOUND);
    assert_true(error <= BOUND);
    assert_true(off <= 2 * BOUND);
    NpyArray *arrays[] = {&x, &noise, &label, &want, &argmax, &margin};
    for (size_t i = 0; i < countof(arrays); i++)
        npy_free(arrays[i]);
    free(latents), free(got.codes), free(got.margin), free(got.vectors);
}

static void test_tiny(void **state)
{
    (void)state;
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[0]);
    check_step(&rig, "1step", 0);
    check_step(&rig, "2step", 5);
    check_step(&rig, "2step_split_late", 5);
    check_step(&rig, "2step_split_early", 5);
    rig_close(&rig);
}

static void test_small(void **state)
{
    (void)state;
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[1]);
    check_step(&rig, "1step", 0);
    check_step(&rig, "2step", 80);
    rig_close(&rig);
}

/* A step that stops early computes the same tokens as one that goes to the end: attention is causal. */
static void test_end_cuts_nothing(void **state)
{
    (void)state;
    enum { END = 7, SPLIT = 4 };
    Err err = {0};
    Rig rig;
    rig_open(&rig, &GOLDEN_SETS[0]);
    NpyArray noise = golden_array(rig.npz, "noise"), label = golden_array(rig.npz, "label");
    int32_t whole_codes[16], part_codes[16];
    float whole_margin[16], part_margin[16], whole[16 * CHANNELS], part[16 * CHANNELS];
    StudentStep step = {.b = 1, .t = 2, .split = SPLIT, .end = 16, .labels = label.data, .latents = noise.data};
    StudentResult all = {whole_codes, whole_margin, whole}, some = {part_codes, part_margin, part};
    assert_ok(student_step(&rig.student, &rig.work, &step, &all, &err), err);
    step.end = END;
    assert_ok(student_step(&rig.student, &rig.work, &step, &some, &err), err);
    assert_int_equal(student_codes(&step), SPLIT - 2);
    assert_int_equal(student_vectors(&step), END - SPLIT);
    assert_memory_equal(whole_codes, part_codes, (SPLIT - 2) * sizeof(int32_t));
    assert_true(golden_max_error(part, whole, (END - SPLIT) * CHANNELS) < 1e-5);
    npy_free(&noise);
    npy_free(&label);
    rig_close(&rig);
}

static void test_a_teacher_is_no_student(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Ckpt *ckpt = ckpt_open(GOLDEN_SETS[0].teacher, &err);
    Weights weights = weights_of_ckpt(ckpt);
    Student student = {0};
    assert_err(student_load(&student, &weights, be, 0, 4, &err), err, "n_d_embed.weight", "teacher");
    ckpt_close(ckpt);
    backend_close(be);
}

/* Each weight in turn is missing: an error that names it, never a smaller model. */
static void test_every_weight_is_needed(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    Ckpt *ckpt = ckpt_open(GOLDEN_SETS[0].student, &err);
    assert_ok(ckpt, err);
    assert_in_range(ckpt_count(ckpt), 20, 30);
    for (int i = 0; i < ckpt_count(ckpt); i++) {
        GoldenHidden hidden = {ckpt, ckpt_at(ckpt, i)->name};
        Weights weights = golden_without(&hidden);
        Student student = {0};
        assert_err(student_load(&student, &weights, be, 0, 4, &err), err, hidden.name);
    }
    ckpt_close(ckpt);
    backend_close(be);
}

int main(int argc, char **argv)
{
    golden_options(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_end_cuts_nothing),
        cmocka_unit_test(test_a_teacher_is_no_student),
        cmocka_unit_test(test_every_weight_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
