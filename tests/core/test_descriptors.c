/* Programs that are started without their standard descriptors. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/descriptors.h"

/* In a child that has lost the descriptors of `closed`: 0 if a file opened after the call got none of 0 to 2, reading
 * and writing those that were closed fails, and the others are untouched. */
static int child(unsigned closed, const char *root)
{
    struct stat before[3], after;
    char byte;
    for (int fd = 0; fd < 3; fd++)
        if (fstat(fd, &before[fd]) != 0)
            return 10 + fd;
    if (root && chroot(root) != 0)
        return 0; /* only root may */
    for (int fd = 0; fd < 3; fd++)
        if (closed & 1u << fd)
            close(fd);
    descriptors_own();
    int opened = open("/", O_RDONLY);
    if (opened < 3)
        return 20;
    for (int fd = 0; fd < 3; fd++) {
        bool failed = fd == 0 ? read(fd, &byte, 1) < 0 : write(fd, "x", 1) < 0;
        if (fstat(fd, &after) != 0)
            return 30 + fd;
        if (closed & 1u << fd && (!failed || (errno != EBADF && errno != EISDIR)))
            return 40 + fd;
        if (!(closed & 1u << fd) && (after.st_ino != before[fd].st_ino || after.st_dev != before[fd].st_dev))
            return 50 + fd;
        if (fcntl(fd, F_GETFD) & FD_CLOEXEC && closed & 1u << fd)
            return 60 + fd; /* programs that are started from here need them too */
    }
    return 0;
}

static void check(unsigned closed, const char *root)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++)
            dup2(nothing, fd);
        close(nothing);
        _exit(child(closed, root));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status))
        fail_msg("descriptors %u closed: the child ended with %d", closed, WEXITSTATUS(status));
}

static void closed_descriptors_are_owned(void **state)
{
    (void)state;
    for (unsigned closed = 0; closed < 8; closed++)
        check(closed, NULL);
}

static void also_without_dev(void **state)
{
    (void)state;
    char *folder = test_folder();
    for (unsigned closed = 0; closed < 8; closed++)
        check(closed, folder);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_descriptors_are_owned),
        cmocka_unit_test(also_without_dev),
    };
    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
