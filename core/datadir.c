#include "core/datadir.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

const char *datadir(void)
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    size_t tree = strlen(DDQ_SOURCE_DIR);
    if (len > (ssize_t)tree && strncmp(program, DDQ_SOURCE_DIR, tree) == 0 && program[tree] == '/')
        return DDQ_SOURCE_DIR;
    return DDQ_DATADIR;
}
