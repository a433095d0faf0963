/* The files of a sampler, altered one by one (make_models.py): what belongs to a model and is not read is refused by
 * name, what is not needed passes, and what was built is said. Then the sizes that no file has. */
#include "tests/models/golden.h"

#include "worker/weights/sizes.h"

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    char *command =
        xasprintf("/usr/bin/python3 %s/models/make_models.py %s %s", TESTS_DIR, folder, MADE("llamagen/tiny"));
    int status = system(command);
    free(command);
    return status;
}

static int remove_folder(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

/* --- files ---------------------------------------------------------------------------------------- */

enum { B = 2, TOKENS = 16, CHANNELS = 8 };

typedef struct Made {
    float vectors[B * TOKENS * CHANNELS];
    uint8_t pixels[B * 16 * 16 * 3];
} Made;

static SamplerFiles files_with(const char *role, const char *path)
{
    const GoldenSet *set = &GOLDEN_SETS[0];
    SamplerFiles files = {
        .student = set->student, .teacher = set->teacher, .tokenizer = set->tokenizer, .heads = 2, .grid = set->grid};
    if (strcmp(role, "student") == 0)
        files.student = path;
    if (strcmp(role, "teacher") == 0)
        files.teacher = path;
    if (strcmp(role, "tokenizer") == 0)
        files.tokenizer = path;
    return files;
}

/* Tokens 0..7 by the teacher, the others by the student. */
static void make(Sampler *sampler, Made *made)
{
    Err err = {0};
    const int t_list[] = {0, 8};
    static float noise[B * TOKENS * CHANNELS];
    const int32_t labels[B] = {3, 7};
    SamplerPlan plan = {.t_list = t_list,
                        .t_count = 2,
                        .split_t = 12,
                        .teacher_start_t = 4,
                        .cfg_scale = 2,
                        .cfg_interval = -1,
                        .top_p = 1,
                        .temperature = 1,
                        .argmax = true};
    for (size_t i = 0; i < countof(noise); i++)
        noise[i] = (float)(i % 7) / 3 - 1;
    ModelBatch batch = {
        .count = B, .condition = {.labels = labels}, .noise = noise, .vectors = made->vectors, .pixels = made->pixels};
    assert_ok(sampler_reserve(sampler, B, &err), err);
    assert_ok(sampler_run(sampler, &plan, &batch, NULL, NULL, &err), err);
}

/* Each of the words between bars. */
static void assert_words(const char *file, const char *text, char *words)
{
    for (char *word; (word = strsep(&words, "|"));)
        if (!strstr(text, word))
            fail_msg("%s: \"%s\" is not in: %s", file, word, text);
}

static void check_row(Backend *be, const char *name, const char *role, char *says, char *facts, const Made *want)
{
    Err err = {0};
    char *path = xasprintf("%s/%s", folder, name);
    SamplerFiles files = files_with(role, path);
    bool rotary = strstr(facts, "freqs_cis in the file");
    bool noted = rotary || strstr(facts, "read from") || strstr(facts, "without names");
    files.heads = rotary ? 0 : files.heads;
    Sampler *sampler = sampler_open(&files, be, &err);
    if (strcmp(says, "ok") != 0) {
        if (sampler)
            fail_msg("%s was opened, wanted: %s", name, says);
        assert_words(name, err.text, says);
        assert_non_null(strstr(err.text, path));
        assert_int_equal(err.kind, ERR_FORMAT);
        free(path);
        return;
    }
    if (!sampler)
        fail_msg("%s: %s", name, err.text);
    Made made;
    make(sampler, &made);
    assert_memory_equal(&made, want, sizeof made);
    const Built *built = sampler_built(sampler);
    char *networks = cJSON_PrintUnformatted(cJSON_GetObjectItem(built->networks, role));
    char *notes = built->notes ? cJSON_PrintUnformatted(built->notes) : xstrdup("no notes");
    char *all = xasprintf("%s %s", networks, notes);
    assert_words(name, all, facts);
    if (built->notes && !noted)
        fail_msg("%s: it is noted that %s", name, notes);
    free(networks), free(notes), free(all), free(path);
    sampler_close(sampler);
}

static void test_altered_files(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    SamplerFiles plain = files_with("", NULL);
    Sampler *sampler = sampler_open(&plain, be, &err);
    assert_ok(sampler, err);
    Made want;
    make(sampler, &want);
    sampler_close(sampler);
    char *list = xasprintf("%s/models.tsv", folder), line[1000];
    FILE *rows = fopen(list, "r");
    assert_non_null(rows);
    int count = 0;
    for (; fgets(line, sizeof line, rows); count++) {
        char *at = line, *cells[4];
        line[strcspn(line, "\n")] = 0;
        for (int i = 0; i < 4; i++)
            cells[i] = strsep(&at, "\t");
        check_row(be, cells[0], cells[1], cells[2], cells[3], &want);
    }
    fclose(rows);
    free(list);
    if (count < 50)
        fail_msg("only %d files were tried", count);
    backend_close(be);
}

/* The part that is named is the one that is read, and there is no note then. */
static void test_part_is_chosen(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    char *path = xasprintf("%s/ema_beside.pt", folder);
    SamplerFiles files = files_with("student", path);
    files.student_part = "model";
    Sampler *sampler = sampler_open(&files, be, &err);
    assert_ok(sampler, err);
    const cJSON *student = cJSON_GetObjectItem(sampler_built(sampler)->networks, "student");
    assert_string_equal(cJSON_GetObjectItem(student, "part")->valuestring, "model");
    assert_null(sampler_built(sampler)->notes);
    char *line = built_line(sampler_built(sampler)->networks, 0);
    assert_non_null(strstr(line, "network=student part=model tensors=23 layers=2 width=128 "));
    assert_non_null(strstr(line, " heads=2 heads_from=set "));
    free(line);
    sampler_close(sampler);
    files.student_part = "best";
    assert_err(sampler_open(&files, be, &err), err, path, "no part 'best'", "model (23 tensors)");
    free(path);
    backend_close(be);
}

/* What is assumed is said: a size that was not published, and a grid that no file has. */
static void test_assumed(void **state)
{
    (void)state;
    Err err = {0};
    Backend *be = golden_backend();
    SamplerFiles files = files_with("", NULL);
    files.heads = files.grid = 0;
    Sampler *sampler = sampler_open(&files, be, &err);
    assert_ok(sampler, err);
    char *notes = cJSON_PrintUnformatted(sampler_built(sampler)->notes);
    assert_non_null(strstr(notes, "a model of width 128 with 2 layers has no published size, so 2 attention heads"));
    assert_non_null(strstr(notes, "so 8 (images of 32 pixels) was assumed by its 3 levels; set grid"));
    free(notes);
    sampler_close(sampler);
    backend_close(be);
}

/* --- sizes that no file has ------------------------------------------------------------------------ */

typedef struct Rotary {
    int64_t shape[3]; /* of freqs_cis; 0: there is none */
} Rotary;

static bool rotary_has(const void *ctx, const char *name)
{
    return strcmp(name, "freqs_cis") == 0 && ((const Rotary *)ctx)->shape[0];
}

static bool rotary_shape_of(const void *ctx, const char *name, int ndim, int64_t *shape, Err *err)
{
    (void)name, (void)err;
    memcpy(shape, ((const Rotary *)ctx)->shape, (size_t)ndim * sizeof *shape);
    return true;
}

static bool rotary_read(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst, Err *err)
{
    (void)ctx, (void)ndim, (void)shape, (void)dst;
    return err_set(err, ERR_INTERNAL, "%s is not to be read", name);
}

static Weights rotary_weights(const char *path, const Rotary *rotary)
{
    return (Weights){path, rotary, rotary_has, rotary_shape_of, rotary_read, NULL};
}

static void test_heads(void **state)
{
    (void)state;
    static const struct {
        int width, layers, given;
        int64_t pairs; /* of freqs_cis */
        int want;      /* 0: an error */
        bool assumed;
        const char *says;
    } rows[] = {
        {768, 12, 0, 0, 12, false, "GPT-B"},
        {1024, 24, 0, 0, 16, false, "GPT-L"},
        {1280, 36, 0, 0, 20, false, "GPT-XL"},
        {1536, 48, 0, 0, 24, false, "GPT-XXL"},
        {2560, 48, 0, 0, 40, false, "GPT-XXXL"},
        {3200, 24, 0, 0, 32, false, "GPT-3B"},
        {4096, 32, 0, 0, 32, false, "GPT-7B"},
        {128, 4, 0, 0, 2, false, "digits"},
        {3200, 24, 50, 0, 50, false, "set"},
        {3200, 20, 40, 0, 40, false, "set"},
        {3200, 24, 0, 50, 32, false, "freqs_cis"},
        {512, 6, 0, 16, 16, false, "freqs_cis"},
        {640, 7, 0, 0, 10, true, "assumed"},
        {1024, 23, 0, 0, 16, true, "assumed"},
        {128, 3, 0, 0, 2, true, "assumed"},
        {3200, 23, 0, 0, 0, false,
         "a model of width 3200 with 23 layers has no published size (GPT-3B has this width)"},
        {2624, 24, 0, 0, 0, false, "set heads"},
        {100, 2, 0, 0, 0, false,
         "width 100 with 2 layers has no published size, so the number of attention heads is not known; set heads"},
        {128, 2, 3, 0, 0, false, "cannot be split into 3 heads"},
        {128, 2, 2, 16, 0, false, "heads is 2, and the file's freqs_cis was made for 4"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        SizeChoice heads;
        Rotary rotary = {{rows[i].pairs ? 257 : 0, rows[i].pairs, 2}};
        Weights weights = rotary_weights("model.pt", &rotary);
        bool good = sizes_heads(&weights, "teacher", rows[i].width, rows[i].layers, rows[i].given, &heads, &err);
        assert_int_equal(good, rows[i].want != 0);
        assert_non_null(strstr(good ? heads.from : err.text, rows[i].says));
        if (good) {
            assert_int_equal(heads.value, rows[i].want);
            assert_int_equal(heads.assumed, rows[i].assumed);
        }
    }
}

static void test_grids(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int width, layers, levels, given;
        int64_t rows; /* of freqs_cis */
        int want;     /* 0: an error */
        bool assumed;
        const char *says;
    } rows[] = {
        {"llamagen-B.pt", 768, 12, 5, 0, 0, 16, false, "levels"},
        {"llamagen-L.pt", 1024, 24, 5, 0, 0, 16, false, "levels"},
        {"digits/student.pt", 128, 4, 3, 0, 0, 8, false, "levels"},
        {"c2i_L_384.pt", 1024, 24, 5, 24, 0, 24, false, "set"},
        {"c2i_3B_384.pt", 3200, 24, 5, 24, 0, 24, false, "set"},
        {"own.pt", 3200, 24, 5, 32, 0, 32, false, "set"},
        {"own.pt", 3200, 24, 5, 0, 577, 24, false, "freqs_cis"},
        {"c2i_XL_256.pt", 1280, 36, 5, 0, 0, 16, false, "levels"},
        {"own.pt", 512, 6, 5, 0, 0, 16, true, "assumed"},
        {"llamagen-L.pt", 1024, 24, 4, 0, 0, 32, true, "assumed"},
        {"run384.pt", 128, 4, 3, 0, 0, 8, false, "levels"},
        {"/a/256/c2i_L_384.pt", 1024, 24, 5, 0, 0, 0, false, "its name says 384 pixels|set grid (24 for 384 pixels)"},
        {"c2i_B_512.pt", 768, 12, 5, 0, 0, 0, false, "set grid (32 for 512 pixels)"},
        {"teacher.pt", 3200, 24, 5, 0, 0, 0, false, "GPT-3B was published for 384 pixels|24 for 384, 32 for 512"},
        {"teacher.pt", 1280, 36, 5, 0, 0, 0, false, "GPT-XL was published for 384 pixels"},
        {"teacher.pt", 1536, 48, 5, 0, 0, 0, false, "GPT-XXL"},
        {"own.pt", 768, 12, 5, 16, 577, 0, false, "freqs_cis was made for a grid of 24, and grid is 16"},
        {"own.pt", 768, 12, 5, 200, 0, 0, false, "it is 200 tokens per side, wanted 1 to 128"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        SizeChoice grid;
        Rotary rotary = {{rows[i].rows, 32, 2}};
        Weights weights = rotary_weights(rows[i].path, &rotary);
        SizedModel models[] = {{NULL, "student", 0, 0}, {&weights, "teacher", rows[i].width, rows[i].layers}};
        bool good = sizes_grid(models, 2, rows[i].levels, rows[i].given, &grid, &err);
        char *words = xstrdup(rows[i].says);
        assert_words(rows[i].path, good ? grid.from : err.text, words);
        free(words);
        assert_int_equal(good, rows[i].want != 0);
        if (good) {
            assert_int_equal(grid.value, rows[i].want);
            assert_int_equal(grid.assumed, rows[i].assumed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_altered_files), cmocka_unit_test(test_part_is_chosen), cmocka_unit_test(test_assumed),
        cmocka_unit_test(test_heads),         cmocka_unit_test(test_grids),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
