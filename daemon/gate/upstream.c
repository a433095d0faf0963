#include "daemon/gate/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/base/sched.h"

#define PROBE_CHANNEL "{ddq}:gate" /* nothing is published there: it keeps the listening link alive */

struct Listening {
    Listening *next;
    int count;
    char channel[];
};

/* --- connections ------------------------------------------------------------------------------------------ */

/* Refusals show in the answers to later calls. */
static void ignore_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    (void)owner, (void)tag, (void)reply;
}

static void introduce(RedisLink *link, const RedisUrl *url, const char *name)
{
    char db[16];
    snprintf(db, sizeof db, "%d", url->db);
    if (url->password[0])
        redis_link_send(link, 2, (const char *[]){"AUTH", url->password}, NULL, ignore_reply, 0);
    if (url->db)
        redis_link_send(link, 2, (const char *[]){"SELECT", db}, NULL, ignore_reply, 0);
    redis_link_send(link, 3, (const char *[]){"CLIENT", "SETNAME", name}, NULL, ignore_reply, 0);
}

static void on_calls_up(void *owner)
{
    Upstream *up = owner;
    introduce(up->calls, &up->url, "ddqd-gate");
    up->up = true;
    up->failures = 0;
}

static void on_calls_down(void *owner, const Err *why)
{
    Upstream *up = owner;
    up->why = *why;
    up->up = false;
    up->calls = NULL;
    up->next_calls = mono_ms() + sched_reconnect_ms(up->failures++, drand48());
}

static void on_listener_up(void *owner)
{
    Upstream *up = owner;
    introduce(up->listener, &up->url, "ddqd-gate-listener");
    up->listens = redis_link_subscribe(up->listener, PROBE_CHANNEL);
    for (Listening *row = up->first; row; row = row->next)
        redis_link_subscribe(up->listener, row->channel);
}

static void on_listener_down(void *owner, const Err *why)
{
    (void)why;
    Upstream *up = owner;
    up->listener = NULL;
    up->listens = false;
    up->next_listener = mono_ms() + sched_reconnect_ms(up->failures, drand48());
}

static void on_listener_message(void *owner, const char *channel, const char *text)
{
    Upstream *up = owner;
    if (channel)
        up->hooks.on_message(up->owner, channel, text);
}

void upstream_init(Upstream *up, uv_loop_t *loop, const RedisUrl *url, const UpstreamHooks *hooks, void *owner)
{
    *up = (Upstream){.loop = loop, .url = *url, .hooks = *hooks, .owner = owner};
    err_set(&up->why, ERR_UNREACHABLE, "no connection yet");
}

void upstream_start(Upstream *up)
{
    up->wanted = true;
    up->failures = 0;
    up->next_calls = up->next_listener = 0;
    upstream_tick(up, mono_ms());
}

static void links_close(Upstream *up)
{
    RedisLink *calls = up->calls, *listener = up->listener;
    up->up = up->listens = false;
    up->calls = up->listener = NULL;
    redis_link_close(calls);
    redis_link_close(listener);
}

void upstream_stop(Upstream *up, const char *why)
{
    up->wanted = false;
    err_set(&up->why, ERR_UNREACHABLE, "%s", why);
    links_close(up);
}

void upstream_tick(Upstream *up, Mono now)
{
    static const RedisLinkHooks calls_hooks = {on_calls_up, on_calls_down, NULL};
    static const RedisLinkHooks listener_hooks = {on_listener_up, on_listener_down, on_listener_message};
    redis_link_tick(up->calls, now);
    redis_link_tick(up->listener, now);
    if (up->wanted && !up->calls && now >= up->next_calls)
        up->calls = redis_link_open(up->loop, &up->url, &calls_hooks, up);
    if (up->wanted && !up->listener && now >= up->next_listener)
        up->listener = redis_link_open(up->loop, &up->url, &listener_hooks, up);
}

void upstream_close(Upstream *up)
{
    up->wanted = false;
    links_close(up);
    while (up->first) {
        Listening *row = up->first;
        up->first = row->next;
        free(row);
    }
}

/* --- calls and channels ------------------------------------------------------------------------------------ */

static void on_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    Upstream *up = owner;
    up->hooks.on_reply(up->owner, tag, reply);
}

bool upstream_send(Upstream *up, int argc, const char *const *argv, const size_t *lens, uint64_t tag)
{
    return up->up && redis_link_send(up->calls, argc, argv, lens, on_reply, tag);
}

static Listening **row_of(Upstream *up, const char *channel)
{
    Listening **at = &up->first;
    while (*at && strcmp((*at)->channel, channel) != 0)
        at = &(*at)->next;
    return at;
}

void upstream_listen(Upstream *up, const char *channel)
{
    Listening **at = row_of(up, channel);
    if (*at) {
        (*at)->count++;
        return;
    }
    size_t size = strlen(channel) + 1;
    Listening *row = xmalloc(sizeof *row + size);
    *row = (Listening){.count = 1};
    memcpy(row->channel, channel, size);
    *at = row;
    if (up->listens)
        redis_link_subscribe(up->listener, channel);
}

void upstream_unlisten(Upstream *up, const char *channel)
{
    Listening **at = row_of(up, channel), *row = *at;
    if (!row || --row->count)
        return;
    if (up->listens)
        redis_link_unsubscribe(up->listener, channel);
    *at = row->next;
    free(row);
}
