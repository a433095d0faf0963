/* Where the queue is, for a client on this host. The first of these that is there:
 *
 *     --redis URL, DDQ_REDIS        a Redis that the caller names, for administrators who hold its password
 *     socket = in ddq.conf          the daemon of this host
 *     /run/ddq/ddq.sock             the daemon of this host, as a system service
 *     STATE/ddq.sock                a daemon of the caller's own
 *     redis = in ddq.conf           of a host without a daemon
 *     STATE/redis.sock              the private Redis of a daemon of the caller's own */
#ifndef CLIENT_REACH_H
#define CLIENT_REACH_H

#include <stdbool.h>

#include "core/err.h"
#include "spec/conf/conf.h"

typedef struct Reach {
    char *url;   /* caller frees */
    bool named;  /* by the caller: who serves it is the caller's business */
    bool daemon; /* a ddqd answers, not a Redis */
} Reach;

/* The address that the caller names: the value of --redis, or DDQ_REDIS; NULL: none. */
const char *reach_named(const char *flag);

/* conf may be NULL if an address is named. */
Reach reach_find(const Conf *conf, const char *named);

/* Refuses the server behind a socket that another user of this host could have put there: it must run as this user, as
 * root, or as the owner of the socket's folder in which no other user can write. fd is connected. */
bool reach_check_server(int fd, const char *path, Err *err);

#endif
