/* Job specs: every default, every range, every message, and the way round through JSON. */
#include "spec/jobspec.h"

#include <math.h>

#include "spec/jobspec_parts.h"
#include "spec/jobtraits.h"
#include "tests/test.h"

#define SAMPLE_EXEC   "\"kind\":\"sample\",\"student\":\"s\",\"tokenizer\":\"v\",\"split_t\":80,\"output\":\"o\""
#define SAMPLE_QUEUED "\"kind\":\"sample\",\"model\":\"digits\",\"split_t\":20"

static void test_defaults(void **state)
{
    (void)state;
    Err err = {0};
    JobSpec *spec = NULL;
    assert_ok(jobspec_parse_text("{" SAMPLE_EXEC ",\"images\":10}", FORM_EXEC, &spec, &err), err);
    assert_int_equal(spec->kind, KIND_SAMPLE);
    assert_int_equal(spec->t_count, 1);
    assert_int_equal(spec->t_list[0], 0);
    assert_int_equal(spec->split_t, 80);
    assert_int_equal(spec->teacher_start_t, -1);
    assert_true(spec->cfg_scale == 2.0 && spec->top_p == 1.0 && spec->temperature == 1.0);
    assert_int_equal(spec->cfg_interval, -1);
    assert_int_equal(spec->top_k, 8000);
    assert_int_equal(spec->pick, PICK_SAMPLE);
    assert_int_equal(spec->images, 10);
    assert_int_equal(spec->seed, 0);
    assert_int_equal(spec->classes, CLASSES_UNIFORM);
    assert_int_equal(spec->precision, PRECISION_AUTO);
    assert_int_equal(spec->save, SAVE_PNG);
    assert_int_equal(spec->heads, 0);
    assert_int_equal(spec->batch, 0);
    assert_string_equal(spec->device, "cpu");
    assert_true(isnan(spec->published_fid));
    assert_null(spec->noise);
    jobspec_free(spec);
    jobspec_free(NULL);
}

static const char whole[] =
    "{\"kind\":\"sample\",\"name\":\"my-job.1\",\"recipe\":\"r\",\"model\":\"m\",\"student\":\"s.pt\",\"tokenizer\":"
    "\"v.pt\","
    "\"teacher\":\"t.pt\",\"heads\":4,\"grid\":8,\"t_list\":[0,20],\"split_t\":45,\"teacher_start_t\":10,\"cfg_scale\":"
    "1.5,"
    "\"cfg_interval\":7,\"top_k\":0,\"top_p\":0.9,\"temperature\":0.5,\"pick\":\"argmax\",\"images\":1000000000,"
    "\"seed\":99999999999999,\"classes\":[3,1,3],\"noise\":\"n.npy\",\"labels\":\"l.npy\",\"precision\":\"bf16\","
    "\"batch\":5,"
    "\"save\":[\"png\",\"codes\",\"features\"],\"inception\":\"i.pth\",\"reference\":\"r.npz\","
    "\"metrics\":[\"fid\",\"is\",\"prdc\"],\"pipeline\":\"both\",\"neighbours\":5,\"like\":\"pytorch-fid\","
    "\"published_fid\":6.76,\"published_is\":231.4,\"published_precision\":0.83,\"published_recall\":0.4,"
    "\"device\":\"GPU-1\",\"output\":\"out\"}";

static void test_there_and_back(void **state)
{
    (void)state;
    Err err = {0};
    JobSpec *spec = NULL;
    assert_ok(jobspec_parse_text(whole, FORM_EXEC, &spec, &err), err);
    assert_int_equal(spec->class_count, 3);
    assert_int_equal(spec->class_list[1], 1);
    assert_int_equal(spec->save, SAVE_PNG | SAVE_CODES | SAVE_FEATURES);
    assert_true(spec->seed == 99999999999999u);
    cJSON *object = jobspec_to_json(spec, FORM_EXEC);
    char *text = cJSON_PrintUnformatted(object);
    assert_string_equal(text, whole);
    cJSON_free(text);
    cJSON_Delete(object);
    jobspec_free(spec);
}

static void test_other_kinds(void **state)
{
    (void)state;
    Err err = {0};
    JobSpec *spec = NULL;
    assert_ok(jobspec_parse_text("{\"kind\":\"evaluate\",\"images\":\"d\",\"inception\":\"i\",\"reference\":\"r\","
                                 "\"save\":[\"features\"],\"output\":\"o\"}",
                                 FORM_EXEC, &spec, &err),
              err);
    assert_string_equal(spec->source, "d");
    assert_int_equal(spec->save, SAVE_FEATURES);
    cJSON *object = jobspec_to_json(spec, FORM_EXEC);
    assert_string_equal(cJSON_GetObjectItem(object, "images")->valuestring, "d");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(object, "save")), 1);
    assert_null(cJSON_GetObjectItem(object, "t_list"));
    cJSON_Delete(object);
    jobspec_free(spec);

    assert_ok(jobspec_parse_text("{\"kind\":\"statistics\",\"images\":\"d\"}", FORM_QUEUED, &spec, &err), err);
    assert_null(spec->device);
    jobspec_free(spec);

    /* the teacher alone: no student, no split */
    assert_ok(jobspec_parse_text("{\"kind\":\"sample\",\"teacher\":\"t\",\"tokenizer\":\"v\",\"teacher_start_t\":0,"
                                 "\"t_list\":[0,64],\"images\":3,\"output\":\"o\"}",
                                 FORM_EXEC, &spec, &err),
              err);
    assert_int_equal(spec->split_t, -1);
    object = jobspec_to_json(spec, FORM_EXEC);
    assert_null(cJSON_GetObjectItem(object, "split_t"));
    cJSON_Delete(object);
    jobspec_free(spec);
}

#define EVALUATE_EXEC "\"kind\":\"evaluate\",\"images\":\"d\",\"inception\":\"i\",\"output\":\"o\""

/* The metrics of a job with and without the field; older specs keep their meaning. */
static void test_metrics(void **state)
{
    (void)state;
    static const struct {
        JobForm form;
        const char *json;
        unsigned metrics;
    } rows[] = {
        {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1}", 0},
        {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"inception\":\"i\"}", 0},
        {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"inception\":\"i\",\"reference\":\"r\"}", METRIC_FID},
        {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"inception\":\"i\",\"metrics\":[\"is\"]}", METRIC_IS},
        {FORM_QUEUED, "{" SAMPLE_QUEUED ",\"images\":1}", 0},
        {FORM_QUEUED, "{" SAMPLE_QUEUED ",\"images\":1,\"reference\":\"r\"}", METRIC_FID},
        {FORM_QUEUED, "{" SAMPLE_QUEUED ",\"images\":1,\"reference\":\"r\",\"metrics\":[]}", 0},
        {FORM_QUEUED, "{" SAMPLE_QUEUED ",\"images\":1,\"metrics\":[\"is\"]}", METRIC_IS},
        {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\"}", METRIC_FID},
        {FORM_EXEC, "{" EVALUATE_EXEC ",\"metrics\":[\"is\"]}", METRIC_IS},
        {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\",\"metrics\":[\"kid\",\"sfid\"]}", METRIC_KID | METRIC_SFID},
        {FORM_EXEC, "{\"kind\":\"statistics\",\"images\":\"d\",\"inception\":\"i\",\"output\":\"o\"}", 0},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        JobSpec *spec = NULL;
        assert_ok(jobspec_parse_text(rows[i].json, rows[i].form, &spec, &err), err);
        assert_int_equal(spec->metrics, rows[i].metrics);
        assert_int_equal(spec->pipeline, PIPELINE_AUTO);
        assert_int_equal(spec->like, LIKE_EXACT);
        assert_int_equal(spec->skip_bad, 0);
        assert_int_equal(spec->neighbours, spec->kind == KIND_STATISTICS ? 0 : 3);
        cJSON *object = jobspec_to_json(spec, rows[i].form);
        JobSpec *again = NULL;
        assert_ok(jobspec_parse(object, rows[i].form, &again, &err), err);
        assert_int_equal(again->metrics, rows[i].metrics);
        cJSON_Delete(object);
        jobspec_free(again);
        jobspec_free(spec);
    }
    assert_string_equal(metric_word(METRIC_PRDC | METRIC_FID_INF), "prdc");
}

static const struct {
    JobForm form;
    const char *json, *words[3];
} refused[] = {
    {FORM_EXEC, "{", {"not JSON", "line 1", ""}},
    {FORM_EXEC, "{} x", {"not JSON", "", ""}},
    {FORM_EXEC, "[]", {"not a JSON object", "", ""}},
    {FORM_EXEC, "{\"kind\":\"smaple\"}", {"kind", "smaple", "sample, evaluate or statistics"}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"split-t\":4}", {"split-t", "did you mean split_t?", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"teperature\":4}", {"teperature", "did you mean temperature?", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"zzzzzzzz\":4}", {"unknown field", "describe", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"images\":2}", {"images", "twice", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"Seed\":2}", {"Seed", "did you mean seed?", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC "}", {"images", "missing", "Number of images"}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":null}", {"images", "missing", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":0}", {"images: 0", "1 to 1000000000", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":-5}", {"images: -5", "", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1000000000000}", {"images: 1000000000000", "1 to 1000000000", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1e400}", {"images", "1 to 1000000000", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1.5}", {"images: 1.5", "integer", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":\"12\"}", {"images: \"12\"", "integer", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":true}", {"images: true", "integer", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"seed\":100000000000000}", {"seed", "99999999999999", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"cfg_scale\":1e400}", {"cfg_scale", "0 to 1000", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"top_p\":1.5}", {"top_p: 1.5", "0 to 1", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"t_list\":[]}", {"t_list: []", "starts with 0", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"t_list\":[1]}", {"t_list: [1]", "starts with 0", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"t_list\":[0,5,5]}", {"t_list: [0,5,5]", "increases", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"t_list\":[0,2.5]}", {"t_list: [0,2.5]", "integers", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"t_list\":\"0,80\"}", {"t_list: \"0,80\"", "a list", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"classes\":\"even\"}", {"classes: \"even\"", "uniform, balanced", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"classes\":[-1]}", {"classes: [-1]", "", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"save\":[\"jpg\"]}", {"save: [\"jpg\"]", "png npz codes", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"save\":\"png\"}", {"save: \"png\"", "a list", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"save\":[\"features\"]}", {"inception", "missing", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"reference\":\"r\"}", {"inception", "missing", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"noise\":\"\"}", {"noise: \"\"", "text", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"noise\":\"a\\nb\"}", {"noise", "control character 10", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"name\":\"../up\"}", {"name: \"../up\"", "letters", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"teacher_start_t\":3}", {"t_list", "wanted two", ""}},
    {FORM_EXEC,
     "{" SAMPLE_EXEC ",\"images\":1,\"teacher_start_t\":9,\"t_list\":[0,9]}",
     {"teacher_start_t: 9", "less than 9", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"teacher_start_t\":3,\"t_list\":[0,9]}", {"teacher", "missing", ""}},
    {FORM_EXEC, "{\"tokenizer\":\"v\",\"split_t\":1,\"output\":\"o\",\"images\":1}", {"student", "missing", ""}},
    {FORM_EXEC, "{\"student\":\"s\",\"tokenizer\":\"v\",\"output\":\"o\",\"images\":1}", {"split_t", "missing", ""}},
    {FORM_EXEC,
     "{\"kind\":\"evaluate\",\"images\":5,\"inception\":\"i\",\"reference\":\"r\",\"output\":\"o\"}",
     {"images: 5", "text", ""}},
    {FORM_EXEC,
     "{\"kind\":\"evaluate\",\"images\":\"d\",\"inception\":\"i\",\"output\":\"o\"}",
     {"reference", "missing", ""}},
    {FORM_EXEC,
     "{\"kind\":\"evaluate\",\"images\":\"d\",\"inception\":\"i\",\"reference\":\"r\",\"output\":\"o\",\"save\":["
     "\"png\"]}",
     {"save: [\"png\"]", "any of features", ""}},
    {FORM_EXEC,
     "{\"kind\":\"statistics\",\"images\":\"d\",\"seed\":1,\"inception\":\"i\",\"output\":\"o\"}",
     {"seed", "not a field of an exec statistics job", ""}},
    {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\",\"metrics\":[]}", {"metrics", "empty", "fid sfid is"}},
    {FORM_EXEC, "{" EVALUATE_EXEC ",\"metrics\":[\"is\",\"kid\"]}", {"reference", "missing", "metrics kid"}},
    {FORM_EXEC,
     "{" EVALUATE_EXEC ",\"reference\":\"r\",\"metrics\":[\"fdi\"]}",
     {"metrics: [\"fdi\"]", "any of fid sfid is kid prdc fid_inf", ""}},
    {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\",\"neighbours\":0}", {"neighbours: 0", "1 to 100", ""}},
    {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\",\"pipeline\":\"tv\"}", {"pipeline", "pt, tf or both", ""}},
    {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\",\"like\":\"tf\"}", {"like", "exact or pytorch-fid", ""}},
    {FORM_EXEC, "{" EVALUATE_EXEC ",\"reference\":\"r\",\"skip_bad\":true}", {"skip_bad: true", "no or yes", ""}},
    {FORM_EXEC,
     "{\"kind\":\"statistics\",\"images\":\"d\",\"pipeline\":\"both\",\"inception\":\"i\",\"output\":\"o\"}",
     {"pipeline: \"both\"", "pt or tf", ""}},
    {FORM_EXEC, "{" SAMPLE_EXEC ",\"images\":1,\"metrics\":[\"is\"]}", {"inception", "missing", "metrics is"}},
    {FORM_EXEC,
     "{" SAMPLE_EXEC ",\"images\":1,\"inception\":\"i\",\"metrics\":[\"prdc\"]}",
     {"reference", "missing", "metrics prdc"}},
    {FORM_QUEUED,
     "{" SAMPLE_QUEUED ",\"images\":1,\"metrics\":[\"fid_inf\"]}",
     {"reference", "missing", "metrics fid_inf"}},
    {FORM_EXEC,
     "{" SAMPLE_EXEC ",\"images\":1,\"skip_bad\":\"yes\"}",
     {"skip_bad", "not a field of an exec sample job", ""}},
    {FORM_QUEUED,
     "{" SAMPLE_QUEUED ",\"images\":1,\"output\":\"o\"}",
     {"output", "not a field of a queued sample job", ""}},
    {FORM_QUEUED,
     "{" SAMPLE_QUEUED ",\"images\":1,\"student\":\"o\"}",
     {"student", "not a field of a queued sample job", ""}},
    {FORM_QUEUED, "{\"split_t\":1,\"images\":1}", {"model", "missing", ""}},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(refused); i++) {
        Err err = {0};
        JobSpec *untouched = (JobSpec *)&err, *spec = untouched;
        assert_err(jobspec_parse_text(refused[i].json, refused[i].form, &spec, &err), err, refused[i].words[0],
                   refused[i].words[1], refused[i].words[2]);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_ptr_equal(spec, untouched);
    }
}

static void test_text(void **state)
{
    (void)state;
    Err err = {0};
    static const struct {
        const char *field, *text, *json;
    } rows[] = {
        {"t_list", "0,80", "[0,80]"},
        {"cfg_scale", "1.5", "1.5"},
        {"save", "png,codes", "[\"png\",\"codes\"]"},
        {"classes", "balanced", "\"balanced\""},
        {"classes", "7,7", "[7,7]"},
        {"images", "64", "64"},
        {"images", "some/folder", "\"some/folder\""},
        {"pick", "argmax", "\"argmax\""},
        {"save", "", "[]"},
        {"metrics", "fid,kid", "[\"fid\",\"kid\"]"},
        {"neighbours", "5", "5"},
    };
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < countof(rows); i++) {
        assert_ok(jobspec_set_text(object, rows[i].field, rows[i].text, &err), err);
        char *json = cJSON_PrintUnformatted(cJSON_GetObjectItem(object, rows[i].field));
        assert_string_equal(json, rows[i].json);
        cJSON_free(json);
    }
    assert_err(jobspec_set_text(object, "imgaes", "1", &err), err, "imgaes", "did you mean images?");
    assert_err(jobspec_set_text(object, "seed", "12x", &err), err, "seed", "12x", "integer");
    assert_err(jobspec_set_text(object, "top_p", "inf", &err), err, "top_p", "number");
    assert_err(jobspec_set_text(object, "t_list", "0,,4", &err), err, "t_list", "0,,4");
    cJSON_AddStringToObject(object, "kind", "evaluate");
    assert_ok(jobspec_set_text(object, "images", "64", &err), err); /* a folder called 64 */
    assert_true(cJSON_IsString(cJSON_GetObjectItem(object, "images")));
    cJSON_Delete(object);
}

static void test_names(void **state)
{
    (void)state;
    int count = 0;
    for (; jobspec_field_name(count); count++)
        for (int before = 0; before < count; before++)
            assert_string_not_equal(jobspec_field_name(before), jobspec_field_name(count));
    assert_in_range(count, 30, 60);
    assert_null(jobspec_field_name(count + 1));
    static const char *const names[] = {"images", "seed", NULL, "t_list"};
    assert_string_equal(nearest_name("image", names, 4), "images");
    assert_string_equal(nearest_name("sede", names, 4), "seed");
    assert_string_equal(nearest_name("t-list", names, 4), "t_list");
    assert_null(nearest_name("precision", names, 4));
    assert_null(nearest_name("", names, 4));
    for (int kind = 0; kind < JOB_KINDS; kind++) {
        char *text = jobspec_describe((JobKind)kind, FORM_EXEC);
        assert_non_null(strstr(text, "output"));
        free(text);
    }
}

static void test_page(void **state)
{
    (void)state;
    char *text = jobspec_print();
    FILE *file = fopen(SOURCE_DIR "/docs/jobspec.md", "r");
    assert_non_null(file);
    Buf page = {0};
    for (int c; (c = fgetc(file)) != EOF;)
        buf_add(&page, &(char){(char)c}, 1);
    fclose(file);
    if (strcmp(text, page.data) != 0)
        fail_msg(
            "docs/jobspec.md differs from the table; print it with: ddq-worker describe --markdown > docs/jobspec.md");
    buf_free(&page);
    free(text);
}

/* Every row has exactly one role, the same in all rows of its name. */
static void test_roles(void **state)
{
    (void)state;
    const JobField *row;
    int rows = 0;
    for (; (row = jobspec_row(rows)); rows++) {
        if (row->role < CHANGES_PIXELS || row->role >= FIELD_ROLES || row->role != jobspec_field_role(row->name))
            fail_msg("field %s has no role, or two", row->name);
        if (row->traits & ~(unsigned)FIELD_TRAITS)
            fail_msg("field %s has an unknown trait", row->name);
        bool kept = jobspec_field_has(row->name, KEPT_BY_THEN), moved = jobspec_field_has(row->name, MOVED_BY_THEN);
        assert_false(kept && moved);
        assert_true(!jobspec_field_has(row->name, PUBLISHED) || row->role == CHANGES_REPORT);
    }
    assert_true(rows > 40);
    assert_null(jobspec_row(-1));
    assert_int_equal(jobspec_field_role("no_such_field"), 0);
    assert_false(jobspec_field_has("no_such_field", ~0u));
}

static void check_submission(const char *json, const char *wanted)
{
    JobSpec *spec = NULL;
    Err err = {0};
    assert_ok(jobspec_parse_text(json, FORM_QUEUED, &spec, &err), err);
    cJSON *object = jobspec_to_json(spec, FORM_QUEUED), *args = jobspec_submission(object);
    char *text = cJSON_PrintUnformatted(args);
    assert_string_equal(text, wanted);
    cJSON_free(text);
    cJSON_Delete(args);
    cJSON_Delete(object);
    jobspec_free(spec);
}

/* Pace and load are the keys of earlier measurements: with other words a running queue would lose them. */
static void test_submission(void **state)
{
    (void)state;
    check_submission("{" SAMPLE_QUEUED ",\"images\":9}",
                     "{\"kind\":\"sample\",\"model\":\"digits\",\"images\":9,\"needs\":[\"model:digits\"],"
                     "\"pace\":\"sample digits [0] 20 - 2 - -\",\"load\":\"sample digits - 0 -\"}");
    check_submission("{" SAMPLE_QUEUED
                     ",\"images\":9,\"name\":\"n\",\"device\":\"cuda\",\"reference\":\"r\",\"t_list\":[0,20],"
                     "\"teacher_start_t\":3,\"cfg_scale\":1.5,\"precision\":\"fp16\",\"pipeline\":\"tf\",\"batch\":8,"
                     "\"noise\":\"n.npy\"}",
                     "{\"kind\":\"sample\",\"name\":\"n\",\"model\":\"digits\",\"images\":9,\"device\":\"cuda\","
                     "\"needs\":[\"model:digits\",\"reference:r\"],\"inputs\":{\"noise\":\"n.npy\"},"
                     "\"pace\":\"sample digits [0,20] 20 3 1.5 \\\"fp16\\\" \\\"tf\\\"\","
                     "\"load\":\"sample digits \\\"fp16\\\" 8 teacher\"}");
    check_submission("{\"kind\":\"statistics\",\"images\":\"d\"}",
                     "{\"kind\":\"statistics\",\"needs\":[\"inception\"],\"inputs\":{\"images\":\"d\"},\"pace\":"
                     "\"statistics  - - - - - -\","
                     "\"load\":\"statistics  - 0 -\"}");
    check_submission("{\"kind\":\"evaluate\",\"images\":\"d\",\"metrics\":[\"is\"]}",
                     "{\"kind\":\"evaluate\",\"needs\":[\"inception\"],\"inputs\":{\"images\":\"d\"},\"pace\":"
                     "\"evaluate  - - - - - -\","
                     "\"load\":\"evaluate  - 0 -\"}");
}

/* What is not as in the recipe, and whether published values still apply. */
static void test_changes(void **state)
{
    (void)state;
    static const char *const from =
        "{\"kind\":\"sample\",\"recipe\":\"r\",\"model\":\"m\",\"t_list\":[0,20],\"images\":5,\"published_fid\":1.5,";
    static const struct {
        const char *from, *to, *changed;
        bool keeps;
    } rows[] = {
        {"\"seed\":0}", "\"seed\":0}", NULL, true},
        {"\"seed\":0}", "\"seed\":4}", "seed 4", true},
        {"\"seed\":0}", "\"seed\":4,\"split_t\":30}", "split_t 30, seed 4", false},
        {"\"split_t\":30}", "\"split_t\":null}", "split_t none", false},
        {"\"name\":\"a\",\"batch\":3}", "\"name\":\"b\",\"batch\":4}", NULL, true}, /* no result depends on these */
        {"\"classes\":\"balanced\"}", "\"classes\":[1,2,3]}", "classes 1,2,3", false},
        {"\"reference\":\"a\"}", "\"reference\":\"b, c\"}", "reference b, c", false},
        {"\"top_p\":0.5}", "\"published_is\":3}", "top_p none, published_is 3", true}, /* given for just these */
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *before = xasprintf("%s%s", from, rows[i].from), *after = xasprintf("%s%s", from, rows[i].to);
        cJSON *was = cJSON_Parse(before), *is = cJSON_Parse(after);
        assert_true(was && is);
        char *changed = jobspec_changes(was, is);
        if (strcmp(changed ? changed : "", rows[i].changed ? rows[i].changed : "") != 0)
            fail_msg("row %zu: \"%s\", wanted \"%s\"", i, changed ? changed : "",
                     rows[i].changed ? rows[i].changed : "");
        if (jobspec_changes_keep_published(changed) != rows[i].keeps)
            fail_msg("row %zu: published values %s", i, rows[i].keeps ? "apply" : "do not apply");
        free(changed);
        free(before);
        free(after);
        cJSON_Delete(was);
        cJSON_Delete(is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_text),           cmocka_unit_test(test_names),
        cmocka_unit_test(test_page),     cmocka_unit_test(test_metrics),        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_changes),  cmocka_unit_test(test_submission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
