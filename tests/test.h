/* What every test program includes: cmocka, a temporary folder, golden files. One test_*.c is one program. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

#define DEADLINE_MS  300000 /* of any wait: for an event, never for time; a machine may be slow */
#define GOLDEN(path) TESTS_DIR "/golden/" path
#define MADE(path)   MADE_DIR "/" path /* weights that the build made: tests/golden/llamagen/README.md */

/* Fails with the Err's message. */
#define assert_ok(call, err)                                                                                           \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s", #call, (err).text);                                                                     \
    } while (0)

/* The call must fail and its message must contain each of the words. */
#define assert_err(call, err, ...)                                                                                     \
    do {                                                                                                               \
        err_clear(&(err));                                                                                             \
        if (call)                                                                                                      \
            fail_msg("%s: succeeded, wanted an error", #call);                                                         \
        const char *const words_[] = {__VA_ARGS__};                                                                    \
        for (size_t i_ = 0; i_ < countof(words_); i_++)                                                                \
            if (!strstr((err).text, words_[i_]))                                                                       \
                fail_msg("%s: the error says \"%s\", wanted \"%s\" in it", #call, (err).text, words_[i_]);             \
    } while (0)

static inline int test_remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

/* A fresh folder under the system's temporary one; remove it with test_folder_remove. */
static inline char *test_folder(void)
{
    char *path = xstrdup("/tmp/ddq-test-XXXXXX");
    if (!mkdtemp(path))
        abort();
    return path;
}

static inline void test_folder_remove(char *path)
{
    nftw(path, test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

#endif
