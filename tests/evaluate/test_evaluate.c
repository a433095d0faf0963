/* Whole evaluation jobs: images in, report.json out, against the golden numbers of tests/golden/inception/e2e. */
#include "tests/golden_arrays.h"
#include "worker/evaluate/reference.h"
#include "worker/files/map.h"
#include "worker/images/images.h"
#include "worker/job/run.h"
#include "worker/models/model_cache.h"

#define E2E(name) INCEPTION_GOLDEN("e2e/" name)

typedef struct Bench {
    char *folder, *cache;
    ModelCache *models; /* keeps the network and measured references */
    int jobs;
    char notes[8192];    /* of the last job */
    const char *stop_at; /* a stage */
    bool stopping;
} Bench;

static int setup(void **state)
{
    Bench *bench = xcalloc(1, sizeof *bench);
    bench->folder = test_folder();
    bench->cache = xasprintf("%s/cache", bench->folder);
    bench->models = model_cache_new("cpu", 1);
    model_cache_set_folder(bench->models, bench->cache);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    Bench *bench = *state;
    model_cache_free(bench->models);
    free(bench->cache);
    test_folder_remove(bench->folder);
    free(bench);
    return 0;
}

static void on_note(void *ctx, const char *text)
{
    Bench *bench = ctx;
    size_t len = strlen(bench->notes);
    snprintf(bench->notes + len, sizeof bench->notes - len, "%s\n", text);
}

static void on_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    (void)upto, (void)rate;
    Bench *bench = ctx;
    if (bench->stop_at && strncmp(stage, bench->stop_at, strlen(bench->stop_at)) == 0)
        bench->stopping = true;
}

static bool on_stop(void *ctx)
{
    const Bench *bench = ctx;
    return bench->stopping;
}

/* Runs an evaluation of `images` into the folder `out`; the report, or NULL and *err. */
static cJSON *evaluate_into(Bench *bench, const char *out, const char *images, const char *more, Err *err)
{
    char *text = xasprintf("{\"kind\":\"evaluate\",\"images\":\"%s\",\"inception\":\"%s\",\"output\":\"%s\"%s}", images,
                           INCEPTION_GOLDEN("net/inception_w16_legacy.pth"), out, more);
    JobSpec *spec = NULL;
    Err bad = {0};
    assert_ok(jobspec_parse_text(text, FORM_EXEC, &spec, &bad), bad);
    const Hooks hooks = {.ctx = bench, .progress = on_progress, .stop = on_stop, .note = on_note};
    double fid;
    bench->notes[0] = 0;
    bench->stopping = false;
    Run *run = run_open(bench->models, spec, err);
    bool good = run && run_report(run, &hooks, &fid, err);
    run_close(run);
    jobspec_free(spec);
    free(text);
    char *path = xasprintf("%s/report.json", out);
    cJSON *report = good ? golden_json(path) : NULL;
    if (!good)
        assert_int_not_equal(access(path, F_OK), 0); /* report.json means that all files are there */
    free(path);
    return report;
}

static char *next_folder(Bench *bench)
{
    return xasprintf("%s/%d", bench->folder, bench->jobs++);
}

static cJSON *evaluate(Bench *bench, const char *images, const char *more)
{
    Err err = {0};
    char *out = next_folder(bench);
    cJSON *report = evaluate_into(bench, out, images, more, &err);
    assert_ok(report != NULL, err);
    free(out);
    return report;
}

/* The first `count` images of set b as an .npy. Caller frees. */
static char *some_images(const Bench *bench, int count)
{
    NpyArray all = golden_npy(E2E("set_b.npy"));
    char *path = xasprintf("%s/some%d.npy", bench->folder, count);
    int64_t shape[4] = {count, all.shape[1], all.shape[2], all.shape[3]};
    Err err = {0};
    assert_ok(npy_write(path, DTYPE_U8, 4, shape, all.data, &err), err);
    npy_free(&all);
    return path;
}

/* --- golden numbers -------------------------------------------------------------------------------- */

static void check_counts(const cJSON *report, const char *k, const cJSON *golden, const char *at_most)
{
    static const char *const names[] = {"precision", "recall", "density", "coverage"};
    const cJSON *found = golden_get(golden_get(report, "neighbours"), at_most);
    for (size_t i = 0; i < countof(names); i++) {
        char *count = xasprintf("%s_count", names[i]);
        assert_near(golden_number(found, names[i]), golden_number(golden_get(golden, k), count), 0, names[i], 0);
        free(count);
    }
}

/* sFID is of two singular covariances, so a change of 1e-4 in the features is one of 1e-2 in it. */
static void check_figures(const cJSON *report, const cJSON *golden, bool sfid)
{
    assert_near(golden_number(report, "fid"), golden_number(golden, "fid_symmetric"), 5e-5, "fid", 0);
    if (sfid)
        assert_near(golden_number(report, "sfid"), golden_number(golden, "sfid_gram"), 0.01, "sfid", 0);
    assert_near(golden_number(report, "kid"), golden_number(golden, "kid_full"), 5e-6, "kid", 0);
    const cJSON *score = golden_get(golden, "isc_a_splits10"), *parts = golden_get(score, "per_split");
    assert_near(golden_number(report, "is_mean"), golden_number(score, "mean"), 1e-5, "is_mean", 0);
    assert_near(golden_number(report, "is_std"), golden_number(score, "std"), 1e-5, "is_std", 0);
    for (int i = 0; i < cJSON_GetArraySize(parts); i++)
        assert_near(cJSON_GetArrayItem(golden_get(report, "is_parts"), i)->valuedouble,
                    cJSON_GetArrayItem(parts, i)->valuedouble, 2e-5, "is_parts", i);
}

#define ALL ",\"metrics\":[\"fid\",\"sfid\",\"is\",\"kid\",\"prdc\",\"fid_inf\"],\"reference\":\"" E2E("set_b.npy") "\""

/* The time of the metrics is part of the report's. */
static void check_seconds(const cJSON *report, int metrics)
{
    const cJSON *by_metric = golden_get(report, "seconds_by_metric"), *metric;
    double seconds = 0;
    cJSON_ArrayForEach(metric, by_metric) seconds += metric->valuedouble;
    assert_int_equal(cJSON_GetArraySize(by_metric), metrics);
    assert_true(golden_number(golden_get(report, "seconds_by_phase"), "report") >= seconds);
}

static void check_pipeline(Bench *bench, const char *name)
{
    cJSON *json = golden_json(E2E("e2e.json"));
    const cJSON *golden = golden_get(json, name), *k3 = golden_get(golden, "prdc_k3_le");
    char *more = xasprintf(ALL ",\"pipeline\":\"%s\"", name);
    cJSON *report = evaluate(bench, E2E("set_a_adm.npz"), more);
    check_figures(report, golden, true);
    check_counts(report, "prdc_k3_le", golden, "at_most");
    assert_near(golden_number(report, "precision"), golden_number(k3, "precision"), 1e-15, "precision", 0);
    assert_near(golden_number(report, "recall"), golden_number(k3, "recall"), 1e-15, "recall", 0);
    assert_string_equal(golden_get(report, "pipeline")->valuestring, name);
    check_seconds(report, 6);
    assert_null(strstr(bench->notes, "singular")); /* 192 images, 128 features; but: */
    assert_non_null(strstr(bench->notes, "192 images for 2023 spatial features"));
    cJSON_Delete(report);
    cJSON_Delete(json);
    free(more);
}

static void test_pt(void **state)
{
    check_pipeline(*state, "pt");
}

static void test_tf(void **state)
{
    check_pipeline(*state, "tf");
}

/* Both in one job are the numbers of two jobs; k = 5 as density and coverage are published. */
static void test_both(void **state)
{
    Bench *bench = *state;
    cJSON *json = golden_json(E2E("e2e.json"));
    cJSON *report = evaluate(bench, E2E("set_a_adm.npz"), ALL ",\"pipeline\":\"both\",\"neighbours\":5");
    const cJSON *second = golden_get(report, "tf");
    check_figures(report, golden_get(json, "pt"), false); /* spatial features are taken in one pipeline: */
    check_figures(second, golden_get(json, "tf"), true);
    assert_null(cJSON_GetObjectItem(report, "sfid"));
    check_counts(report, "prdc_k5_lt", golden_get(json, "pt"), "below");
    check_counts(second, "prdc_k5_lt", golden_get(json, "tf"), "below");
    const cJSON *wanted = golden_get(golden_get(json, "tf"), "prdc_k5_lt");
    assert_near(golden_number(second, "density"), golden_number(wanted, "density"), 1e-15, "density", 0);
    assert_near(golden_number(second, "coverage"), golden_number(wanted, "coverage"), 1e-15, "coverage", 0);
    cJSON_Delete(report);
    cJSON_Delete(json);
}

/* --- where it comes from --------------------------------------------------------------------------- */

static void test_provenance(void **state)
{
    Bench *bench = *state;
    char *images = some_images(bench, 12);
    char *more =
        xasprintf(",\"metrics\":[\"fid\",\"prdc\"],\"reference\":\"%s\",\"published_fid\":1000", E2E("set_b.npy"));
    cJSON *report = evaluate(bench, images, more);
    const cJSON *reference = golden_get(report, "reference");
    assert_near(golden_number(report, "n"), 12, 0, "n", 0);
    assert_string_equal(golden_get(reference, "name")->valuestring, "set_b.npy");
    assert_string_equal(golden_get(reference, "kind")->valuestring, "array");
    assert_near(golden_number(reference, "images"), 160, 0, "images", 0);
    char hash[65];
    Err err = {0};
    assert_ok(file_sha256(INCEPTION_GOLDEN("net/inception_w16_legacy.pth"), hash, &err), err);
    assert_string_equal(golden_get(report, "weights_sha256")->valuestring, hash);
    assert_int_equal(strlen(golden_get(report, "images_sha256")->valuestring), 64);
    assert_null(cJSON_GetObjectItem(report, "fid_low")); /* 12 images give no interval, and no curve */
    assert_null(cJSON_GetObjectItem(report, "curve"));
    const cJSON *published = cJSON_GetArrayItem(golden_get(report, "published"), 0);
    assert_non_null(strstr(golden_get(published, "text")->valuestring, "vs published 1000: difference"));
    assert_non_null(strstr(bench->notes, "12 images for 128 features: the covariance is singular"));
    assert_non_null(strstr(bench->notes, "or metrics kid, which has no such bias"));
    /* these 12 are among the reference: nothing is nearer, and the page shows pictures of both ends */
    const cJSON *nearest = golden_get(golden_get(report, "samples"), "nearest");
    assert_int_equal(cJSON_GetArraySize(nearest), 12);
    assert_near(golden_number(cJSON_GetArrayItem(nearest, 0), "distance"), 0, 0, "distance", 0);
    assert_near(golden_number(report, "precision"), 1, 0, "precision", 0);
    cJSON_Delete(report);
    free(images);
    free(more);
}

static void test_page(void **state)
{
    Bench *bench = *state;
    char *images = some_images(bench, 20), *out = next_folder(bench), *page_path = xasprintf("%s/report.html", out);
    Err err = {0};
    cJSON *report = evaluate_into(bench, out, images,
                                  ",\"metrics\":[\"fid\",\"prdc\"],\"reference\":\"" E2E("set_b.npy") "\"", &err);
    assert_ok(report != NULL, err);
    FileMap page = {0};
    assert_ok(file_map(page_path, &page, &err), err);
    char *text = xasprintf("%.*s", (int)page.size, (const char *)page.data);
    file_unmap(&page);
    assert_non_null(strstr(text, "Nearest to the reference"));
    assert_non_null(strstr(text, "Farthest from the reference"));
    assert_non_null(strstr(text, "Distances to the nearest reference image"));
    int pictures = 0;
    for (const char *at = text; (at = strstr(at, "<figure>")); at++)
        pictures++;
    assert_int_equal(pictures, 24);
    free(text);
    cJSON_Delete(report);
    free(images);
    free(out);
    free(page_path);
}

/* Statistics of set b as a file with members that the test chooses. Caller frees the path. */
static char *statistics_with(const Bench *bench, const char *weights)
{
    Reference reference = {.images = 100, .pipeline = "pt"};
    char *path = xasprintf("%s/said.npz", bench->folder);
    Err err = {0};
    assert_ok(statistics_load(E2E("stats_b_pt.npz"), &reference.stats, &err), err);
    snprintf(reference.weights, sizeof reference.weights, "%s", weights);
    assert_ok(reference_save(path, &reference, &err), err);
    statistics_free(reference.stats);
    return path;
}

/* Every caveat of a reference is reported. */
static void test_doubts(void **state)
{
    Bench *bench = *state;
    char *images = some_images(bench, 6);
    cJSON_Delete(evaluate(bench, images, ",\"reference\":\"" E2E("stats_b_pt.npz") "\""));
    assert_non_null(strstr(bench->notes, "does not say how its images were resized"));
    static const char other[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char *said = statistics_with(bench, other), *more = xasprintf(",\"reference\":\"%s\"", said);
    cJSON *report = evaluate(bench, images, more);
    assert_null(strstr(bench->notes, "does not say how"));
    assert_non_null(strstr(bench->notes, "measured with another network (weights 0123456789ab)"));
    assert_non_null(strstr(bench->notes, "100 images for 128 features: the covariance is singular"));
    assert_string_equal(golden_get(golden_get(report, "reference"), "weights_sha256")->valuestring, other);
    cJSON_Delete(report);
    free(images);
    free(said);
    free(more);
}

/* The eps of pytorch-fid where the job asks for it, and a note when it was used. */
static void test_like(void **state)
{
    Bench *bench = *state;
    char *images = some_images(bench, 30);
    cJSON *exact = evaluate(bench, images, ",\"reference\":\"" E2E("stats_b_pt.npz") "\"");
    cJSON *like = evaluate(bench, images, ",\"like\":\"pytorch-fid\",\"reference\":\"" E2E("stats_b_pt.npz") "\"");
    bool eps = strstr(bench->notes, "1e-6 was added to both diagonals") != NULL;
    double difference = golden_number(like, "fid") - golden_number(exact, "fid");
    assert_true(eps ? fabs(difference) > 0 && fabs(difference) < 0.1 : fabs(difference) < 1e-3);
    cJSON_Delete(exact);
    cJSON_Delete(like);
    free(images);
}

/* --- what cannot be computed ----------------------------------------------------------------------- */

static void test_too_few(void **state)
{
    Bench *bench = *state;
    char *images = some_images(bench, 4);
    cJSON *report = evaluate(
        bench, images,
        ",\"metrics\":[\"fid\",\"is\",\"prdc\",\"fid_inf\"],\"neighbours\":4,\"reference\":\"" E2E("set_b.npy") "\"");
    static const char *const absent[] = {"is_mean", "is_std",   "precision", "recall",
                                         "density", "coverage", "fid_inf",   "curve"};
    for (size_t i = 0; i < countof(absent); i++)
        assert_null(cJSON_GetObjectItem(report, absent[i]));
    assert_non_null(strstr(bench->notes, "takes 10 parts and there are 4 images: left out"));
    assert_non_null(strstr(bench->notes, "4 neighbours and a set has 4 images: left out"));
    assert_non_null(strstr(bench->notes, "at least 200 images and there are 4: left out"));
    assert_int_equal(cJSON_GetArraySize(golden_get(report, "warnings")), 4); /* and the singular covariance */
    cJSON_Delete(report);
    free(images);
}

static void test_refused(void **state)
{
    Bench *bench = *state;
    char *one = some_images(bench, 1);
    static const struct {
        const char *more, *words[2];
    } rows[] = {
        {",\"reference\":\"" E2E("set_b.npy") "\"", {"1 image", "at least 2"}},
        {",\"reference\":\"" INCEPTION_GOLDEN("stats/stats_savez.npz") "\"", {"64", "128"}},
        {",\"metrics\":[\"kid\"],\"reference\":\"" E2E("stats_b_pt.npz") "\"", {"statistics alone", "kid"}},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *out = next_folder(bench), *images = i == 0 ? xstrdup(one) : some_images(bench, 3);
        Err err = {0};
        assert_err(evaluate_into(bench, out, images, rows[i].more, &err) != NULL, err, rows[i].words[0],
                   rows[i].words[1]);
        free(images);
        free(out);
    }
    free(one);
}

/* A stop in the middle of the metrics leaves no partial file, and the same job then gives the same numbers. */
static void test_stopped(void **state)
{
    Bench *bench = *state;
    char *images = some_images(bench, 30), *out = next_folder(bench);
    const char *more = ",\"metrics\":[\"fid\",\"kid\",\"is\"],\"reference\":\"" E2E("set_b.npy") "\"";
    Err err = {0};
    bench->stop_at = "kid";
    assert_null(evaluate_into(bench, out, images, more, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    bench->stop_at = NULL;
    err_clear(&err);
    cJSON *again = evaluate_into(bench, out, images, more, &err);
    assert_ok(again != NULL, err);
    cJSON *whole = evaluate(bench, images, more);
    static const char *const figures[] = {"fid", "kid", "is_mean", "is_std"};
    for (size_t i = 0; i < countof(figures); i++)
        assert_near(golden_number(again, figures[i]), golden_number(whole, figures[i]), 0, figures[i], 0);
    cJSON_Delete(again);
    cJSON_Delete(whole);
    free(images);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pt),      cmocka_unit_test(test_tf),
                                       cmocka_unit_test(test_both),    cmocka_unit_test(test_provenance),
                                       cmocka_unit_test(test_page),    cmocka_unit_test(test_too_few),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_stopped),
                                       cmocka_unit_test(test_doubts),  cmocka_unit_test(test_like)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
