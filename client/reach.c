#include "client/reach.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

static bool is_socket(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

const char *reach_named(const char *flag)
{
    const char *variable = getenv("DDQ_REDIS");
    return flag ? flag : variable && *variable ? variable : NULL;
}

Reach reach_find(const Conf *conf, const char *named)
{
    if (named)
        return (Reach){.url = xstrdup(named), .named = true};
    char *own = conf_socket(conf);
    const char *socket = conf->socket                    ? conf->socket
                         : is_socket(CONF_SYSTEM_SOCKET) ? CONF_SYSTEM_SOCKET
                         : is_socket(own)                ? own
                                                         : NULL;
    Reach reach = {.daemon = socket != NULL};
    reach.url = socket        ? xasprintf("unix:%s", socket)
                : conf->redis ? xstrdup(conf->redis)
                              : conf_standalone_url(conf->state);
    free(own);
    return reach;
}

bool reach_check_server(int fd, const char *path, Err *err)
{
    struct ucred server;
    struct stat folder;
    socklen_t size = sizeof server;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &size) != 0)
        return err_errno(err, "socket %s", path);
    char *copy = xstrdup(path);
    bool known = stat(dirname(copy), &folder) == 0;
    free(copy);
    if (server.uid == 0 || server.uid == geteuid() ||
        (known && server.uid == folder.st_uid && !(folder.st_mode & (S_IWGRP | S_IWOTH))))
        return true;
    return err_set(err, ERR_PERMISSION,
                   "socket %s is served by user id %u, who is neither you nor root nor the owner of its folder; "
                   "another user's program may stand there. Name the queue with --redis if that is right",
                   path, (unsigned)server.uid);
}
