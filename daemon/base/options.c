#include "daemon/base/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

void options_override(char **field, const char *text)
{
    if (!text)
        return;
    char *copy = xstrdup(text);
    free(*field);
    *field = copy;
}

bool options_conf(const Options *options, Conf **ret_conf, Err *err)
{
    Conf *conf = NULL;
    if (!conf_load(options->conf_path, &conf, err))
        return false;
    options_override(&conf->state, options->state);
    options_override(&conf->output_root, options->output_root);
    options_override(&conf->workers, options->workers);
    options_override(&conf->redis, options->redis);
    options_override(&conf->host, options->host);
    options_override(&conf->worker_program, options->worker_program);
    if (!conf->output_root)
        conf->output_root = conf_output_root(conf); /* so that `ddq run` needs no configuration */
    *ret_conf = conf;
    return true;
}

/* The worker program beside this program, unless the configuration names one. */
char *options_worker_program(const Conf *conf)
{
    char path[PATH_MAX];
    if (conf->worker_program)
        return xstrdup(conf->worker_program);
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    path[len > 0 ? len : 0] = 0;
    char *slash = strrchr(path, '/');
    return slash ? xasprintf("%.*s/ddq-worker", (int)(slash - path), path) : xstrdup("ddq-worker");
}
