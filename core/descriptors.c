#include "core/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"

static bool is_closed(int fd)
{
    return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

/* open takes the lowest free number, so after 0 .. fd - 1 are owned it is fd. The folder / is there even where /dev is
 * not; it can be neither read nor written as a file. */
void descriptors_own(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (is_closed(fd) && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            open("/", O_RDONLY | O_DIRECTORY);
}

int descriptors_flush(const char *program, int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    if (errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    fprintf(stderr, "%s: cannot write the output: %s\n", program, strerror(errno));
    return exit_code ? exit_code : EXIT_ERROR;
}
