/* Every sampler case of the golden sets, through the sampler: codes, vectors and pixels. */
#include "tests/models/golden.h"

#include <cjson/cJSON.h>

/* Bounds of fp32 against float64: 2e-4 on vectors, one step of 255 on 99.9% of the bytes, and an argmax may only differ
 * where the golden margin says that the two best logits are a near-tie. */
enum { MAX_TOKENS = 256, MAX_BATCH = 3, CHANNELS = 8 };
static const double VECTOR_BOUND = 2e-4, PIXEL_BOUND = 1e-3, NEAR_TIE = 1e-3, MARGIN_BOUND = 1e-3;

typedef struct Case {
    const GoldenSet *set;
    const Npz *npz;
    Sampler *sampler;
    const char *group, *name; /* "few" or "teacher", then the case's own */
    int t_list[8];
    SamplerPlan plan;
    SamplerBatch batch;
} Case;

static cJSON *read_cases(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char text[8192];
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    cJSON *cases = cJSON_Parse(text);
    assert_non_null(cases);
    return cases;
}

static int number_of(const cJSON *object, const char *field)
{
    const cJSON *item = cJSON_GetObjectItem(object, field);
    assert_non_null(item);
    return item->valueint;
}

static void read_plan(Case *c, const cJSON *object, bool teacher)
{
    const cJSON *list = cJSON_GetObjectItem(object, "t_list"), *item;
    SamplerPlan plan = {.t_list = c->t_list,
                        .split_t = number_of(object, "split_t"),
                        .teacher_start_t = -1,
                        .cfg_scale = 2,
                        .cfg_interval = -1,
                        .top_p = 1,
                        .temperature = 1,
                        .argmax = true};
    cJSON_ArrayForEach(item, list) c->t_list[plan.t_count++] = item->valueint;
    if (teacher) {
        plan.teacher_start_t = number_of(object, "teacher_start_t");
        plan.cfg_scale = (float)cJSON_GetObjectItem(object, "cfg_scale")->valuedouble;
    }
    c->plan = plan;
}

/* Codes against golden argmax [B,L] and margin [B,L] (or [B,n], the last n of `upto` tokens). Returns the flips at
 * near-ties. */
static int compare_codes(const Case *c, const NpyArray *want, const NpyArray *margin, int from, int upto)
{
    int flips = 0, tokens = c->set->grid * c->set->grid, wide = (int)want->shape[1], margins = (int)margin->shape[1];
    for (int i = 0; i < c->batch.count; i++)
        for (int j = from; j < upto; j++) {
            int got = c->batch.codes[i * tokens + j], code = ((const int32_t *)want->data)[i * wide + j];
            double tie = (double)((const float *)margin->data)[i * margins + j - (wide > margins ? upto - margins : 0)];
            if (got == code) {
                assert_true(fabs((double)c->batch.margin[i * tokens + j] - tie) < MARGIN_BOUND);
                continue;
            }
            if (tie > NEAR_TIE)
                fail_msg("%s %s: code %d of image %d is %d, wanted %d (margin %g)", c->set->name, c->name, j, i, got,
                         code, tie);
            flips++;
        }
    return flips;
}

static void compare_images(const Case *c)
{
    size_t tokens = (size_t)c->set->grid * (size_t)c->set->grid, count = (size_t)c->batch.count;
    NpyArray x = golden_case(c->npz, c->group, c->name, "x"), pixels = golden_case(c->npz, c->group, c->name, "uint8");
    double error = golden_max_error(c->batch.vectors, x.data, count * tokens * CHANNELS);
    size_t side = (size_t)sampler_info(c->sampler)->image_size;
    double off = golden_pixels_off(c->batch.pixels, pixels.data, count * side * side * 3);
    print_message("%-5s %-22s vectors off by %.2g of %.2g, bytes off by more than 1: %.4f%% of %.1f%%\n", c->set->name,
                  c->name, error, VECTOR_BOUND, 100 * off, 100 * PIXEL_BOUND);
    assert_true(error <= VECTOR_BOUND);
    assert_true(off <= PIXEL_BOUND);
    npy_free(&x);
    npy_free(&pixels);
}

static void run_case(Case *c)
{
    Err err = {0};
    int tokens = c->set->grid * c->set->grid, last = c->t_list[c->plan.t_count - 1], flips = 0;
    assert_ok(sampler_run(c->sampler, &c->plan, &c->batch, NULL, NULL, &err), err);
    if (c->plan.teacher_start_t >= 0) {
        NpyArray ids = golden_case(c->npz, c->group, c->name, "ids"),
                 margin = golden_case(c->npz, c->group, c->name, "margin");
        flips += compare_codes(c, &ids, &margin, c->plan.teacher_start_t, last);
        for (int i = 0; i < c->batch.count; i++) /* the prefix came from the student */
            for (int j = 0; j < c->plan.teacher_start_t; j++)
                assert_int_equal(c->batch.codes[i * tokens + j], ((const int32_t *)ids.data)[i * last + j]);
        npy_free(&ids);
        npy_free(&margin);
    } else {
        NpyArray argmax = golden_case(c->npz, c->group, c->name, "argmax"),
                 margin = golden_case(c->npz, c->group, c->name, "margin");
        flips += compare_codes(c, &argmax, &margin, last, c->plan.split_t > last ? c->plan.split_t : last);
        npy_free(&argmax);
        npy_free(&margin);
    }
    for (int i = 0; i < c->batch.count; i++) /* -1 marks the continuous head */
        for (int j = last; j < tokens; j++)
            assert_int_equal(c->batch.codes[i * tokens + j] == -1, j >= c->plan.split_t);
    if (!flips)
        compare_images(c);
    else
        print_message("%-5s %-22s %d near-ties went the other way; vectors and pixels not compared\n", c->set->name,
                      c->name, flips);
    assert_int_equal(flips, 0); /* none do today: a flip is worth a look before this is relaxed */
}

static void run_group(Case *c, const cJSON *cases, const char *key, const char *group, int want)
{
    const cJSON *item;
    int seen = 0;
    c->group = group;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(cases, key))
    {
        c->name = item->string;
        read_plan(c, item, strcmp(group, "teacher") == 0);
        run_case(c);
        seen++;
    }
    assert_int_equal(seen, want);
}

static void run_set(const GoldenSet *set, int few, int teacher)
{
    Err err = {0};
    static int32_t codes[MAX_BATCH * MAX_TOKENS];
    static float vectors[MAX_BATCH * MAX_TOKENS * CHANNELS], margin[MAX_BATCH * MAX_TOKENS];
    Npz *npz = npz_open(set->expected, &err);
    assert_ok(npz, err);
    Backend *be = golden_backend();
    Case c = {.set = set, .npz = npz, .sampler = golden_sampler(set, be, set->batch)};
    size_t side = (size_t)sampler_info(c.sampler)->image_size;
    NpyArray noise = golden_array(npz, "noise"), label = golden_array(npz, "label");
    c.batch = (SamplerBatch){.count = set->batch,
                             .labels = label.data,
                             .noise = noise.data,
                             .codes = codes,
                             .vectors = vectors,
                             .pixels = xmalloc((size_t)set->batch * side * side * 3),
                             .margin = margin};
    cJSON *cases = read_cases(set->cases);
    run_group(&c, cases, "few_step", "few", few);
    run_group(&c, cases, "teacher_involved", "teacher", teacher);
    cJSON_Delete(cases);
    free(c.batch.pixels);
    npy_free(&noise);
    npy_free(&label);
    npz_close(npz);
    sampler_close(c.sampler);
    backend_close(be);
}

static void test_tiny(void **state)
{
    (void)state;
    run_set(&GOLDEN_SETS[0], 6, 4);
}

static void test_small(void **state)
{
    (void)state;
    run_set(&GOLDEN_SETS[1], 3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
