/* The part of cmocka that the tests use: groups, fixtures, assertions, skips. See bare/README.md. */
#ifndef BARE_CMOCKA_H
#define BARE_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);
struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func, teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(f)                                                                                            \
    (struct CMUnitTest)                                                                                                \
    {                                                                                                                  \
#f, f, NULL, NULL, NULL                                                                                        \
    }
#define cmocka_unit_test_setup(f, setup)                                                                               \
    (struct CMUnitTest)                                                                                                \
    {                                                                                                                  \
#f, f, setup, NULL, NULL                                                                                       \
    }
#define cmocka_unit_test_teardown(f, teardown)                                                                         \
    (struct CMUnitTest)                                                                                                \
    {                                                                                                                  \
#f, f, NULL, teardown, NULL                                                                                    \
    }
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                                                            \
    (struct CMUnitTest)                                                                                                \
    {                                                                                                                  \
#f, f, setup, teardown, NULL                                                                                   \
    }
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    _cmocka_run_group_tests(#tests, tests, sizeof(tests) / sizeof(tests)[0], setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                                      \
    _cmocka_run_group_tests(name, tests, sizeof(tests) / sizeof(tests)[0], setup, teardown)

/* Returns how many failed. */
int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                            CMFixtureFunction teardown);
void bare_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
void bare_skip(void) __attribute__((noreturn));
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bare_same_memory(const void *a, const void *b, size_t size, int want, const char *file, int line);
void bare_same_text(const char *a, const char *b, int want, const char *file, int line);

#define skip()        bare_skip()
#define fail()        bare_fail(__FILE__, __LINE__, "failed")
#define fail_msg(...) bare_fail(__FILE__, __LINE__, __VA_ARGS__)
#define bare_assert(good, what)                                                                                        \
    do {                                                                                                               \
        if (!(good))                                                                                                   \
            bare_fail(__FILE__, __LINE__, "%s", what);                                                                 \
    } while (0)
#define assert_true(x)     bare_assert((x), #x " is false")
#define assert_false(x)    bare_assert(!(x), #x " is true")
#define assert_null(x)     bare_assert((x) == NULL, #x " is not NULL")
#define assert_non_null(x) bare_assert((x) != NULL, #x " is NULL")
#define assert_int_equal(a, b)                                                                                         \
    do {                                                                                                               \
        intmax_t a_ = (intmax_t)(a), b_ = (intmax_t)(b);                                                               \
        if (a_ != b_)                                                                                                  \
            bare_fail(__FILE__, __LINE__, "%s is %jd, wanted %jd", #a, a_, b_);                                        \
    } while (0)
#define assert_int_not_equal(a, b) bare_assert((intmax_t)(a) != (intmax_t)(b), #a " equals " #b)
#define assert_ptr_equal(a, b)     bare_assert((const void *)(a) == (const void *)(b), #a " differs from " #b)
#define assert_in_range(x, low, high)                                                                                  \
    bare_assert((uintmax_t)(x) >= (uintmax_t)(low) && (uintmax_t)(x) <= (uintmax_t)(high), #x " is out of range")
#define assert_float_equal(a, b, epsilon)                                                                              \
    bare_assert((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon), #a " differs from " #b)
#define assert_memory_equal(a, b, size)     bare_same_memory(a, b, size, 1, __FILE__, __LINE__)
#define assert_memory_not_equal(a, b, size) bare_same_memory(a, b, size, 0, __FILE__, __LINE__)
#define assert_string_equal(a, b)           bare_same_text(a, b, 1, __FILE__, __LINE__)
#define assert_string_not_equal(a, b)       bare_same_text(a, b, 0, __FILE__, __LINE__)

#ifdef __cplusplus
}
#endif
#endif
