/* A temporary folder for tests: one per test, or one per program.
 *
 *     cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)
 *     cmocka_run_group_tests(tests, folder_make, folder_remove)
 *
 * `folder` is its path. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <sys/stat.h>

#include "tests/test.h"

static char *folder;

static inline int folder_make(void **state)
{
    (void)state;
    folder = test_folder();
    return 0;
}

static inline int folder_remove(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

/* The path of a file in it; valid for the next seven calls. */
static inline const char *folder_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* Writes a text file; returns its path as folder_path. */
static inline const char *folder_write(const char *name, const char *text)
{
    const char *path = folder_path(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* Runs `tests/SCRIPT WORD FOLDER/NAME MORE`, which makes the files of a test; makes FOLDER/NAME before. Returns the
 * exit status. */
static inline int folder_script(const char *script, const char *word, const char *name, const char *more)
{
    const char *into = folder_path(name);
    if (*name && mkdir(into, 0777) != 0)
        return -1;
    char *command = xasprintf("/usr/bin/python3 %s/%s %s %s %s", TESTS_DIR, script, word, into, more);
    int status = system(command);
    free(command);
    return status;
}

#endif
