/* Errors: whatever the message quotes, it stays one line of UTF-8. */
#include "tests/test.h"

#include <errno.h>

static void test_clean(void **state)
{
    (void)state;
    static const struct {
        const char *given, *kept;
    } rows[] = {
        {"plain", "plain"},
        {"two\nlines\t\x1b[31m", "two?lines??[31m"},
        {"\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x99\x82", "\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x99\x82"},
        {"\xc3", "?"},
        {"\xc3(", "?("},
        {"\xe2\x82", "?"
                     "?"},
        {"\xe2\x82(", "?"
                      "?("},
        {"\xc0\xaf", "?"
                     "?"},
        {"\xed\xa0\x80", "?"
                         "?"
                         "?"},
        {"\xf4\x90\x80\x80", "?"
                             "?"
                             "?"
                             "?"},
        {"\xff\xfe", "?"
                     "?"},
        {"\x7f", "?"},
        {"too many, 'redis://:hunter2@h:1/2' is one", "too many, 'redis://***@h:1/2' is one"},
        {"unix://:a@b@/r and http://u:p@h x@y", "unix://***@/r and http://***@h x@y"},
        {"wanted redis://[:PASSWORD@]HOST, not redis://p@h", "wanted redis://[:PASSWORD@]HOST, not redis://*@h"},
        {"redis://:@h redis://p@h", "redis://*@h redis://*@h"},
        {"https://h/p a@b ://@", "https://h/p a@b ://@"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        assert_false(err_set(&err, ERR_FORMAT, "%s", rows[i].given));
        assert_string_equal(err.text, rows[i].kept);
        assert_false(err_wrap(&err, "%s", rows[i].given));
        assert_memory_equal(err.text, rows[i].kept, strlen(rows[i].kept));
    }
}

/* A message that is too long is cut between characters. */
static void test_cut(void **state)
{
    (void)state;
    Err err = {0};
    char text[1000];
    for (size_t i = 0; i < sizeof text - 2; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    err_set(&err, ERR_FORMAT, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(err.text[sizeof err.text - 2], '?');
}

static void test_errno(void **state)
{
    (void)state;
    static const struct {
        int number;
        ErrKind kind;
    } rows[] = {{ENOENT, ERR_NOT_FOUND},  {ENOSPC, ERR_DISK_FULL}, {EDQUOT, ERR_DISK_FULL},
                {EACCES, ERR_PERMISSION}, {ENOMEM, ERR_MEMORY},    {EIO, ERR_IO}};
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        errno = rows[i].number;
        assert_false(err_errno(&err, "file %s", "x"));
        assert_int_equal(err.kind, rows[i].kind);
        assert_memory_equal(err.text, "file x: ", 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
