/* The state folder of one daemon: locked while it runs, so that two never share a journal or a private Redis.
 *
 *     statedir_open("/var/lib/ddq", &state, &err)   made if it is not there, 0700
 *     statedir_close(&state)
 */
#ifndef DAEMON_BASE_STATEDIR_H
#define DAEMON_BASE_STATEDIR_H

#include <stdbool.h>

#include "core/err.h"

typedef struct StateDir {
    char *path;    /* real */
    int lock;      /* fd */
    char boot[33]; /* this folder's id, made once: a restarted daemon has the same one */
} StateDir;

/* Looks at the folder and changes nothing: could statedir_open open it, but for another ddqd that uses it now?
 * *ret_pid: of that one, 0 for none, -1 if its pid is not known. A folder that is not there must be possible to make.
 */
bool statedir_look(const char *path, int *ret_pid, Err *err);

bool statedir_open(const char *path, StateDir *ret_state, Err *err);
void statedir_close(StateDir *state);

#endif
