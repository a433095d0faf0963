/* Queued spec + configuration -> exec spec, and all ways in which a path could leave the folders of jobs. */
#include "core/json.h"
#include "tests/test.h"

#include <sys/stat.h>

#include "daemon/specs/resolve.h"
#include "spec/jobspec.h"

static char *folder; /* root/ (output), inputs/ (allowed), secret/ (not) */
static Conf *conf;

static char *path(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void make_folder(const char *name)
{
    char *whole = path(name);
    assert_int_equal(mkdir(whole, 0755), 0);
    free(whole);
}

static void make_file(const char *name, const char *text)
{
    char *whole = path(name);
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(whole);
}

static void make_link(const char *name, const char *to)
{
    char *whole = path(name), *target = path(to);
    assert_int_equal(symlink(target, whole), 0);
    free(whole);
    free(target);
}

static int setup(void **state)
{
    (void)state;
    char *made = test_folder();
    folder = realpath(made, NULL);
    free(made);
    make_folder("root");
    make_folder("root/ada");
    make_folder("inputs");
    make_folder("inputs-not");
    make_folder("secret");
    make_file("inputs/noise.npy", "n");
    make_file("inputs-not/noise.npy", "n");
    make_file("root/ada/labels.npy", "l");
    make_file("secret/key", "k");
    make_link("inputs/out", "secret");
    make_link("inputs/key", "secret/key");
    make_link("root/bob", "secret");
    make_link("root/loop", "root/loop");
    make_link("root/ada/inside", "root/ada");
    char *text = xasprintf("[daemon]\noutput_root = %s/root\ninput_roots = /nonexistent:%s/inputs\nhost = h1\n"
                           "[model both]\nstudent = /m/s.pt\nteacher = /m/t.pt\ntokenizer = /m/v.pt\nheads = 4\n"
                           "student_part = state_dict.ema\nteacher_part = model\n"
                           "[model student]\nstudent = /m/s.pt\ntokenizer = /m/v.pt\n"
                           "[model teacher]\nteacher = /m/t.pt\ntokenizer = /m/v.pt\n"
                           "[inception]\nweights = /m/i.pth\n"
                           "[reference own]\nstatistics = /m/own.npz\ninception = /m/other.pth\n"
                           "[reference plain]\nstatistics = /m/plain.npz\n"
                           "[reference photos]\nimages = /m/photos\npipeline = tf\n",
                           folder, folder);
    make_file("ddq.conf", text);
    free(text);
    char *file = path("ddq.conf");
    Err err = {0};
    assert_ok(conf_load(file, &conf, &err), err);
    free(file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    conf_free(conf);
    test_folder_remove(folder);
    return 0;
}

/* References of other users: "@" is the test's folder. */
static const char registry_text[] =
    "{\"copied\": {\"path\": \"@/root/references/copied.npz\", \"pipeline\": \"pt\", \"user\": \"ada\"},"
    " \"folder\": {\"path\": \"@/inputs\", \"user\": \"bob\"}, \"plain\": {\"path\": \"@/secret/key\"},"
    " \"escapes\": {\"path\": \"@/secret/key\"}, \"link\": {\"path\": \"@/inputs/key\"}, \"broken\": {\"path\": 3}}";

static char *in_folder(const char *text)
{
    Buf out = {0};
    for (const char *c = text; *c; c++)
        buf_printf(&out, *c == '@' ? "%s" : "%.1s", *c == '@' ? folder : c);
    return out.data;
}

/* The exec spec of a queued one, NULL with err. %s in `json` is the test's folder. */
static cJSON *resolved(const char *json, const char *job_folder, Err *err)
{
    char *text = in_folder(json), *library = in_folder(registry_text);
    cJSON *queued = cJSON_Parse(text), *registry = cJSON_Parse(library), *exec = NULL;
    assert_non_null(queued);
    assert_non_null(registry);
    Resolve resolve = {.conf = conf, .registry = registry, .folder = job_folder, .user = "ada", .device = "cpu"};
    bool ok = resolve_spec(&resolve, queued, &exec, err);
    assert_true(ok == (exec != NULL));
    cJSON_Delete(queued);
    cJSON_Delete(registry);
    free(text);
    free(library);
    return exec;
}

#define FEW "\"kind\":\"sample\",\"t_list\":[0,20],\"split_t\":20,\"images\":4"

static void names_become_files(void **state)
{
    (void)state;
    static const struct {
        const char *json, *student, *teacher, *reference, *inception;
    } rows[] = {
        {"{" FEW ",\"model\":\"both\"}", "/m/s.pt", "", "", ""},
        {"{" FEW ",\"model\":\"student\"}", "/m/s.pt", "", "", ""},
        {"{" FEW ",\"model\":\"both\",\"teacher_start_t\":4}", "/m/s.pt", "/m/t.pt", "", ""},
        {"{" FEW ",\"model\":\"teacher\",\"teacher_start_t\":0}", "", "/m/t.pt", "", ""},
        {"{" FEW ",\"model\":\"both\",\"reference\":\"plain\"}", "/m/s.pt", "", "/m/plain.npz", "/m/i.pth"},
        {"{" FEW ",\"model\":\"both\",\"reference\":\"own\"}", "/m/s.pt", "", "/m/own.npz", "/m/other.pth"},
        {"{" FEW ",\"model\":\"both\",\"save\":[\"png\",\"features\"]}", "/m/s.pt", "", "", "/m/i.pth"},
        {"{\"kind\":\"evaluate\",\"images\":\"ada\",\"reference\":\"own\"}", "", "", "/m/own.npz", "/m/other.pth"},
        {"{\"kind\":\"statistics\",\"images\":\"ada\"}", "", "", "", "/m/i.pth"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        cJSON *exec = resolved(rows[i].json, "ada/job", &err);
        if (!exec)
            fail_msg("%s: %s", rows[i].json, err.text);
        assert_string_equal(json_text(exec, "student", ""), rows[i].student);
        assert_string_equal(json_text(exec, "teacher", ""), rows[i].teacher);
        assert_string_equal(json_text(exec, "reference", ""), rows[i].reference);
        assert_string_equal(json_text(exec, "inception", ""), rows[i].inception);
        assert_string_equal(json_text(exec, "device", ""), "cpu");
        char *output = path("root/ada/job");
        assert_string_equal(json_text(exec, "output", ""), output);
        free(output);
        JobSpec *spec = NULL; /* the worker gets a valid job */
        assert_ok(jobspec_parse(exec, FORM_EXEC, &spec, &err), err);
        jobspec_free(spec);
        cJSON_Delete(exec);
    }
}

/* What a model's section says of its files goes with the files that the job reads. */
static void parts_and_sizes(void **state)
{
    (void)state;
    Err err = {0};
    cJSON *exec = resolved("{" FEW ",\"model\":\"both\"}", "ada/job", &err);
    assert_ok(exec, err);
    assert_string_equal(json_text(exec, "student_part", ""), "state_dict.ema");
    assert_string_equal(json_text(exec, "teacher_part", ""), "");
    assert_string_equal(json_text(exec, "tokenizer_part", ""), "");
    assert_true(json_number(exec, "heads", 0) == 4);
    cJSON_Delete(exec);
}

/* A name of the configuration hides a registered one; a registered one leads only where jobs may read. */
static void references_of_both_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name, *pipeline, *path, *says, *word; /* says: the exec pipeline; word: of the refusal */
    } rows[] = {
        {"plain", "", "/m/plain.npz", "", NULL},
        {"plain", "both", "/m/plain.npz", "both", NULL},
        {"photos", "", "/m/photos", "tf", NULL},
        {"photos", "tf", "/m/photos", "tf", NULL},
        {"photos", "pt", NULL, NULL, "tf pipeline alone"},
        {"photos", "both", NULL, NULL, "tf pipeline alone"},
        {"copied", "", "@/root/references/copied.npz", "pt", NULL},
        {"copied", "tf", NULL, NULL, "pt pipeline alone"},
        {"folder", "tf", "@/inputs", "tf", NULL},
        {"escapes", "", NULL, NULL, "outside"},
        {"link", "", NULL, NULL, "outside"},
        {"broken", "", NULL, NULL, "no path"},
        {"nobody", "", NULL, NULL, "ddq refs add"},
    };
    make_folder("root/references");
    make_file("root/references/copied.npz", "x");
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        char *json =
            xasprintf("{\"kind\":\"evaluate\",\"images\":\"ada\",\"reference\":\"%s\"%s%s%s}", rows[i].name,
                      *rows[i].pipeline ? ",\"pipeline\":\"" : "", rows[i].pipeline, *rows[i].pipeline ? "\"" : "");
        cJSON *exec = resolved(json, "ada/job", &err);
        if (rows[i].path) {
            char *wanted = in_folder(rows[i].path);
            if (!exec)
                fail_msg("%s: %s", json, err.text);
            assert_string_equal(json_text(exec, "reference", ""), wanted);
            assert_string_equal(json_text(exec, "pipeline", ""), rows[i].says);
            free(wanted);
        } else if (exec || !strstr(err.text, rows[i].word)) {
            fail_msg("%s: \"%s\" lacks \"%s\"", json, err.text, rows[i].word);
        }
        cJSON_Delete(exec);
        free(json);
    }
}

static void registrations(void **state)
{
    (void)state;
    static const struct {
        const char *name, *word;
    } rows[] = {{"fresh", NULL},
                {"copied", NULL},
                {"plain", "[reference plain]"},
                {"folder", "belongs to bob"},
                {"-x", "none of '.' and '-' first"}};
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        char *json = xasprintf("{\"kind\":\"statistics\",\"images\":\"ada\",\"register\":\"%s\"}", rows[i].name);
        cJSON *exec = resolved(json, "ada/job", &err);
        if (!rows[i].word) {
            if (!exec)
                fail_msg("%s: %s", json, err.text);
            char *whole = xasprintf("@/root/references/%s", rows[i].name), *wanted = in_folder(whole);
            assert_string_equal(json_text(exec, "register", ""), wanted);
            assert_string_equal(json_text(exec, "owner", ""), "ada");
            free(whole);
            free(wanted);
        } else if (exec || !strstr(err.text, rows[i].word)) {
            fail_msg("%s: \"%s\" lacks \"%s\"", json, err.text, rows[i].word);
        }
        cJSON_Delete(exec);
        free(json);
    }
}

static void unknown_names_get_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *json, *words[3];
        ErrKind kind;
    } rows[] = {
        {"{" FEW ",\"model\":\"boht\"}", {"boht", "did you mean 'both'", "[model boht]"}, ERR_NOT_FOUND},
        {"{" FEW ",\"model\":\"student\",\"teacher_start_t\":4}",
         {"teacher_start_t", "[model student]", "h1"},
         ERR_NOT_FOUND},
        {"{" FEW ",\"model\":\"teacher\"}", {"student", "[model teacher]", "teacher_start_t"}, ERR_NOT_FOUND},
        {"{" FEW ",\"model\":\"both\",\"reference\":\"in\"}",
         {"no reference 'in'", "h1", "[reference in]"},
         ERR_NOT_FOUND},
        {"{" FEW ",\"model\":\"both\",\"output\":\"/etc\"}", {"output", "", ""}, ERR_USAGE},
        {"{" FEW ",\"model\":\"both\",\"student\":\"/etc/passwd\"}", {"student", "", ""}, ERR_USAGE},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        cJSON *exec = resolved(rows[i].json, "ada/job", &err);
        assert_null(exec);
        for (int w = 0; w < 3; w++)
            if (!strstr(err.text, rows[i].words[w]))
                fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].json, err.text, rows[i].words[w]);
        assert_int_equal(err.kind, rows[i].kind);
    }
}

static void inputs_stay_where_jobs_may_read(void **state)
{
    (void)state;
    static const struct {
        const char *noise, *real, *word; /* word: of the refusal */
    } rows[] = {
        {"@/inputs/noise.npy", "inputs/noise.npy", NULL},
        {"@/root/ada/labels.npy", "root/ada/labels.npy", NULL},
        {"ada/labels.npy", "root/ada/labels.npy", NULL},
        {"ada/../ada/inside/labels.npy", "root/ada/labels.npy", NULL},
        {"@/secret/key", NULL, "outside"},
        {"@/inputs/key", NULL, "outside"},
        {"@/inputs/out/key", NULL, "outside"},
        {"@/inputs/../secret/key", NULL, "outside"},
        {"@/inputs-not/noise.npy", NULL, "outside"},
        {"bob/key", NULL, "outside"},
        {"../secret/key", NULL, "outside"},
        {"/etc/passwd", NULL, "outside"},
        {"/proc/self/environ", NULL, "outside"},
        {"loop", NULL, "symbolic links"},
        {"nothing.npy", NULL, "No such file"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        char *json = xasprintf("{" FEW ",\"model\":\"both\",\"noise\":\"%s\"}", rows[i].noise);
        cJSON *exec = resolved(json, "ada/job", &err);
        if (rows[i].real) {
            char *wanted = path(rows[i].real);
            assert_string_equal(json_text(exec, "noise", ""), wanted);
            free(wanted);
        } else if (exec || !strstr(err.text, rows[i].word) || !strstr(err.text, "noise")) {
            fail_msg("%s: \"%s\"", rows[i].noise, err.text);
        }
        cJSON_Delete(exec);
        free(json);
    }
    Err err = {0};
    assert_null(resolved("{\"kind\":\"statistics\",\"images\":\"@/secret\"}", "ada/job", &err));
    assert_non_null(strstr(err.text, "job field images"));
}

static void output_stays_below_its_root(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "/etc", "../x",    "ada/../../x", "ada/..",  ".",     "ada/.hidden",
                                      "ada//x", "ada/", "bob/job", "bob",         "ada/\nx", "loop/x"};
    char *root = path("root");
    for (size_t i = 0; i < countof(bad); i++) {
        Err err = {0};
        char *out = NULL;
        if (resolve_output(root, bad[i], &out, &err))
            fail_msg("'%s' became %s", bad[i], out);
        assert_non_null(strstr(err.text, "output folder"));
    }
    static const char *const good[] = {"ada", "ada/job", "new/job-1_2.3", "ada/inside/x", "a..b/c"};
    for (size_t i = 0; i < countof(good); i++) {
        Err err = {0};
        char *out = NULL, *wanted = xasprintf("%s/%s", root, good[i]);
        assert_ok(resolve_output(root, good[i], &out, &err), err);
        assert_string_equal(out, wanted);
        free(out);
        free(wanted);
    }
    Err err = {0};
    char *out = NULL;
    assert_err(resolve_output("/nonexistent/root", "ada", &out, &err), err, "output root", "No such file");
    assert_err(resolve_output(root, NULL, &out, &err), err, "output folder");
    free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_files),           cmocka_unit_test(parts_and_sizes),
        cmocka_unit_test(references_of_both_kinds),     cmocka_unit_test(registrations),
        cmocka_unit_test(unknown_names_get_a_sentence), cmocka_unit_test(inputs_stay_where_jobs_may_read),
        cmocka_unit_test(output_stays_below_its_root),
    };
    return cmocka_run_group_tests_name("resolve", tests, setup, teardown);
}
