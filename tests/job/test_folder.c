/* Which job a folder holds: identities, claims, refusals. */
#include "worker/job/folder.h"

#include <sys/stat.h>

#include "core/file.h"
#include "tests/test.h"
#include "worker/images/images.h"

typedef struct Bench {
    char *folder, *student, *other, *tokenizer, *reference, *output;
} Bench;

static char *file(const char *folder, const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", folder, name);
    Err err = {0};
    assert_ok(file_write(path, text, strlen(text), &err), err);
    return path;
}

static int setup(void **state)
{
    Bench *bench = xcalloc(1, sizeof *bench);
    bench->folder = test_folder();
    bench->student = file(bench->folder, "student", "weights");
    bench->other = file(bench->folder, "other", "weights"); /* the same content under another name */
    bench->tokenizer = file(bench->folder, "tokenizer", "codes");
    bench->reference = file(bench->folder, "reference", "statistics");
    bench->output = xasprintf("%s/deep/er/out", bench->folder);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    Bench *bench = *state;
    char **paths[] = {&bench->student, &bench->other, &bench->tokenizer, &bench->reference, &bench->output};
    for (size_t i = 0; i < countof(paths); i++)
        free(*paths[i]);
    test_folder_remove(bench->folder);
    free(bench);
    return 0;
}

static JobSpec *spec_of(const Bench *bench, const char *student, const char *more)
{
    char *text = xasprintf("{\"student\":\"%s\",\"tokenizer\":\"%s\",\"split_t\":2,\"images\":5,\"output\":\"%s\"%s}",
                           student, bench->tokenizer, bench->output, more);
    JobSpec *spec = NULL;
    Err err = {0};
    assert_ok(jobspec_parse_text(text, FORM_EXEC, &spec, &err), err);
    free(text);
    return spec;
}

/* How the identities of two jobs compare: 0 both the same, 1 the report differs, 2 the images differ. */
static int compare(const Bench *bench, const char *student, const char *more)
{
    JobSpec *a = spec_of(bench, bench->student, ""), *b = spec_of(bench, student, more);
    Identity one, other;
    Err err = {0};
    assert_ok(identity_make(a, PIPELINE_PT, NULL, &one, &err), err);
    assert_ok(identity_make(b, PIPELINE_PT, NULL, &other, &err), err);
    int result = strcmp(one.images, other.images) != 0 ? 2 : strcmp(one.job, other.job) != 0 ? 1 : 0;
    char *difference = identity_difference(one.parts, other.parts);
    assert_true((difference != NULL) == (result == 2));
    free(difference);
    identity_free(&one);
    identity_free(&other);
    jobspec_free(a);
    jobspec_free(b);
    return result;
}

static void test_identity(void **state)
{
    const Bench *bench = *state;
    assert_int_equal(compare(bench, bench->other, ""), 0); /* the content decides, not the path */
    assert_int_equal(compare(bench, bench->student, ",\"batch\":7,\"device\":\"cuda\""), 0);
    assert_int_equal(compare(bench, bench->student, ",\"teacher\":\"/not/used\""), 0);
    assert_int_equal(compare(bench, bench->student, ",\"name\":\"x\""), 1);
    assert_int_equal(compare(bench, bench->student, ",\"published_fid\":2"), 1);
    assert_int_equal(compare(bench, bench->student, ",\"seed\":1"), 2);
    assert_int_equal(compare(bench, bench->student, ",\"save\":[\"png\",\"codes\"]"), 2);
    assert_int_equal(compare(bench, bench->student, ",\"precision\":\"bf16\""), 2);
    char *inception = xasprintf(",\"inception\":\"%s\"", bench->reference);
    assert_int_equal(compare(bench, bench->student, inception), 2);
    free(inception);
    assert_int_equal(compare(bench, bench->tokenizer, ""), 2);
    JobSpec *spec = spec_of(bench, "/nowhere/s.pt", "");
    Identity identity;
    Err err = {0};
    assert_err(identity_make(spec, PIPELINE_PT, NULL, &identity, &err), err, "student", "/nowhere/s.pt");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    jobspec_free(spec);
}

/* Folders from before a change must be recognised after it: these are the bytes of an earlier version. A sum may change
 * only together with IDENTITY_ALGORITHM. */
static void test_identity_stays(void **state)
{
    const Bench *bench = *state;
    static const struct {
        const char *json, *images, *job;
    } rows[] = {
        {"{\"kind\":\"sample\",\"name\":\"n\",\"recipe\":\"r\",\"model\":\"m\",\"student\":\"%1$s\",\"tokenizer\":\"%2$"
         "s\","
         "\"teacher\":\"%1$s\",\"heads\":4,\"grid\":8,\"t_list\":[0,20],\"split_t\":45,\"teacher_start_t\":10,"
         "\"cfg_scale\":1.5,\"cfg_interval\":7,\"top_k\":0,\"top_p\":0.9,\"temperature\":0.5,\"pick\":\"argmax\","
         "\"images\":9,"
         "\"seed\":7,\"classes\":[3,1,3],\"noise\":\"%2$s\",\"labels\":\"%2$s\",\"precision\":\"bf16\",\"batch\":5,"
         "\"save\":[\"png\",\"codes\",\"features\"],\"inception\":\"%1$s\",\"reference\":\"%3$s\","
         "\"metrics\":[\"fid\",\"is\",\"prdc\"],\"pipeline\":\"both\",\"neighbours\":5,\"like\":\"pytorch-fid\","
         "\"published_fid\":6.76,\"published_is\":231.4,\"published_precision\":0.83,\"published_recall\":0.4,"
         "\"device\":\"cpu\",\"output\":\"o\"}",
         "92c64932a1b6bebf8451b3b56d03f783f7949d4d8d6c27cec068365aa5ab36ac",
         "49cea61ee0d7fadd32275ea29b0c9594b8956f1ef2d8e8dfb3a95eaa2b611f3f"},
        {"{\"student\":\"%1$s\",\"tokenizer\":\"%2$s\",\"split_t\":2,\"images\":5,\"output\":\"o\"}",
         "a465ec546c85ff4b48a7188875a9001224c1f4fc066d79a4534df50df4f03e18",
         "8fe3f8fda924d25401d972277c7ede0366c33916dae4ac45d3d4f0a5a7e3615d"},
        {"{\"kind\":\"evaluate\",\"name\":\"n\",\"images\":\"%1$s\",\"inception\":\"%2$s\",\"reference\":\"%3$s\","
         "\"save\":[\"features\"],\"skip_bad\":\"yes\",\"neighbours\":4,\"batch\":3,\"output\":\"o\"}",
         "e5ef6ba580eceab08ffd3b735b337ef5708fe6e212ba8828bf8f72746841b0f0",
         "9f8b269dd2514e1a5adc41a93d24148e24344608ab6fff9270bcca169f41fb6f"},
        {"{\"kind\":\"statistics\",\"images\":\"%1$s\",\"inception\":\"%2$s\",\"register\":\"f/n\",\"owner\":\"ada\","
         "\"pipeline\":\"tf\",\"precision\":\"fp32\",\"output\":\"o\"}",
         "dd99ff72a972e02b3752a74c6875fb68c32ab942f2b1eed939ae1140d0154c65",
         "0bdbf62cb5d60f322cad646e71c334ad55c2b4ca81cf4daee5cfb358a0595093"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *text = xasprintf(rows[i].json, bench->student, bench->tokenizer, bench->reference);
        JobSpec *spec = NULL;
        Identity identity;
        Err err = {0};
        assert_ok(jobspec_parse_text(text, FORM_EXEC, &spec, &err), err);
        JobPipeline pipeline = spec->pipeline == PIPELINE_AUTO ? PIPELINE_PT : spec->pipeline;
        assert_ok(identity_make(spec, pipeline, NULL, &identity, &err), err);
        assert_string_equal(identity.images, rows[i].images);
        assert_string_equal(identity.job, rows[i].job);
        identity_free(&identity);
        jobspec_free(spec);
        free(text);
    }
}

/* Features of two pipelines differ, whether the job or the reference states the pipeline; a reference of images is its
 * files. */
static void test_identity_of_what_is_measured(void **state)
{
    const Bench *bench = *state;
    char *folder = xasprintf("%s/images", bench->folder), *first = xasprintf("%s/1.png", folder);
    static const uint8_t rgb[12] = {0};
    assert_int_equal(mkdir(folder, 0777), 0);
    Err err = {0};
    assert_ok(image_write_png(first, rgb, 2, 2, false, &err), err);
    char *more = xasprintf(",\"inception\":\"%s\",\"reference\":\"%s\"", bench->other, folder);
    JobSpec *spec = spec_of(bench, bench->student, more);
    Identity pt, tf, grown;
    assert_ok(identity_make(spec, PIPELINE_PT, NULL, &pt, &err), err);
    assert_ok(identity_make(spec, PIPELINE_TF, NULL, &tf, &err), err);
    assert_string_not_equal(pt.images, tf.images);
    char *difference = identity_difference(pt.parts, tf.parts);
    assert_non_null(strstr(difference, "pipeline is absent, wanted \"tf\""));
    free(difference);
    spec->pipeline = PIPELINE_TF; /* the same, said in the job */
    identity_free(&pt);
    assert_ok(identity_make(spec, PIPELINE_TF, NULL, &pt, &err), err);
    assert_string_equal(pt.job, tf.job);
    char *second = xasprintf("%s/2.png", folder);
    assert_ok(image_write_png(second, rgb, 2, 2, false, &err), err);
    assert_ok(identity_make(spec, PIPELINE_TF, NULL, &grown, &err), err);
    assert_string_equal(grown.images, tf.images); /* the sampled images stay */
    assert_string_not_equal(grown.job, tf.job);
    identity_free(&pt);
    identity_free(&tf);
    identity_free(&grown);
    jobspec_free(spec);
    char *texts[] = {folder, first, second, more};
    for (size_t i = 0; i < countof(texts); i++)
        free(texts[i]);
}

static bool check(const Bench *bench, const char *more, bool claim, Err *err)
{
    JobSpec *spec = spec_of(bench, bench->student, more);
    Identity identity;
    assert_ok(identity_make(spec, PIPELINE_PT, NULL, &identity, err), *err);
    bool good = folder_check(bench->output, &identity, err) &&
                (!claim || folder_claim(bench->output, spec, &identity, NULL, err));
    identity_free(&identity);
    jobspec_free(spec);
    return good;
}

static void test_claim(void **state)
{
    const Bench *bench = *state;
    Err err = {0};
    assert_ok(check(bench, "", false, &err), err); /* makes the folder, deep as it is, and nothing in it */
    assert_false(folder_has(bench->output, "job.json"));
    assert_int_equal(rmdir(bench->output), 0);
    assert_ok(check(bench, "", true, &err), err);
    assert_true(folder_has(bench->output, "job.json"));
    assert_ok(check(bench, ",\"batch\":2,\"name\":\"x\"", true, &err), err);
    assert_err(check(bench, ",\"seed\":4", false, &err), err, bench->output, "another job", "seed is 0, wanted 4");
    assert_err(check(bench, ",\"noise\":\"/etc/hostname\"", false, &err), err, "noise is absent, wanted");
    cJSON *mark = folder_read_json(bench->output, "job.json");
    JobSpec *again = NULL;
    assert_ok(jobspec_parse(cJSON_GetObjectItem(mark, "spec"), FORM_EXEC, &again, &err), err);
    assert_string_equal(again->output, bench->output);
    jobspec_free(again);
    cJSON_Delete(mark);
}

static void test_foreign(void **state)
{
    const Bench *bench = *state;
    Err err = {0};
    assert_ok(check(bench, "", false, &err), err);
    char *path = file(bench->output, "job.json", "{\"kind\":\"sample\"}");
    assert_err(check(bench, "", false, &err), err, "job.json", "not one that ddq-worker wrote");
    unlink(path);
    free(path);
    path = xasprintf("%s/images", bench->output);
    mkdir(path, 0777);
    assert_err(check(bench, "", false, &err), err, "it holds images", "no job.json");
    rmdir(path);
    free(path);
    path = file(bench->output, "notes.txt", "mine");
    assert_ok(check(bench, "", false, &err), err); /* harmless */
    free(path);
}

static void test_no_folder(void **state)
{
    Bench *bench = *state;
    Err err = {0};
    free(bench->output);
    bench->output = xasprintf("%s/below", bench->student);
    assert_err(check(bench, "", false, &err), err, "output", "is a file, not a folder");
    free(bench->output);
    bench->output = xstrdup("/proc/nowhere/out");
    assert_err(check(bench, "", false, &err), err, "/proc/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity_of_what_is_measured, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
