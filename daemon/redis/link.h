/* One asynchronous Redis connection on a libuv loop: hiredis with deadlines for everything.
 *
 *     link = redis_link_open(loop, &url, &hooks, owner);      on_up or on_down follows from the loop, never before
 *     redis_link_send(link, argc, argv, lens, fn, tag);       fn(owner, tag, reply), exactly once
 *     redis_link_tick(link, mono_ms());                       deadlines; call a few times a second
 *     redis_link_close(link);                                 no more hooks; memory goes back on the loop
 *
 * A link is used once. When the connection ends for any reason, every pending fn is called with a NULL reply
 * (outcome unknown), then on_down once, then the link frees itself; open a new one to reconnect.
 * Only this file and reply.c include hiredis; they work with 0.14 and with 1.x. */
#ifndef DAEMON_REDIS_LINK_H
#define DAEMON_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"
#include "daemon/redis/reply.h"
#include "spec/conf/conf.h"

typedef struct RedisLink RedisLink;

typedef struct RedisLinkHooks {
    void (*on_up)(void *owner);
    void (*on_down)(void *owner, const Err *why); /* the link is gone when this returns */
    void (*on_message)(void *owner, const char *channel, const char *text);
} RedisLinkHooks;

enum {
    REDIS_CONNECT_MS = 3000, /* a connection that is not up by then is dropped */
    REDIS_ANSWER_MS = 10000  /* so is one that leaves a command unanswered so long: frozen server, pulled cable */
};

RedisLink *redis_link_open(uv_loop_t *loop, const RedisUrl *url, const RedisLinkHooks *hooks, void *owner);
void redis_link_close(RedisLink *link); /* NULL is fine; not from inside a reply function */

typedef void RedisReplyFn(void *owner, uint64_t tag, const RedisReply *reply);
/* False when the link is not up (fn is not called). argv is copied; lens may be NULL for plain strings. */
bool redis_link_send(RedisLink *link, int argc, const char *const *argv, const size_t *lens, RedisReplyFn *fn,
                     uint64_t tag);
/* From now on the link only listens; each message arrives through on_message. */
bool redis_link_subscribe(RedisLink *link, const char *channel);
/* The first channel of a link cannot be given up: the link probes its server with it. */
bool redis_link_unsubscribe(RedisLink *link, const char *channel);
void redis_link_tick(RedisLink *link, Mono now);

#endif
