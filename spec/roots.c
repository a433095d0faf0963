#include "spec/roots.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

bool roots_below(const char *path, const char *root)
{
    size_t len = strlen(root);
    if (len == 1) /* "/" */
        return true;
    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == 0);
}

static bool below_one(const char *path, const char *roots)
{
    bool found = false;
    char *copy = xstrdup(roots ? roots : ""), *rest = copy, *root, real[PATH_MAX];
    while (!found && (root = strsep(&rest, ":")))
        found = *root && realpath(root, real) && roots_below(path, real);
    free(copy);
    return found;
}

bool roots_resolve(const char *output_root, const char *input_roots, const char *path, char **ret_real, Err *err)
{
    char real[PATH_MAX];
    char *whole = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", output_root, path);
    bool ok = realpath(whole, real) != NULL || err_errno(err, "%s", path);
    free(whole);
    if (!ok)
        return false;
    if (!below_one(real, output_root) && !below_one(real, input_roots))
        return err_set(err, ERR_PERMISSION,
                       "%s lies outside the folders that jobs may read; put it under %s, or add its folder to "
                       "'input_roots' in ddq.conf",
                       path, output_root);
    *ret_real = xstrdup(real);
    return true;
}
