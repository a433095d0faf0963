#include "daemon/base/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"

/* Reads the folder's id, or makes one. */
static bool read_boot(const char *folder, char ret_boot[33], Err *err)
{
    char *path = xasprintf("%s/boot", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    if (ok && read(fd, ret_boot, 32) != 32) {
        unsigned char bytes[16];
        ok = getrandom(bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes;
        for (int i = 0; i < 16; i++)
            snprintf(ret_boot + 2 * i, 3, "%02x", bytes[i]);
        ok = ok && ftruncate(fd, 0) == 0 && pwrite(fd, ret_boot, 32, 0) == 32 && fsync(fd) == 0;
    }
    ret_boot[32] = 0;
    if (!ok)
        err_errno(err, "state file %s", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return ok;
}

static bool take_lock(const char *folder, int *ret_fd, Err *err)
{
    char *path = xasprintf("%s/lock", folder), pid[32] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0 || err_errno(err, "state lock %s", path);
    if (ok && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
        pid[got > 0 ? strcspn(pid, "\n") : 0] = 0;
        ok = err_set(err, ERR_REFUSED,
                     "state folder %s is used by another ddqd, pid %s: stop that one, or give this one a "
                     "folder of its own with --state",
                     folder, pid[0] ? pid : "unknown");
    } else if (ok) {
        int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
        ok = (ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)len, 0) == len) || err_errno(err, "state lock %s", path);
    }
    if (ok)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    free(path);
    return ok;
}

bool statedir_open(const char *path, StateDir *ret_state, Err *err)
{
    StateDir state = {.lock = -1};
    if (!file_make_folders(path, 0755, 0700, err))
        return false;
    state.path = realpath(path, NULL);
    if (!state.path)
        return err_errno(err, "state folder %s", path);
    if (!take_lock(state.path, &state.lock, err) || !read_boot(state.path, state.boot, err)) {
        statedir_close(&state);
        return false;
    }
    *ret_state = state;
    return true;
}

void statedir_close(StateDir *state)
{
    if (state->path && state->lock >= 0)
        close(state->lock); /* the file stays: removing it would let two daemons lock two files of one name */
    free(state->path);
    *state = (StateDir){.lock = -1};
}
