/* JSON for people and other programs: valid whatever bytes a text holds. */
#include "tests/test.h"

#include "core/json.h"
#include "core/utf8.h"

static void test_bytes_that_are_no_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed; /* inside the quotes */
    } rows[] = {
        {"plain", "plain"},
        {"", ""},
        {"a\xff" "b", "a\\\\xffb"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"}, /* e acute, euro, a face */
        {"\xc3", "\\\\xc3"},                                                              /* cut short */
        {"\xe2\x82" "a", "\\\\xe2\\\\x82a"},
        {"\xf0\x9f\x98", "\\\\xf0\\\\x9f\\\\x98"},
        {"\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80", "\\\\xc0\\\\xaf\\\\xed\\\\xa0\\\\x80\\\\xf5\\\\x80\\\\x80\\\\x80"},
        {"\n\"\\\x01\x7f", "\\n\\\"\\\\\\u0001\x7f"},
    };
    for (size_t i = 0; i < countof(rows); i++)
        for (int indented = 0; indented < 2; indented++) {
            cJSON *json = cJSON_CreateObject();
            cJSON_AddStringToObject(json, "t", rows[i].text);
            char *text = json_print(json, indented),
                 *wanted = xasprintf(indented ? "{\n\t\"t\":\t\"%s\"\n}" : "{\"t\":\"%s\"}", rows[i].printed);
            assert_string_equal(text, wanted);
            for (const char *at = text; *at; at += utf8_size(at))
                assert_true(utf8_size(at) > 0);
            free(text);
            free(wanted);
            cJSON_Delete(json);
        }
}

static void test_names_of_members(void **state)
{
    (void)state;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "\xff", 1);
    char *text = json_print(json, false);
    assert_string_equal(text, "{\"\\\\xff\":1}");
    free(text);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_that_are_no_utf8),
        cmocka_unit_test(test_names_of_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
