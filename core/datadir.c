#include "core/datadir.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Cuts "/a/b" to "/a"; false when nothing is left. */
static bool parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = 0;
    return true;
}

static bool has(const char *folder, const char *name, char *ret_path)
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < PATH_MAX && access(ret_path, R_OK) == 0;
}

/* A folder above the program that is a source tree: a build folder lies under it, wherever the tree was moved. */
static bool in_tree(const char *program, char *ret_folder)
{
    char folder[PATH_MAX], path[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", program);
    while (parent(folder))
        if (has(folder, "recipes", path) && has(folder, "core/datadir.c", path)) {
            strcpy(ret_folder, folder);
            return true;
        }
    return false;
}

/* PREFIX/bin/ddq -> PREFIX/share/ddq: an installed program, or one of a bundle, wherever it was unpacked. */
static bool beside(const char *program, char *ret_folder)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", program);
    return parent(folder) && parent(folder) && has(folder, "share/ddq", ret_folder);
}

const char *datadir(void)
{
    static char found[PATH_MAX];
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = 0;
    return in_tree(program, found) || beside(program, found) ? found : DDQ_DATADIR;
}
