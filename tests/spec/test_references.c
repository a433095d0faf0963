/* The registry's folder: names, entries, and what other users may have put there. */
#include "tests/folder.h"

#include "core/json.h"
#include "spec/references.h"

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"imagenet256", "a", "A.b_c-9"};
    static const char *const bad[] = {"",
                                      ".",
                                      "..",
                                      "../x",
                                      "a/b",
                                      "-x",
                                      ".x",
                                      "a b",
                                      "a\nb",
                                      "\xc3\xa9",
                                      "12345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < countof(good); i++)
        assert_true(references_name_ok(good[i]));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(references_name_ok(bad[i]));
}

static void test_entries(void **state)
{
    (void)state;
    Err err = {0};
    cJSON *entry;
    folder_write("a.json", "{\"name\": \"a\", \"path\": \"a.npz\", \"pipeline\": \"pt\"}");
    folder_write("b.json", "{\"name\": \"b\", \"path\": \"/data/photos\"}");
    folder_write("a.npz", "");
    folder_write(".c.json.part", "{\"name\": \"c\"}");
    assert_ok(references_read(folder, "a", &entry, &err), err);
    char *npz = xasprintf("%s/a.npz", folder);
    assert_string_equal(json_text(entry, "path", ""), npz);
    free(npz);
    cJSON_Delete(entry);
    Err bad;
    cJSON *all = references_scan(folder, &bad);
    assert_int_equal(bad.kind, ERR_NONE);
    assert_int_equal(cJSON_GetArraySize(all), 2);
    assert_string_equal(json_text(cJSON_GetObjectItemCaseSensitive(all, "b"), "path", ""), "/data/photos");
    cJSON_Delete(all);
    char *nowhere = xasprintf("%s/nowhere", folder);
    all = references_scan(nowhere, &bad);
    assert_int_equal(cJSON_GetArraySize(all) + (int)bad.kind, 0);
    cJSON_Delete(all);
    free(nowhere);
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "not a JSON object"},
        {"[1]", "not a JSON object"},
        {"{\"name\": \"other\", \"path\": \"/x\"}", "its name is 'other'"},
        {"{\"name\": \"x\"}", "path is ''"},
        {"{\"name\": \"x\", \"path\": \"../../etc/passwd\"}", "wanted x.npz or a whole path"},
        {"{\"name\": \"x\", \"path\": \"y.npz\"}", "wanted x.npz"},
        {"{\"name\": \"x\", \"path\": 7}", "path is ''"},
        {"{\"name\": \"x\", \"path\": \"/x\", \"pipeline\": \"both\"}", "wanted pt or tf"},
    };
    Err err = {0};
    cJSON *entry;
    for (size_t i = 0; i < countof(cases); i++) {
        folder_write("x.json", cases[i].text);
        assert_err(references_read(folder, "x", &entry, &err), err, cases[i].says);
    }
    char *x = xasprintf("%s/x.json", folder), *big = xcalloc(1, 70000);
    memset(big, ' ', 69999);
    folder_write("x.json", big);
    assert_err(references_read(folder, "x", &entry, &err), err, "65536 bytes");
    unlink(x);
    assert_int_equal(symlink("/etc/passwd", x), 0);
    assert_err(references_read(folder, "x", &entry, &err), err, "x.json");
    unlink(x);
    assert_int_equal(mkfifo(x, 0600), 0); /* opening it must not wait for a writer */
    assert_err(references_read(folder, "x", &entry, &err), err, "not a file");
    assert_err(references_read(folder, "../x", &entry, &err), err, "cannot be the name of a reference");
    Err bad;
    cJSON *all = references_scan(folder, &bad);
    assert_int_equal(cJSON_GetArraySize(all), 0);
    assert_non_null(strstr(bad.text, "x.json")); /* reported, and the others are offered */
    cJSON_Delete(all);
    free(x);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_entries, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_hostile, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
