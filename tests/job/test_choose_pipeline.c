/* Which pipeline a job measures with, and what a reference is refused for before anything is made. */
#include "worker/evaluate/pipeline.h"

#include "tests/golden_arrays.h"
#include "worker/evaluate/reference.h"

#define STATS(name) INCEPTION_GOLDEN("stats/" name)
#define E2E(name)   INCEPTION_GOLDEN("e2e/" name)

static JobSpec *spec_of(const char *reference, const char *more)
{
    char *text = xasprintf(
        "{\"kind\":\"evaluate\",\"images\":\"d\",\"inception\":\"i\",\"output\":\"o\",\"reference\":\"%s\"%s}",
        reference, more);
    JobSpec *spec = NULL;
    Err err = {0};
    assert_ok(jobspec_parse_text(text, FORM_EXEC, &spec, &err), err);
    free(text);
    return spec;
}

static void test_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *more;
        JobPipeline pipeline;
    } rows[] = {
        {STATS("stats_savez.npz"), "", PIPELINE_PT}, /* does not say */
        {STATS("stats_savez.npz"), ",\"pipeline\":\"tf\"", PIPELINE_TF},
        {STATS("stats_savez.npz"), ",\"pipeline\":\"both\"", PIPELINE_BOTH},
        {STATS("dd"), "", PIPELINE_PT}, /* a folder with statistic.pth */
        {STATS("adm_style_ref.npz"), "", PIPELINE_TF},
        {STATS("adm_style_ref.npz"), ",\"metrics\":[\"fid\",\"sfid\",\"kid\",\"prdc\"]", PIPELINE_TF},
        {E2E("set_b.npy"), ",\"metrics\":[\"kid\",\"sfid\"]", PIPELINE_PT},
        {E2E("set_b.npy"), ",\"pipeline\":\"both\"", PIPELINE_BOTH},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        JobSpec *spec = spec_of(rows[i].reference, rows[i].more);
        JobPipeline pipeline = PIPELINE_AUTO;
        Err err = {0};
        assert_ok(pipeline_choose(spec, &pipeline, &err), err);
        assert_int_equal(pipeline, rows[i].pipeline);
        jobspec_free(spec);
    }
    JobSpec none = {.kind = KIND_SAMPLE, .pipeline = PIPELINE_AUTO};
    JobPipeline pipeline = PIPELINE_AUTO;
    Err err = {0};
    assert_ok(pipeline_choose(&none, &pipeline, &err), err);
    assert_int_equal(pipeline, PIPELINE_PT);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *reference, *more, *words[3];
        ErrKind kind;
    } rows[] = {
        {"/nowhere/stats.npz", "", {"/nowhere/stats.npz", "reference", ""}, ERR_NOT_FOUND},
        {STATS("stats_savez.npz"), ",\"metrics\":[\"kid\"]", {"statistics alone", "metrics kid", "arr_0"}, ERR_USAGE},
        {STATS("dd"), ",\"metrics\":[\"fid\",\"prdc\"]", {"statistics alone", "metrics prdc", ""}, ERR_USAGE},
        {STATS("stats_savez.npz"), ",\"metrics\":[\"sfid\"]", {"mu_s", "sfid", "leave it out"}, ERR_USAGE},
        {STATS("adm_style_ref.npz"),
         ",\"pipeline\":\"pt\"",
         {"made with the tf pipeline", "asks for pt", "Ask for pipeline tf"},
         ERR_USAGE},
        {STATS("adm_style_ref.npz"),
         ",\"pipeline\":\"both\"",
         {"made with the tf pipeline", "both", "images as the reference"},
         ERR_USAGE},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        JobSpec *spec = spec_of(rows[i].reference, rows[i].more);
        JobPipeline pipeline = PIPELINE_AUTO;
        Err err = {0};
        assert_err(pipeline_choose(spec, &pipeline, &err), err, rows[i].words[0], rows[i].words[1], rows[i].words[2]);
        assert_int_equal(err.kind, rows[i].kind);
        assert_int_equal(pipeline, PIPELINE_AUTO); /* untouched */
        jobspec_free(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chosen), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
