#include "daemon/base/environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

extern char **environ;

static void add(Environment *env, char *item)
{
    env->items = xrealloc(env->items, (env->count + 2) * sizeof *env->items);
    env->items[env->count++] = item;
    env->items[env->count] = NULL;
}

static bool is_private(const char *item)
{
    static const char *const starts[] = {"DDQ_REDIS=", "NOTIFY_SOCKET=", "WATCHDOG_"};
    for (size_t i = 0; i < countof(starts); i++)
        if (strncmp(item, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

Environment environment_inherited(void)
{
    Environment env = {.items = xcalloc(1, sizeof *env.items)};
    for (char **one = environ; *one; one++)
        if (!is_private(*one))
            add(&env, xstrdup(*one));
    return env;
}

void environment_set(Environment *env, const char *name, const char *value)
{
    size_t len = strlen(name);
    char *item = xasprintf("%s=%s", name, value);
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], item, len + 1) == 0) {
            free(env->items[i]);
            env->items[i] = item;
            return;
        }
    add(env, item);
}

void environment_free(Environment *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->items[i]);
    free(env->items);
    *env = (Environment){0};
}
