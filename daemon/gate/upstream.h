/* The gate's own two connections to Redis: one for the calls of all users, one that listens for them.
 *
 *     upstream_init(&up, loop, &url, &hooks, owner);
 *     upstream_start(&up);  upstream_stop(&up, "why");     as the daemon's own connection comes and goes
 *     upstream_send(&up, argc, argv, lens, tag);           hooks.on_reply(owner, tag, reply) exactly once; NULL: lost
 *     upstream_listen(&up, channel);                       counted; hooks.on_message(owner, channel, text)
 *     upstream_unlisten(&up, channel);
 *     upstream_tick(&up, now);
 *
 * They are not the daemon's: a flood of calls must not stand in front of a renewal. */
#ifndef DAEMON_GATE_UPSTREAM_H
#define DAEMON_GATE_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/clock.h"
#include "daemon/redis/link.h"
#include "daemon/redis/reply.h"
#include "spec/conf/conf.h"

typedef struct UpstreamHooks {
    void (*on_reply)(void *owner, uint64_t tag, const RedisReply *reply);
    void (*on_message)(void *owner, const char *channel, const char *text);
} UpstreamHooks;

typedef struct Listening Listening;

typedef struct Upstream {
    uv_loop_t *loop;
    RedisUrl url;
    UpstreamHooks hooks;
    void *owner;
    bool wanted; /* the daemon's own connection is ready */
    bool up;     /* calls can be sent */
    bool listens;
    Err why; /* that it is not */
    RedisLink *calls, *listener;
    int failures;
    Mono next_calls, next_listener;
    Listening *first;
} Upstream;

void upstream_init(Upstream *up, uv_loop_t *loop, const RedisUrl *url, const UpstreamHooks *hooks, void *owner);
void upstream_start(Upstream *up);
void upstream_stop(Upstream *up, const char *why);
void upstream_tick(Upstream *up, Mono now);
void upstream_close(Upstream *up); /* calls under way are answered with NULL; memory of links goes back on the loop */

/* False while not up: on_reply is not called. */
bool upstream_send(Upstream *up, int argc, const char *const *argv, const size_t *lens, uint64_t tag);

void upstream_listen(Upstream *up, const char *channel);
void upstream_unlisten(Upstream *up, const char *channel);

#endif
