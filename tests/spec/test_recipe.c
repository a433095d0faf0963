/* Recipes: the installed ones have the published numbers; a bad file is an error. */
#include "tests/folder.h"

#include <math.h>

#include "spec/jobspec.h"
#include "spec/recipe.h"

/* The configurations of the release and of models/digits/README.md, written out a second time. */
static const struct {
    const char *name, *model, *reference;
    int t_count, t_list[2], split_t, teacher_start_t;
    int images;
    double fid, is, precision, recall; /* 0: not published */
} wanted[] = {
    {"b-1step", "llamagen-b-dd", "imagenet256", 1, {0}, 80, -1, 50000, 15.50, 135.4, 0.76, 0.26},
    {"b-2step", "llamagen-b-dd", "imagenet256", 2, {0, 80}, 80, -1, 50000, 11.17, 154.8, 0.80, 0.31},
    {"l-1step", "llamagen-l-dd", "imagenet256", 1, {0}, 130, -1, 50000, 11.35, 193.6, 0.81, 0.30},
    {"l-2step", "llamagen-l-dd", "imagenet256", 2, {0, 80}, 130, -1, 50000, 7.58, 237.5, 0.84, 0.37},
    {"l-teacher-22", "llamagen-l-dd", "imagenet256", 2, {0, 80}, 180, 60, 50000, 6.76, 231.4, 0.83, 0.40},
    {"l-teacher-42", "llamagen-l-dd", "imagenet256", 2, {0, 80}, 180, 40, 50000, 6.20, 233.8, 0.83, 0.41},
    {"l-teacher-81", "llamagen-l-dd", "imagenet256", 2, {0, 80}, 220, 0, 50000, 5.71, 238.6, 0.83, 0.43},
    {"digits-teacher", "digits", "digits", 2, {0, 64}, 64, 0, 5000, 0.749, 0, 0, 0},
    {"digits-1step", "digits", "digits", 1, {0}, 20, -1, 5000, 1.715, 0, 0, 0},
    {"digits-2step", "digits", "digits", 2, {0, 20}, 20, -1, 5000, 1.663, 0, 0, 0},
    {"digits-teacher-7", "digits", "digits", 2, {0, 20}, 45, 15, 5000, 1.112, 0, 0, 0},
    {"digits-teacher-12", "digits", "digits", 2, {0, 20}, 45, 10, 5000, 0.928, 0, 0, 0},
    {"digits-teacher-21", "digits", "digits", 2, {0, 20}, 55, 0, 5000, 0.915, 0, 0, 0},
};

static void check_published(double found, double published)
{
    assert_true(published > 0 ? found == published : isnan(found));
}

static void check_job(const cJSON *job, size_t row)
{
    JobSpec *spec;
    Err err = {0};
    assert_ok(jobspec_parse(job, FORM_QUEUED, &spec, &err), err);
    bool digits = strcmp(wanted[row].model, "digits") == 0;
    assert_int_equal(spec->kind, KIND_SAMPLE);
    assert_string_equal(spec->model, wanted[row].model);
    assert_string_equal(spec->reference, wanted[row].reference);
    assert_int_equal(spec->t_count, wanted[row].t_count);
    assert_memory_equal(spec->t_list, wanted[row].t_list, (size_t)spec->t_count * sizeof *spec->t_list);
    assert_int_equal(spec->split_t, wanted[row].split_t);
    assert_int_equal(spec->teacher_start_t, wanted[row].teacher_start_t);
    assert_int_equal(spec->images, wanted[row].images);
    check_published(spec->published_fid, wanted[row].fid);
    check_published(spec->published_is, wanted[row].is);
    check_published(spec->published_precision, wanted[row].precision);
    check_published(spec->published_recall, wanted[row].recall);
    assert_int_equal(spec->metrics, digits ? METRIC_FID : METRIC_FID | METRIC_IS);
    assert_true(spec->cfg_scale == (digits ? 1.5 : 2.0));
    assert_int_equal(spec->top_k, digits ? 0 : 8000);
    assert_int_equal(spec->cfg_interval, -1);
    assert_true(spec->top_p == 1.0 && spec->temperature == 1.0);
    assert_int_equal(spec->classes, digits ? CLASSES_BALANCED : CLASSES_UNIFORM);
    assert_int_equal(spec->seed, 0);
    assert_true(spec->save & SAVE_PNG);
    jobspec_free(spec);
}

static void test_published_numbers(void **state)
{
    (void)state;
    RecipeList list;
    Err err = {0};
    assert_ok(recipes_load(NULL, &list, &err), err);
    const Recipe *table = recipe_find(&list, "digits-table");
    assert_non_null(table);
    assert_int_equal(cJSON_GetArraySize(table->jobs), 6);
    int in_table = 0;
    for (size_t row = 0; row < countof(wanted); row++) {
        const Recipe *recipe = recipe_find(&list, wanted[row].name);
        if (!recipe)
            fail_msg("no recipe %s", wanted[row].name);
        assert_int_equal(cJSON_GetArraySize(recipe->jobs), 1);
        check_job(recipe->jobs->child, row);
        if (strncmp(wanted[row].name, "digits", 6) == 0)
            check_job(cJSON_GetArrayItem(table->jobs, in_table++), row);
    }
    for (int i = 1; i < list.count; i++)
        assert_true(strverscmp(list.items[i - 1].name, list.items[i].name) < 0);
    assert_null(recipe_find(&list, "l-3step"));
    recipes_free(&list);
}

static void test_own_folder_hides_and_names_the_recipe(void **state)
{
    (void)state;
    folder_write("l-2step.json", "{\"about\": \"a\", \"source\": \"s\", \"jobs\": [{\"kind\": \"sample\", \"model\": "
                                 "\"mine\", \"t_list\": [0], \"split_t\": 1, \"images\": 7}]}");
    folder_write("notes.txt", "not a recipe");
    RecipeList list;
    Err err = {0};
    assert_ok(recipes_load(folder, &list, &err), err);
    const Recipe *recipe = recipe_find(&list, "l-2step");
    assert_int_equal(cJSON_GetObjectItem(recipe->jobs->child, "images")->valueint, 7);
    assert_string_equal(cJSON_GetObjectItem(recipe->jobs->child, "recipe")->valuestring, "l-2step");
    assert_non_null(recipe_find(&list, "l-1step"));
    assert_null(recipe_find(&list, "notes"));
    recipes_free(&list);
}

static void test_bad_recipes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words[3];
    } cases[] = {
        {"", {"bad.json", "0 bytes", ""}},
        {"{\n\n\"about\": }", {"bad.json", "not JSON", "line 3"}},
        {"[1]", {"not a JSON object", "", ""}},
        {"{\"abuot\": \"x\"}", {"abuot", "about", ""}},
        {"{\"about\": 3, \"source\": \"s\", \"jobs\": []}", {"about", "not a text", ""}},
        {"{\"about\": \"a\", \"jobs\": []}", {"source", "missing", ""}},
        {"{\"about\": \"a\", \"source\": \"s\"}", {"jobs", "missing", ""}},
        {"{\"about\": \"a\", \"source\": \"s\", \"jobs\": []}", {"jobs", "at least one", ""}},
        {"{\"about\": \"a\", \"source\": \"s\", \"jobs\": [7]}", {"jobs[0]", "", ""}},
        {"{\"about\": \"a\", \"source\": \"s\", \"jobs\": [{\"kind\": \"sample\", \"model\": \"m\", \"t_lst\": [0], "
         "\"images\": 1}]}",
         {"jobs[0]", "t_lst", "t_list"}},
        {"{\"about\": \"a\", \"source\": \"s\", \"jobs\": [{\"kind\": \"sample\", \"model\": \"m\", \"split_t\": 1, "
         "\"t_list\": [0], "
         "\"images\": 0}]}",
         {"jobs[0]", "images", "0"}},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        RecipeList list = {0};
        Err err = {0};
        folder_write("bad.json", cases[i].text);
        assert_err(recipes_load(folder, &list, &err), err, "bad.json", cases[i].words[0], cases[i].words[1],
                   cases[i].words[2]);
        assert_int_equal(list.count, 0);
    }
    RecipeList list = {0};
    Err err = {0};
    assert_err(recipes_load("/nowhere/recipes", &list, &err), err, "/nowhere/recipes", "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_numbers),
        cmocka_unit_test_setup_teardown(test_own_folder_hides_and_names_the_recipe, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_bad_recipes, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
