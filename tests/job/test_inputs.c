/* Labels, noise and uniforms by image index, by rule and from files. */
#include "worker/job/inputs.h"

#include <math.h>

#include "core/philox.h"
#include "tests/test.h"
#include "worker/job/inputs_ahead.h"

enum { TOKENS = 4, CHANNELS = 2, CLASSES = 5, IMAGES = 7 };

static const ModelInfo info = {.grid = 2, .tokens = TOKENS, .channels = CHANNELS, .classes = CLASSES};

static void test_rules(void **state)
{
    (void)state;
    int list[] = {4, 0, 2};
    JobSpec spec = {.images = IMAGES, .seed = 9, .classes = CLASSES_BALANCED, .class_list = list, .class_count = 3};
    Inputs inputs = {0};
    Err err = {0};
    assert_ok(inputs_open(&spec, &inputs, &err), err);
    assert_int_equal(inputs_grid(&inputs), 0);
    assert_ok(inputs_fit(&inputs, &info, &err), err);
    int32_t labels[IMAGES];
    float noise[IMAGES * TOKENS * CHANNELS], part[2 * TOKENS * CHANNELS], uniform[2 * TOKENS], one[TOKENS];
    assert_ok(inputs_fill(&inputs, 0, IMAGES, labels, noise, NULL, &err), err);
    for (int i = 0; i < IMAGES; i++)
        assert_int_equal(labels[i], i % CLASSES);
    spec.classes = CLASSES_LIST;
    assert_ok(inputs_fill(&inputs, 3, 2, labels, part, uniform, &err), err);
    assert_int_equal(labels[0], 4);
    assert_int_equal(labels[1], 0);
    assert_memory_equal(part, noise + 3 * TOKENS * CHANNELS, sizeof part); /* image 3 is image 3 in any batch */
    noise_uniform(9, 4, one, TOKENS);
    assert_memory_equal(uniform + TOKENS, one, sizeof one);
    spec.classes = CLASSES_UNIFORM;
    assert_ok(inputs_fill(&inputs, 3, 2, labels, part, uniform, &err), err);
    assert_int_equal(labels[1], noise_label(9, 4, CLASSES));
    spec.classes = CLASSES_LIST;
    list[1] = CLASSES;
    assert_err(inputs_fit(&inputs, &info, &err), err, "classes", "label 5 at place 1", "0 to 4");
    inputs_close(&inputs);
}

static char *array(const char *folder, const char *name, Dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    char *path = xasprintf("%s/%s.npy", folder, name);
    Err err = {0};
    assert_ok(npy_write(path, dtype, ndim, shape, data, &err), err);
    return path;
}

static void test_files(void **state)
{
    (void)state;
    char *folder = test_folder();
    float values[9 * TOKENS * CHANNELS];
    for (size_t i = 0; i < countof(values); i++)
        values[i] = (float)i;
    int64_t labels64[8] = {1, 0, 4, 3, 2, 1, 0, 99}; /* the last is beyond the job's images */
    JobSpec spec = {.images = IMAGES};
    spec.noise = array(folder, "noise", DTYPE_F32, 3, (int64_t[]){9, TOKENS, CHANNELS}, values);
    spec.labels = array(folder, "labels", DTYPE_I64, 1, (int64_t[]){8}, labels64);
    Inputs inputs = {0};
    Err err = {0};
    assert_ok(inputs_open(&spec, &inputs, &err), err);
    assert_int_equal(inputs_grid(&inputs), 2);
    assert_ok(inputs_fit(&inputs, &info, &err), err);
    int32_t labels[2];
    float noise[2 * TOKENS * CHANNELS];
    assert_ok(inputs_fill(&inputs, 2, 2, labels, noise, NULL, &err), err);
    assert_int_equal(labels[0], 4);
    assert_memory_equal(noise, values + 2 * TOKENS * CHANNELS, sizeof noise);
    spec.images = 8;
    assert_err(inputs_fit(&inputs, &info, &err), err, "labels", "label 99 at place 7");
    const ModelInfo other = {.tokens = 16, .channels = CHANNELS, .classes = CLASSES};
    spec.images = IMAGES;
    assert_err(inputs_fit(&inputs, &other, &err), err, "noise.npy", "[9,4,2]", "[n,16,2]");
    inputs_close(&inputs);
    free(spec.noise);
    free(spec.labels);
    test_folder_remove(folder);
}

static void test_bad_files(void **state)
{
    (void)state;
    char *folder = test_folder();
    static const float zeros[64];
    char *flat = array(folder, "flat", DTYPE_F32, 2, (int64_t[]){9, 4}, zeros);
    char *half = array(folder, "half", DTYPE_F16, 3, (int64_t[]){9, 4, 1}, zeros);
    char *few = array(folder, "few", DTYPE_F32, 3, (int64_t[]){6, 4, 2}, zeros);
    char *real = array(folder, "real", DTYPE_F32, 1, (int64_t[]){9}, zeros);
    const struct {
        char *noise, *labels;
        const char *words[2];
    } rows[] = {
        {flat, NULL, {"noise", "[9,4]"}},       {half, NULL, {"noise", "f16"}},
        {few, NULL, {"[6,4,2]", "at least 7"}}, {NULL, real, {"labels", "[9] f32"}},
        {NULL, few, {"labels", "[6,4,2]"}},     {"/nowhere.npy", NULL, {"noise", "/nowhere.npy"}},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        JobSpec spec = {.images = IMAGES, .noise = rows[i].noise, .labels = rows[i].labels};
        Inputs inputs;
        Err err = {0};
        assert_err(inputs_open(&spec, &inputs, &err), err, rows[i].words[0], rows[i].words[1]);
    }
    free(flat);
    free(half);
    free(few);
    free(real);
    test_folder_remove(folder);
}

/* Prepared batches, others, and the last of a gap equal those of inputs_fill. A failure is reported when its batch is
 * taken.
 */
static void test_ahead(void **state)
{
    (void)state;
    static const struct {
        int64_t lo;
        int count;
        int64_t next_lo;
        int next;
    } takes[] = {{0, 2, 2, 2}, {2, 2, 4, 2}, {4, 1, 5, 2}, {0, 2, 2, 0}, {2, 1, 3, 2}};
    JobSpec spec = {.images = IMAGES, .seed = 4};
    Inputs inputs = {0};
    Err err = {0};
    assert_ok(inputs_open(&spec, &inputs, &err), err);
    assert_ok(inputs_fit(&inputs, &info, &err), err);
    InputsAhead *ahead = inputs_ahead_open(&inputs, 2, true, &err);
    assert_non_null(ahead);
    for (size_t i = 0; i < countof(takes); i++) {
        int32_t labels[2];
        float noise[2 * TOKENS * CHANNELS], uniform[2 * TOKENS];
        size_t n = (size_t)takes[i].count;
        assert_ok(inputs_fill(&inputs, takes[i].lo, takes[i].count, labels, noise, uniform, &err), err);
        const InputsBatch *batch =
            inputs_ahead_take(ahead, takes[i].lo, takes[i].count, takes[i].next_lo, takes[i].next, &err);
        assert_non_null(batch);
        assert_int_equal(batch->lo, takes[i].lo);
        assert_memory_equal(batch->condition.labels, labels, n * sizeof *labels);
        assert_memory_equal(batch->noise, noise, n * TOKENS * CHANNELS * sizeof *noise);
        assert_memory_equal(batch->uniform, uniform, n * TOKENS * sizeof *uniform);
    }
    inputs_ahead_close(ahead); /* no thread reads the inputs while they change */
    float bad[IMAGES * TOKENS * CHANNELS] = {[3 * TOKENS * CHANNELS] = NAN};
    inputs.noise.data = (uint8_t *)bad;
    spec.noise = "bad.npy";
    ahead = inputs_ahead_open(&inputs, 2, true, &err);
    assert_non_null(inputs_ahead_take(ahead, 0, 2, 2, 2, &err));
    assert_err(inputs_ahead_take(ahead, 2, 2, 4, 0, &err), err, "bad.npy", "row 3");
    inputs_ahead_close(ahead);
    inputs.noise.data = NULL;
    inputs_close(&inputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_bad_files), cmocka_unit_test(test_ahead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
