/* Numbers that keep all their bits, and a page that no name can break. */
#include "core/json.h"
#include "worker/report/report.h"

#include <math.h>

#include "spec/report/figure.h"
#include "tests/test.h"
#include "worker/report/svg.h"

static void test_numbers(void **state)
{
    (void)state;
    static const double values[] = {0, 1, 1.715, 0.1, 1.0 / 3, 2.0101165314551395, 1e-300, 123456789012345678.0};
    for (size_t i = 0; i < countof(values); i++) {
        char text[32];
        json_number_text(values[i], text);
        assert_true(strtod(text, NULL) == values[i]);
    }
    char text[32];
    json_number_text(1.715, text);
    assert_string_equal(text, "1.715"); /* the shortest */
}

/* What an evaluation adds, with one interval and a curve. */
static cJSON *measured_of(double fid)
{
    cJSON *measured = cJSON_CreateObject(), *reference = cJSON_AddObjectToObject(measured, "reference");
    cJSON_AddStringToObject(measured, "pipeline", "pt");
    json_add_number(measured, "fid", fid);
    json_add_number(measured, "fid_low", fid - 0.25);
    json_add_number(measured, "fid_high", fid + 0.25);
    json_add_number(measured, "precision", 0.75);
    cJSON_AddStringToObject(reference, "name", "im&net");
    cJSON *curve = cJSON_AddObjectToObject(measured, "curve");
    cJSON_AddItemToObject(curve, "images", json_numbers((const double[]){100, 200, 400}, 3));
    cJSON_AddItemToObject(curve, "fid", json_numbers((const double[]){fid + 3, fid + 1, fid}, 3));
    json_add_number(curve, "infinity", fid - 1);
    json_add_number(curve, "slope", 400);
    cJSON *histogram = cJSON_AddObjectToObject(measured, "histogram");
    json_add_number(histogram, "low", 1);
    json_add_number(histogram, "high", 3);
    cJSON_AddItemToObject(histogram, "nearest_reference", json_numbers((const double[]){3, 1}, 2));
    cJSON_AddItemToObject(histogram, "reference_radius", json_numbers((const double[]){4, 4}, 2));
    return measured;
}

static char *json_of(const char *name, double fid, double published)
{
    JobSpec spec = {.kind = KIND_EVALUATE,
                    .name = (char *)name,
                    .source = "d",
                    .published_fid = published,
                    .published_is = NAN,
                    .published_precision = isfinite(published) ? 0.8 : NAN,
                    .published_recall = 0.5};
    Identity identity = {.inputs = {{"inception", "a<b.pth", "00", 7}}, .count = 1};
    cJSON *list = cJSON_CreateArray(), *warnings = cJSON_CreateStringArray((const char *const[]){"a & b <i>"}, 1);
    cJSON *measured = measured_of(fid);
    Report report = {.spec = &spec,
                     .identity = &identity,
                     .images = 40,
                     .made = list,
                     .outputs = list,
                     .warnings = warnings,
                     .measured = measured};
    report.seconds[STAGE_FEATURES] = 8;
    report.seconds[STAGE_LOAD] = 2;
    char *text = report_json(&report);
    cJSON_Delete(list);
    cJSON_Delete(warnings);
    cJSON_Delete(measured);
    return text;
}

static const char *text_at(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    return text ? text : "(none)";
}

static void test_json(void **state)
{
    (void)state;
    char *text = json_of("n", 2.0101165314551395, 1.5);
    cJSON *json = cJSON_Parse(text);
    assert_true(cJSON_GetObjectItem(json, "fid")->valuedouble == 2.0101165314551395);
    assert_true(cJSON_GetObjectItem(json, "fid_low")->valuedouble == 2.0101165314551395 - 0.25);
    assert_true(cJSON_GetObjectItem(json, "difference")->valuedouble == 2.0101165314551395 - 1.5);
    assert_true(cJSON_GetObjectItem(json, "images_per_second")->valuedouble == 5);
    assert_true(cJSON_GetObjectItem(json, "seconds")->valuedouble == 10);
    cJSON_Delete(json);
    free(text);
    text = json_of("n", 1, NAN);
    json = cJSON_Parse(text);
    assert_null(cJSON_GetObjectItem(json, "published_fid"));
    assert_null(cJSON_GetObjectItem(json, "published")); /* a published recall, and none was measured */
    cJSON_Delete(json);
    free(text);
}

static void test_published(void **state)
{
    (void)state;
    char *text = json_of("n", 11.41, 11.35);
    cJSON *json = cJSON_Parse(text), *list = cJSON_GetObjectItem(json, "published");
    assert_int_equal(cJSON_GetArraySize(list), 2);
    cJSON *fid = cJSON_GetArrayItem(list, 0), *precision = cJSON_GetArrayItem(list, 1);
    assert_string_equal(text_at(fid, "figure"), "fid");
    assert_string_equal(text_at(fid, "text"),
                        "measured 11.410 [11.160, 11.660] vs published 11.35: within the interval");
    assert_string_equal(text_at(precision, "text"), "measured 0.7500 vs published 0.8: difference -0.0500");
    assert_true(fabs(cJSON_GetObjectItem(precision, "difference")->valuedouble + 0.05) < 1e-12);
    cJSON_Delete(json);
    free(text);
    const struct {
        double published;
        const char *verdict;
    } rows[] = {{11.7, "above the interval"}, {11.1, "below the interval"}, {11.660, "within the interval"}};
    for (size_t i = 0; i < countof(rows); i++) {
        text = json_of("n", 11.41, rows[i].published);
        json = cJSON_Parse(text);
        assert_string_equal(text_at(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "published"), 0), "verdict"),
                            rows[i].verdict);
        cJSON_Delete(json);
        free(text);
    }
}

static void test_nothing_measured(void **state)
{
    (void)state;
    JobSpec spec = {.kind = KIND_STATISTICS, .source = "d", .published_fid = NAN};
    Identity identity = {.count = 0};
    cJSON *list = cJSON_CreateArray();
    Report report = {
        .spec = &spec, .identity = &identity, .images = 1, .made = list, .outputs = list, .warnings = list};
    char *text = report_json(&report);
    cJSON *json = cJSON_Parse(text);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "fid"))); /* never a number that was not measured */
    for (int i = 1; figure_at(i); i++)
        assert_null(cJSON_GetObjectItem(json, figure_at(i)->key));
    Page none = {.sheet_size = 0};
    char *page = report_html(json, &none);
    assert_null(strstr(page, "<img"));
    assert_null(strstr(page, "<svg"));
    assert_null(strstr(page, "FID"));
    free(page);
    cJSON_Delete(json);
    cJSON_Delete(list);
    free(text);
}

static void test_page(void **state)
{
    (void)state;
    char *text = json_of("</title><script>alert(1)</script>", 2.01, 1.5);
    cJSON *json = cJSON_Parse(text);
    Picture pictures[] = {{.caption = "image 7: \"1\" of 2", .png = (unsigned char *)"PNG!", .size = 4}};
    Gallery galleries[] = {{.title = "Farthest from the reference", .about = "a<b", .pictures = pictures, .count = 1}};
    Page with = {.sheet = (const unsigned char *)"PNG?", .sheet_size = 4, .galleries = galleries, .gallery_count = 1};
    char *page = report_html(json, &with);
    static const char *const there[] = {"&lt;script&gt;",
                                        "a &amp; b &lt;i&gt;",
                                        "a&lt;b.pth",
                                        "base64,UE5HPw==\"",
                                        "base64,UE5HIQ==\"",
                                        "image 7: &quot;1&quot; of 2",
                                        "a&lt;b</p>",
                                        "<b>2.010</b>",
                                        "<b>+0.510</b>",
                                        "[1.760, 2.260]",
                                        "below the interval",
                                        "im&amp;net",
                                        "prefers-color-scheme:dark",
                                        "@media print"};
    for (size_t i = 0; i < countof(there); i++)
        if (!strstr(page, there[i]))
            fail_msg("the page has no %s", there[i]);
    static const char *const nowhere[] = {"<script", "http:", "https:", "<link", "nan", "inf "};
    for (size_t i = 0; i < countof(nowhere); i++)
        if (strstr(page, nowhere[i]))
            fail_msg("the page has %s", nowhere[i]);
    free(page);
    cJSON_Delete(json);
    free(text);
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        count++;
    return count;
}

/* A point a measurement, a bar a bin that holds any, and nothing outside the frame. */
static void test_plots(void **state)
{
    (void)state;
    cJSON *raw = measured_of(2);
    char *text = cJSON_PrintUnformatted(raw);
    cJSON *measured = cJSON_Parse(text);
    Buf page = {0};
    svg_curve(&page, measured);
    assert_int_equal(count_of(page.data, "<circle"), 3);
    assert_non_null(strstr(page.data, "95% interval"));
    for (const char *at = page.data; (at = strstr(at, "cy=")); at += 3) {
        double y = strtod(at + 3, NULL);
        assert_true(y >= 0 && y <= 260);
    }
    buf_free(&page);
    svg_histogram(&page, cJSON_GetObjectItem(measured, "histogram"), 3);
    assert_int_equal(count_of(page.data, "<rect"), 2);
    assert_non_null(strstr(page.data, "neighbour number 3"));
    buf_free(&page);
    cJSON_free(text);
    cJSON_Delete(raw);
    cJSON_Delete(measured);
}

/* A report that was changed by hand cannot break the page or hang it. */
static void test_strange_plots(void **state)
{
    (void)state;
    static const char *const curves[] = {
        "{}",
        "{\"curve\":{}}",
        "{\"curve\":{\"images\":[1],\"fid\":[1],\"infinity\":1,\"slope\":1}}",
        "{\"curve\":{\"images\":[1,2],\"fid\":[1],\"infinity\":1,\"slope\":1}}",
        "{\"curve\":{\"images\":[0,0],\"fid\":[1,1],\"infinity\":1,\"slope\":0}}",
        "{\"curve\":{\"images\":[\"x\",2],\"fid\":[null,1],\"infinity\":1,\"slope\":0}}",
        "{\"curve\":{\"images\":[1,2],\"fid\":[1e300,-1e300],\"infinity\":1e308,\"slope\":1e308}}",
        "{\"curve\":{\"images\":[1,2],\"fid\":[1e16,10000000000000002],\"infinity\":1e16,\"slope\":0}}",
    };
    for (size_t i = 0; i < countof(curves); i++) {
        cJSON *measured = cJSON_Parse(curves[i]);
        Buf page = {0};
        svg_curve(&page, measured);
        assert_true(page.len < 20000);
        assert_int_equal(page.data ? count_of(page.data, "<svg") : 0, page.data ? count_of(page.data, "</svg>") : 0);
        buf_free(&page);
        cJSON_Delete(measured);
    }
    cJSON *flat = cJSON_Parse("{\"low\":2,\"high\":2,\"nearest_reference\":[5],\"reference_radius\":[0]}");
    Buf page = {0};
    svg_histogram(&page, flat, 1);
    assert_int_equal(count_of(page.data, "<rect"), 1);
    assert_null(strstr(page.data, "nan"));
    buf_free(&page);
    cJSON_Delete(flat);
}

static void test_phases(void **state)
{
    (void)state;
    double seconds[STAGES] = {0}, back[STAGES] = {0};
    for (int stage = 0; stage < STAGES; stage++) {
        assert_int_equal(stage_parse(stage_name((Stage)stage)), stage);
        seconds[stage] = stage * 0.25;
    }
    assert_int_equal(stage_parse("lunch"), STAGE_NONE);
    cJSON *object = stages_to_json(seconds);
    cJSON_AddStringToObject(object, "lunch", "no number");
    stages_add_json(back, object);
    stages_add_json(back, NULL);
    assert_memory_equal(seconds, back, sizeof back);
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers),   cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_page),      cmocka_unit_test(test_phases),
                                       cmocka_unit_test(test_published), cmocka_unit_test(test_nothing_measured),
                                       cmocka_unit_test(test_plots),     cmocka_unit_test(test_strange_plots)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
