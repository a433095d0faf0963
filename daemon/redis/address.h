/* Where Redis is, by the configuration: the private server's socket, or `redis` with the password of `redis_secret`. */
#ifndef DAEMON_REDIS_ADDRESS_H
#define DAEMON_REDIS_ADDRESS_H

#include <stdbool.h>

#include "core/err.h"
#include "spec/conf/conf.h"

/* alone: the private server. The file of redis_secret must be closed to other users of the host. */
bool address_find(const Conf *conf, bool alone, RedisUrl *ret_url, Err *err);

#endif
