/* Numbers that come back with all their bits, and a page that no name can break. */
#include "worker/report.h"

#include <math.h>

#include "tests/test.h"

static void test_numbers(void **state)
{
    (void)state;
    static const double values[] = {0, 1, 1.715, 0.1, 1.0 / 3, 2.0101165314551395, 1e-300, 123456789012345678.0};
    for (size_t i = 0; i < countof(values); i++) {
        char text[32];
        report_number(values[i], text);
        assert_true(strtod(text, NULL) == values[i]);
    }
    char text[32];
    report_number(1.715, text);
    assert_string_equal(text, "1.715"); /* the shortest */
}

static char *json_of(const char *name, double fid, double published)
{
    JobSpec spec = {.kind = KIND_EVALUATE, .name = (char *)name, .source = "d", .published_fid = published};
    Identity identity = {.inputs = {{"inception", "a<b.pth", "00", 7}}, .count = 1};
    cJSON *list = cJSON_CreateArray(), *warnings = cJSON_CreateStringArray((const char *const[]){"a & b <i>"}, 1);
    Frechet frechet = {.fid = fid, .raw = fid, .mean_term = 1.0 / 3};
    Report report = {.spec = &spec,
                     .identity = &identity,
                     .images = 40,
                     .made = list,
                     .outputs = list,
                     .warnings = warnings,
                     .frechet = &frechet};
    report.seconds[PHASE_FEATURES] = 8;
    report.seconds[PHASE_LOAD] = 2;
    char *text = report_json(&report);
    cJSON_Delete(list);
    cJSON_Delete(warnings);
    return text;
}

static void test_json(void **state)
{
    (void)state;
    char *text = json_of("n", 2.0101165314551395, 1.5);
    cJSON *json = cJSON_Parse(text);
    assert_true(cJSON_GetObjectItem(json, "fid")->valuedouble == 2.0101165314551395);
    assert_true(cJSON_GetObjectItem(json, "difference")->valuedouble == 2.0101165314551395 - 1.5);
    assert_true(cJSON_GetObjectItem(json, "images_per_second")->valuedouble == 5);
    assert_true(cJSON_GetObjectItem(json, "seconds")->valuedouble == 10);
    cJSON_Delete(json);
    free(text);
    text = json_of("n", 1, NAN);
    json = cJSON_Parse(text);
    assert_null(cJSON_GetObjectItem(json, "published_fid"));
    cJSON_Delete(json);
    free(text);
}

static void test_page(void **state)
{
    (void)state;
    char *text = json_of("</title><script>alert(1)</script>", 2.01, 1.5);
    cJSON *json = cJSON_Parse(text);
    char *page = report_html(json, (const unsigned char *)"PNG?", 4);
    assert_null(strstr(page, "<script"));
    assert_non_null(strstr(page, "&lt;script&gt;"));
    assert_non_null(strstr(page, "a &amp; b &lt;i&gt;"));
    assert_non_null(strstr(page, "a&lt;b.pth"));
    assert_non_null(strstr(page, "base64,UE5HPw==\""));
    assert_non_null(strstr(page, "<b>2.010</b>"));
    assert_non_null(strstr(page, "<b>+0.510</b>"));
    free(page);
    page = report_html(json, NULL, 0);
    assert_null(strstr(page, "<img"));
    free(page);
    cJSON_Delete(json);
    free(text);
}

static void test_phases(void **state)
{
    (void)state;
    double seconds[PHASES] = {0}, back[PHASES] = {0};
    for (int phase = 0; phase < PHASES; phase++) {
        assert_int_equal(phase_parse(phase_name((Phase)phase)), phase);
        seconds[phase] = phase * 0.25;
    }
    assert_int_equal(phase_parse("lunch"), PHASE_NONE);
    cJSON *object = phases_to_json(seconds);
    cJSON_AddStringToObject(object, "lunch", "no number");
    phases_add_json(back, object);
    phases_add_json(back, NULL);
    assert_memory_equal(seconds, back, sizeof back);
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_page), cmocka_unit_test(test_phases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
