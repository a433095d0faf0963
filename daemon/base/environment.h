/* The environment of a process that the daemon starts.
 *
 *     Environment env = environment_inherited();
 *     environment_set(&env, "OMP_NUM_THREADS", "4");
 *     uv_spawn with env.items; environment_free(&env);
 */
#ifndef DAEMON_BASE_ENVIRONMENT_H
#define DAEMON_BASE_ENVIRONMENT_H

#include <stddef.h>

typedef struct Environment {
    char **items; /* NULL at the end */
    size_t count;
} Environment;

/* The daemon's own, without what is the daemon's alone: the address of Redis, which may hold a password, systemd's
 * socket and its watchdog. */
Environment environment_inherited(void);
void environment_set(Environment *env, const char *name, const char *value);
void environment_free(Environment *env);

#endif
