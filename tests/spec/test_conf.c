/* ddq.conf: layers, relative paths, all errors of a line, Redis addresses, socket places. */
#include "tests/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/datadir.h"
#include "core/file.h"
#include "spec/conf/conf.h"

static char *folder;

static char *write_file(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static int setup(void **state)
{
    (void)state;
    folder = test_folder();
    setenv("HOME", folder, 1);
    static const char *const names[] = {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "INVOCATION_ID",
                                        "DDQ_REDIS",       "DDQ_CONF",       "DDQ_WORKERS",     "DDQ_LEASE_MS",
                                        "DDQ_OUTPUT_ROOT", "DDQ_STATE",      "DDQ_SOCKET",      "DDQ_HOST",
                                        "DDQ_HTTP",        "DDQ_RECIPES",    "DDQ_INPUT_ROOTS", "DDQ_CHUNK_MS"};
    for (size_t i = 0; i < countof(names); i++)
        unsetenv(names[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

static void assert_text(char *got, const char *wanted)
{
    assert_string_equal(got, wanted);
    free(got);
}

static void test_the_digits_model_is_always_there(void **state)
{
    (void)state;
    Conf *conf;
    Err err = {0};
    assert_ok(conf_load(NULL, &conf, &err), err);
    const ConfModel *digits = conf_model(conf, "digits");
    assert_non_null(digits);
    assert_string_equal(digits->files[ROLE_STUDENT], SOURCE_DIR "/models/digits/student.pt");
    assert_int_equal(access(digits->files[ROLE_TEACHER], R_OK), 0);
    assert_int_equal(access(digits->files[ROLE_TOKENIZER], R_OK), 0);
    assert_int_equal(access(conf_reference(conf, "digits")->statistics, R_OK), 0);
    assert_int_equal(access(conf_reference(conf, "digits")->inception, R_OK), 0);
    assert_null(conf_model(conf, "digit"));
    assert_null(conf->inception);
    assert_int_equal(conf->lease_ms, 15000);
    conf_free(conf);
}

static void test_layers(void **state)
{
    (void)state;
    Conf *conf;
    Err err = {0};
    char *dir = xasprintf("%s/.config", folder), *sub = xasprintf("%s/ddq", dir);
    assert_int_equal(mkdir(dir, 0700) | mkdir(sub, 0700), 0);
    free(write_file(".config/ddq/ddq.conf", "[daemon]\nworkers = cpu:1\nlease_ms = 2000\nchunk_ms=500\n"));
    setenv("DDQ_LEASE_MS", "3000", 1);
    assert_ok(conf_load(NULL, &conf, &err), err);
    assert_string_equal(conf->workers, "cpu:1");
    assert_int_equal(conf->lease_ms, 3000); /* the variable wins over the file */
    assert_int_equal(conf->chunk_ms, 500);
    conf_free(conf);

    char *path = write_file("other.conf", "[daemon]\nchunk_ms = 700\n[model digits]\nheads = 4\n");
    assert_ok(conf_load(path, &conf, &err), err);
    assert_null(conf->workers); /* a named file replaces the user's */
    assert_int_equal(conf->chunk_ms, 700);
    assert_int_equal(conf_model(conf, "digits")->heads, 4); /* a later layer adds to a section */
    assert_non_null(conf_model(conf, "digits")->files[ROLE_STUDENT]);
    conf_free(conf);

    setenv("DDQ_LEASE_MS", "soon", 1);
    assert_err(conf_load(path, &conf, &err), err, "DDQ_LEASE_MS", "lease_ms", "soon", "1000");
    free(path);
    free(dir);
    free(sub);
}

static void test_paths_are_relative_to_the_file(void **state)
{
    (void)state;
    Conf *conf;
    Err err = {0};
    char *path = write_file("a.conf", "[daemon]\noutput_root = jobs\nstate = ./st\nredis = unix:r.sock\n"
                                      "input_roots = data:/srv:~/mine\nworkers = cpu:2\n"
                                      "[model m]\n  student = s.pt ; a remark\n tokenizer = /abs/t.pt\n# note\n"
                                      "[reference r]\nstatistics = s.npz\n[inception]\nweights = w.pth\n");
    assert_ok(conf_load(path, &conf, &err), err);
    assert_text(xasprintf("%s", conf->output_root + strlen(folder)), "/jobs");
    assert_text(xasprintf("%s", conf->state + strlen(folder)), "/st");
    assert_int_equal(strncmp(conf->redis, "unix:/tmp/", 10), 0);
    char *roots = xasprintf("%s/data:/srv:%s/mine", folder, folder);
    assert_string_equal(conf->input_roots, roots);
    free(roots);
    assert_text(xasprintf("%s", conf_model(conf, "m")->files[ROLE_STUDENT] + strlen(folder)), "/s.pt");
    assert_string_equal(conf_model(conf, "m")->files[ROLE_TOKENIZER], "/abs/t.pt");
    assert_null(conf_model(conf, "m")->files[ROLE_TEACHER]);
    assert_null(conf_reference(conf, "r")->inception);

    /* What is printed reads back as the same configuration. */
    char *printed = conf_print(conf);
    char *again = write_file("b.conf", printed);
    Conf *second;
    assert_ok(conf_load(again, &second, &err), err);
    char *reprinted = conf_print(second);
    assert_string_equal(printed, reprinted);
    conf_free(conf);
    conf_free(second);
    free(printed);
    free(reprinted);
    free(again);
    free(path);
}

static void test_a_long_path_is_kept_whole(void **state)
{
    (void)state;
    Conf *conf;
    Err err = {0};
    char text[3100] = "[model m]\ntokenizer = /t\nstudent = /";
    size_t len = strlen(text);
    memset(text + len, 'p', 3000);
    strcpy(text + len + 3000, "\n");
    char *path = write_file("long.conf", text);
    assert_ok(conf_load(path, &conf, &err), err);
    assert_int_equal(strlen(conf_model(conf, "m")->files[ROLE_STUDENT]), 3001);
    conf_free(conf);
    free(path);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *words[3];
    } cases[] = {
        {"[daemon]\nredis = unix:/a\nworker = cpu\n", "bad.conf:3", {"worker", "workers", "[daemon]"}},
        {"[deamon]\nredis = unix:/a\n", "bad.conf:2", {"deamon", "daemon", ""}},
        {"[models]\nx = 1\n", "bad.conf:2", {"models", "model", ""}},
        {"redis = unix:/a\n", "bad.conf:1", {"before the first section", "", ""}},
        {"[model]\nstudent = a\n", "bad.conf:2", {"needs a name", "[model digits]", ""}},
        {"[model ../x]\nstudent = a\n", "bad.conf:2", {"needs a name", "", ""}},
        {"[daemon x]\nredis = a\n", "bad.conf:2", {"takes no name", "[daemon]", ""}},
        {"[daemon]\nlease_ms = 10s\n", "bad.conf:2", {"lease_ms", "10s", "1000"}},
        {"[daemon]\nlease_ms = 1\n", "bad.conf:2", {"lease_ms", "1000", ""}},
        {"[daemon]\nlease_ms = 99999999999999999999\n", "bad.conf:2", {"lease_ms", "", ""}},
        {"[daemon]\ninput_roots = ::\n", "bad.conf:2", {"input_roots", "::", "colons"}},
        {"[daemon]\nworkers = c\001pu\n", "bad.conf:2", {"workers", "control", ""}},
        {"[daemon]\nworkers =\n", "bad.conf:2", {"workers", "no value", ""}},
        {"[daemon]\nredis = rediss://h\n", "bad.conf:2", {"TLS", "tunnel", ""}},
        {"[daemon]\n\njust words\n", "bad.conf:3", {"key = value", "", ""}},
        {"[model m]\nstudent = a\n", "[model m]", {"no tokenizer", "", ""}},
        {"[model m]\ntokenizer = a\n", "[model m]", {"no student and no teacher", "", ""}},
        {"[model m]\nfamily = var\ntokenizer = a\n", "[model m]", {"'var'", "llamagen-dd", ""}},
        {"[reference r]\ninception = a\n", "[reference r]", {"no statistics", "no images", ""}},
        {"[reference r]\nstatistics = a\nimages = b\n", "[reference r]", {"statistics and images", "one of them", ""}},
        {"[reference r]\nimages = b\npipeline = both\n", "[reference r]", {"'both'", "pt or tf", ""}},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        Conf *conf = NULL;
        Err err = {0};
        char *path = write_file("bad.conf", cases[i].text);
        assert_err(conf_load(path, &conf, &err), err, cases[i].line, cases[i].words[0], cases[i].words[1],
                   cases[i].words[2]);
        assert_null(conf);
        free(path);
    }
    Conf *conf = NULL;
    Err err = {0};
    assert_err(conf_load("/nowhere/ddq.conf", &conf, &err), err, "/nowhere/ddq.conf", "No such file");
}

static void test_redis_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path, *host;
        int port, db;
        const char *password;
    } good[] = {
        {"unix:/run/ddq/redis.sock", "/run/ddq/redis.sock", "", 6379, 0, ""},
        {"unix:///run/r", "/run/r", "", 6379, 0, ""},
        {"/run/r", "/run/r", "", 6379, 0, ""},
        {"redis://h", "", "h", 6379, 0, ""},
        {"redis://h:7000/3", "", "h", 7000, 3, ""},
        {"redis://:s%40:x@h:1", "", "h", 1, 0, "s@:x"},
        {"redis://default:pw@h/", "", "h", 6379, 0, "pw"},
        {"redis://[::1]:7001", "", "::1", 7001, 0, ""},
        {"[fe80::1%eth0]/2", "", "fe80::1%eth0", 6379, 2, ""},
        {"redis://:p@[::1]/1", "", "::1", 6379, 1, "p"},
        {"redis://:pa#ss@h", "", "h", 6379, 0, "pa#ss"},
        {"redis://:a/b@c:d@h:1/2", "", "h", 1, 2, "a/b@c:d"},
        {"redis://:two words@h", "", "h", 6379, 0, "two words"},
        {"unix:/r.sock?db=4", "/r.sock", "", 6379, 4, ""},
        {"/r.sock?db=5", "/r.sock", "", 6379, 5, ""},
        {"unix:///r.sock?db=0", "/r.sock", "", 6379, 0, ""},
        {"unix://:pw@/run/r.sock?db=6", "/run/r.sock", "", 6379, 6, "pw"},
        {"unix://default:p%40w@/run/r.sock", "/run/r.sock", "", 6379, 0, "p@w"},
        {"unix://:a@/b@/run/r.sock", "/run/r.sock", "", 6379, 0, "a@/b"},
        {"unix:/home/ada@LAB/what?/r.sock", "/home/ada@LAB/what?/r.sock", "", 6379, 0, ""},
        {"unix:r.sock", "r.sock", "", 6379, 0, ""},
        {"unix:////run/a@b", "//run/a@b", "", 6379, 0, ""},
        {"host:6380", "", "host", 6380, 0, ""},
        {"host", "", "host", 6379, 0, ""},
    };
    for (size_t i = 0; i < countof(good); i++) {
        RedisUrl url;
        Err err = {0};
        assert_ok(redis_url_parse(good[i].text, &url, &err), err);
        assert_string_equal(url.path, good[i].path);
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.db, good[i].db);
        assert_string_equal(url.password, good[i].password);
        RedisUrl again;
        char *name = redis_url_name(&url); /* what is printed can be given again, and has no password */
        assert_ok(redis_url_parse(name, &again, &err), err);
        memset(url.password, 0, sizeof url.password);
        assert_string_equal(again.path, url.path);
        assert_string_equal(again.host, url.host);
        assert_string_equal(again.password, "");
        assert_int_equal(again.port, url.port);
        assert_int_equal(again.db, url.db);
        free(name);
    }
    static const char *const bad[][2] = {
        {"", "not one of"},
        {"unix:", "without a path"},
        {"http://h", "redis://"},
        {"redis://h:0", "host[:port]"},
        {"redis://h:70000", ""},
        {"redis://h/x", "database"},
        {"redis://ada:p@h", "user"},
        {"redis://:%4@h", "%XX"},
        {"redis://:%00@h", ""},
        {"[::1", "host[:port]"},
        {"redis://", "host[:port]"},
        {":6379", "host[:port]"},
        {"rediss://h", "TLS"},
        {"h:6379x", "host[:port]"},
        {"redis://p@h", "password"},
        {"::1", "brackets"},
        {"redis://::1/0", "brackets"},
        {"[h]:1", "host[:port]"},
        {"redis://h /0", "host[:port]"},
        {"redis://h:+1", "host[:port]"},
        {"redis://h/-1", "database"},
        {"unix:/r?db=x", "?db="},
        {"unix:/r?password=x", "?db="},
        {"unix://h/r.sock", "/PATH"},
        {"unix://ada:p@/r.sock", "user"},
    };
    for (size_t i = 0; i < countof(bad); i++) {
        RedisUrl url = {.port = -7};
        Err err = {0};
        assert_err(redis_url_parse(bad[i][0], &url, &err), err, bad[i][1]);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_int_equal(url.port, -7); /* untouched */
    }
    char path[200] = "unix:/";
    memset(path + 6, 'p', 150);
    RedisUrl url;
    Err err = {0};
    assert_err(redis_url_parse(path, &url, &err), err, "107", "shorter");
}

/* Whatever is wrong with an address and wherever its password stands, no error and no printed configuration has it. */
static void test_no_password_is_quoted(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "redis://:%s@host:port",
        "redis//:%s@h",
        "redis:/:%s@h",
        "redis::%s@h",
        "redis://:%s",
        "redis://:%s/0",
        "redis://%s:%s@h",
        "redis://%s@h",
        "redis://h:%s",
        "redis://h/%s",
        "redis://:%s@h h",
        "redis://:%s@h:1:2",
        "rediss://:%s@h",
        "http://:%s@h",
        "unix:%s@/run/r.sock",
        "unix::%s@/run/r.sock",
        "unix:/:%s@/run/r.sock",
        "unix://%s@/run/r",
        "unix://:%s/run/r",
        "unix:///r.sock?password=%s",
        "unix:r.sock?db=%s",
        "/r.sock?auth=%s",
        " redis://:%s@h",
        "redis:// :%s @ h",
        "redis ://:%s@h",
        "redis://:%s@",
        "redis://:%s@:1",
        "redis://:%s%%@h",
        ":%s@h:x",
        "%s",
        "://:%s@h",
        "REDIS://:%s@h",
        "redis://:%s@h/x@",
        "redis://:%s@h%%zz",
        "default:%s@h:x",
        "redis://[%s]:1",
    };
    static const char *const secrets[] = {"hunter2!", "hun ter2!", "hu#nter2!",  "hu/nter2!",
                                          "h@nter2!", "h:nter2!",  "'hunter2!'", "hunter%2!"};
    for (size_t i = 0; i < countof(forms); i++)
        for (size_t k = 0; k < countof(secrets); k++) {
            char *text = xasprintf(forms[i], secrets[k], secrets[k]);
            RedisUrl url;
            Err err = {0};
            Conf *conf = NULL;
            char *printed, *masked = redis_url_masked(text);
            assert_null(strstr(masked, "ter2!"));
            assert_int_equal(setenv("DDQ_REDIS", text, 1), 0);
            if (redis_url_parse(text, &url, &err)) {
                char *name = redis_url_name(&url);
                if (strstr(name, "ter2!"))
                    fail_msg("%s is shown as %s", text, name);
                free(name);
            } else if (strstr(err.text, "ter2!")) {
                fail_msg("%s: \"%s\"", text, err.text);
            }
            err_clear(&err);
            if (conf_load("/dev/null", &conf, &err)) {
                printed = conf_print(conf);
                if (strstr(printed, "ter2!"))
                    fail_msg("%s: is printed as %s", text, printed);
                free(printed);
                conf_free(conf);
            } else if (strstr(err.text, "ter2!")) {
                fail_msg("%s: \"%s\"", text, err.text);
            }
            free(masked);
            free(text);
        }
    unsetenv("DDQ_REDIS");
}

/* What `ps` shows of a program after redis_url_hide. */
static void test_the_command_line_is_hidden(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"--redis", "redis://:hunter2@localhost:6379/1", "redis://localhost:6379/1"},
        {"--redis", "redis//:hunter2@h", "*****************"},
        {"--redis", ":hunter2@h", "**********"}, /* its name is longer than it */
        {"--redis", "unix:/r", "unix:/r"},
        {"ls", "redis://:hunter2@h", "redis://:hunter2@h"}, /* no address of ours */
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *original[] = {xstrdup(rows[i][0]), xstrdup(rows[i][1]), NULL},
             *words[] = {original[0], original[1], NULL};
        redis_url_hide(2, words);
        assert_string_equal(words[1], rows[i][1]);
        assert_string_equal(original[1], rows[i][2]);
        free(original[0]);
        free(original[1]);
    }
    char *original = xstrdup("--redis=redis://:hunter2@localhost:6379"), *words[] = {original, NULL};
    redis_url_hide(1, words);
    assert_string_equal(words[0], "--redis=redis://:hunter2@localhost:6379");
    assert_string_equal(original, "--redis=redis://localhost:6379");
    free(original);
}

static void test_hosts_and_ports(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } rows[] = {
        {"localhost:9102", "localhost", 9102},
        {"[::1]:9102", "::1", 9102},
        {"0.0.0.0:1", "0.0.0.0", 1},
        {"h", "h", 7},
        {"[::]", "::", 7},
    };
    static const char *const bad[] = {"",    ":1",   "h:",   "h:0",    "h:x",   "h:1x",
                                      "::1", "[::1", "[]:1", "[::1]x", "a b:1", "h/:1"};
    for (size_t i = 0; i < countof(rows); i++) {
        char host[HOST_MAX];
        int port = 7;
        assert_true(host_port_parse(rows[i].text, host, &port));
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        char host[HOST_MAX] = "kept";
        int port = 7;
        if (host_port_parse(bad[i], host, &port))
            fail_msg("%s was taken for %s port %d", bad[i], host, port);
        assert_string_equal(host, "kept");
        assert_int_equal(port, 7);
    }
}

static void test_socket_of_a_state_folder(void **state)
{
    (void)state;
    assert_text(conf_standalone_url("/var/lib/ddq/"), "unix:/var/lib/ddq/redis.sock");
    char deep[200] = "/";
    memset(deep + 1, 'd', 150);
    char *url = conf_standalone_url(deep), *same = conf_standalone_url(deep);
    RedisUrl parsed;
    Err err = {0};
    assert_ok(redis_url_parse(url, &parsed, &err), err);
    assert_string_equal(url, same);
    deep[150] = 'e';
    char *other = conf_standalone_url(deep);
    assert_string_not_equal(url, other);
    assert_non_null(strstr(url, "/tmp/ddq-"));
    assert_non_null(strstr(url, "/ddq-")); /* in a folder that only this user enters */
    free(url);
    free(same);
    free(other);

    char *wanted = xasprintf("%s/.local/state/ddq", folder);
    assert_text(conf_default_state(), wanted);
    free(wanted);

    /* Results lie where people look, or beside a state folder that somebody chose; what is there stays where it is. */
    Conf *conf;
    assert_ok(conf_load(NULL, &conf, &err), err);
    wanted = xasprintf("%s/ddq-jobs", folder);
    assert_text(conf_output_root(conf), wanted);
    free(wanted);
    wanted = xasprintf("%s/jobs", conf->state);
    assert_true(file_make_folders(wanted, 0777, 0777, &err));
    assert_text(conf_output_root(conf), wanted);
    free(wanted);
    free(conf->state);
    conf->state = xstrdup("/srv/ddq");
    assert_text(conf_output_root(conf), "/srv/ddq/jobs");
    conf->output_root = xstrdup("/data/out");
    assert_text(conf_output_root(conf), "/data/out");
    conf_free(conf);
    setenv("XDG_STATE_HOME", "/srv/state", 1);
    assert_text(conf_default_state(), "/srv/state/ddq");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_digits_model_is_always_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths_are_relative_to_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_path_is_kept_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test(test_redis_addresses),
        cmocka_unit_test(test_no_password_is_quoted),
        cmocka_unit_test(test_the_command_line_is_hidden),
        cmocka_unit_test(test_hosts_and_ports),
        cmocka_unit_test_setup_teardown(test_socket_of_a_state_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
