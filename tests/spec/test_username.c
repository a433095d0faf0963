/* Names of users: what the queue can hold stays, everything else becomes a name that no other user can have. */
#include "spec/username.h"

#include <string.h>

#include "tests/test.h"

static void check(const char *login, unsigned uid, const char *wanted)
{
    char name[USERNAME_MAX];
    username_from_login(login, uid, name);
    assert_string_equal(name, wanted);
    assert_true(username_ok(name));
}

static void logins(void **state)
{
    (void)state;
    check("ada", 1000, "ada");
    check("_apt", 100, "_apt");
    check("ada.l-2_x", 1000, "ada.l-2_x");
    check("12345678901234567890123456789012", 7, "12345678901234567890123456789012");
    /* no entry; characters that a key or a folder cannot have; too long; first character */
    check(NULL, 1234, "uid1234");
    check("", 5, "uid5");
    check("LAB\\ada", 1000, "uid1000");
    check("ada@lab", 1001, "uid1001");
    check("ada b", 1002, "uid1002");
    check("ad\xc3\xa4", 1003, "uid1003");
    check("123456789012345678901234567890123", 8, "uid8");
    check("..", 9, "uid9");
    check("-ada", 10, "uid10");
    check("a/b", 11, "uid11");
}

/* A login name that looks like the name given to another user id would be that user. */
static void impostors(void **state)
{
    (void)state;
    check("uid1000", 4, "uid4");
    check("uid4294967295", 6, "uid6");
    check("uid", 6, "uid");
    check("uid1x", 6, "uid1x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins),
        cmocka_unit_test(impostors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
