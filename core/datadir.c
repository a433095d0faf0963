#include "core/datadir.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool in_tree(const char *program, const char *tree)
{
    size_t len = strlen(tree);
    return strncmp(program, tree, len) == 0 && program[len] == '/';
}

/* PREFIX/bin/ddq -> PREFIX/share/ddq: also where `cmake --install --prefix` put it somewhere else than configured. */
static bool beside(const char *program, char *ret_folder, size_t size)
{
    const char *name = strrchr(program, '/'), *folder = name;
    while (folder && folder > program && *--folder != '/')
        ;
    if (!folder)
        return false;
    int len = snprintf(ret_folder, size, "%.*s/share/ddq", (int)(folder - program), program);
    return len > 0 && (size_t)len < size && access(ret_folder, R_OK | X_OK) == 0;
}

const char *datadir(void)
{
    static char installed[PATH_MAX];
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = 0;
    if (in_tree(program, DDQ_SOURCE_DIR))
        return DDQ_SOURCE_DIR;
    return beside(program, installed, sizeof installed) ? installed : DDQ_DATADIR;
}
