#include "daemon/base/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
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

/* `ddqd --check` holds the lock for a moment too. */
static bool lock_at_once(int fd)
{
    const struct timespec pause = {0, 20000000};
    for (int tries = 0; tries < 25; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool take_lock(const char *folder, int *ret_fd, Err *err)
{
    char *path = xasprintf("%s/lock", folder), pid[32] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0 || err_errno(err, "state lock %s", path);
    if (ok && !lock_at_once(fd)) {
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

/* The files of the folder that are there must be this user's to write; the pid of the lock's holder, if one holds it.
 */
static bool look_inside(const char *folder, int *ret_pid, Err *err)
{
    static const char *const names[] = {"lock", "boot", "journal"};
    bool ok = access(folder, R_OK | W_OK | X_OK) == 0 || err_errno(err, "state folder %s", folder);
    for (size_t i = 0; ok && i < countof(names); i++) {
        char *path = xasprintf("%s/%s", folder, names[i]);
        ok = access(path, F_OK) != 0 || access(path, R_OK | W_OK) == 0 || err_errno(err, "state file %s", path);
        free(path);
    }
    char *path = xasprintf("%s/lock", folder), pid[32] = "";
    int fd = ok ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0)
        *ret_pid = pread(fd, pid, sizeof pid - 1, 0) > 0 && atoi(pid) > 0 ? atoi(pid) : -1;
    if (fd >= 0)
        close(fd);
    free(path);
    return ok;
}

bool statedir_look(const char *path, int *ret_pid, Err *err)
{
    *ret_pid = 0;
    if (access(path, F_OK) == 0)
        return look_inside(path, ret_pid, err);
    return file_folders_possible(path) || err_errno(err, "state folder %s cannot be made", path);
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
