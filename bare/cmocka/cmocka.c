#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILED = 1, SKIPPED };

static jmp_buf leave;

void print_message(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

void bare_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    longjmp(leave, FAILED);
}

void bare_skip(void)
{
    longjmp(leave, SKIPPED);
}

void bare_same_memory(const void *a, const void *b, size_t size, int want, const char *file, int line)
{
    const unsigned char *x = a, *y = b;
    size_t at = 0;
    while (at < size && x[at] == y[at])
        at++;
    if (want && at < size)
        bare_fail(file, line, "byte %zu of %zu is %02x, wanted %02x", at, size, x[at], y[at]);
    if (!want && at == size)
        bare_fail(file, line, "all %zu bytes are equal", size);
}

void bare_same_text(const char *a, const char *b, int want, const char *file, int line)
{
    if ((strcmp(a, b) == 0) != (want != 0))
        bare_fail(file, line, "\"%s\", wanted %s\"%s\"", a, want ? "" : "other than ", b);
}

static int run_one(const struct CMUnitTest *test, void **state)
{
    int how = setjmp(leave);
    if (how == 0) {
        if (test->setup_func && test->setup_func(state) != 0)
            return FAILED;
        test->test_func(state);
    }
    return how;
}

int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                            CMFixtureFunction teardown)
{
    static const char *const words[] = {"ok", "FAILED", "skipped"};
    int failed = 0;
    void *shared = NULL;
    printf("%s: %zu tests\n", group, count);
    if (setup && setup(&shared) != 0)
        return (int)count;
    for (size_t i = 0; i < count; i++) {
        void *state = tests[i].initial_state ? tests[i].initial_state : shared;
        fflush(stdout);
        int how = run_one(&tests[i], &state);
        if (tests[i].teardown_func)
            tests[i].teardown_func(&state);
        printf("%s: %s\n", tests[i].name, words[how]);
        failed += how == FAILED;
    }
    if (teardown)
        teardown(&shared);
    return failed;
}
