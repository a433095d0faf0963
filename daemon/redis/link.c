/* hiredis on libuv. Owns the socket's poll handle, the pending replies and their deadlines.
 *
 * Why not the adapter that comes with hiredis: in 0.14 (Debian 12) it ignores poll errors, so a refused connection is
 * never reported, and it has no time limits. Here a poll error is passed to hiredis as "readable and writable", which
 * makes it read the socket's error; and the tick drops a link whose oldest command waits too long.
 *
 * States of a link:  open -> (resolve name) -> connecting -> up -> down
 *   1 open          looks the name up on libuv's threads, or connects at once for a path; the addresses of a name are
 *                   tried in turn ("localhost" is ::1 first on many machines, and most servers listen on 127.0.0.1)
 *   2 on_poll       drives hiredis; on_connect says whether it is up
 *   3 on_cleanup    hiredis is done with the context, after the last pending reply: close the poll handle
 *   4 on_closed     the handle is closed: call the owner, free the link */
#include "daemon/redis/link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/mem.h"

enum { PROBE_MS = 10000 }; /* a listening link probes its server this often */

typedef enum LinkState { LINK_RESOLVING, LINK_CONNECTING, LINK_UP, LINK_DOWN } LinkState;

/* One command under way. Redis answers in order, so the oldest is the one to watch. */
typedef struct Pending {
    struct Pending *next;
    RedisLink *link;
    RedisReplyFn *fn;
    uint64_t tag;
    Mono deadline;
} Pending;

struct RedisLink {
    uv_loop_t *loop;
    RedisUrl url;
    RedisLinkHooks hooks;
    void *owner;
    LinkState state;
    bool closed;    /* by the owner: no more hooks */
    bool poll_open; /* the handle must be closed before the memory goes */
    redisAsyncContext *redis;
    uv_poll_t poll;
    int events;
    uv_getaddrinfo_t lookup;
    bool looking;
    struct addrinfo *found, *next; /* the addresses of the name, and the first that was not tried */
    Mono deadline;                 /* of the connect, then of the probe of a listening link */
    Mono last_message;
    char *channel; /* the first one subscribed, used as the probe */
    Pending *oldest, *newest;
    Err why;
};

/* --- the end of a link ------------------------------------------------------------------------------ */

static void link_free(RedisLink *link)
{
    uv_freeaddrinfo(link->found);
    free(link->channel);
    free(link);
}

static void link_ended(RedisLink *link)
{
    assert(!link->oldest);
    if (!link->closed && link->hooks.on_down)
        link->hooks.on_down(link->owner, &link->why);
    link_free(link);
}

static bool connect_next(RedisLink *link);

static void on_closed(uv_handle_t *handle)
{
    RedisLink *link = handle->data;
    link->poll_open = false;
    link->events = 0;
    if (link->closed || !connect_next(link))
        link_ended(link);
}

/* Some builds of hiredis 1.x leave the message of a failed system call empty. */
static const char *error_text(const redisAsyncContext *redis, int number)
{
    if (redis && redis->err && redis->errstr && redis->errstr[0])
        return redis->errstr;
    return number ? strerror(number) : "the connection failed";
}

/* A server that takes no more connections says so and closes; what it said may be unread when a write fails. */
static bool last_words(const RedisLink *link, char *text, size_t size)
{
    ssize_t got = recv(link->redis->c.fd, text, size - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = 0;
    text[strcspn(text, "\r\n")] = 0;
    return text[0] == '-';
}

/* hiredis calls this once, after the last pending callback and before it closes the socket. */
static void on_cleanup(void *data)
{
    int number = errno;
    RedisLink *link = data;
    char text[256];
    if (link->redis->err && link->why.kind == ERR_NONE && last_words(link, text, sizeof text))
        err_set(&link->why, ERR_UNREACHABLE, "%s", text + 1);
    if (link->redis->err && link->why.kind == ERR_NONE)
        err_set(&link->why, ERR_UNREACHABLE, "%s", error_text(link->redis, number));
    if (link->why.kind == ERR_NONE)
        err_set(&link->why, ERR_UNREACHABLE, "the connection was closed");
    link->redis = NULL;
    link->state = LINK_DOWN;
    uv_poll_stop(&link->poll);
    uv_close((uv_handle_t *)&link->poll, on_closed);
}

/* Ends a link for a reason that hiredis does not have. */
static void link_drop(RedisLink *link, const char *why)
{
    if (link->why.kind == ERR_NONE)
        err_set(&link->why, ERR_UNREACHABLE, "%s", why);
    if (link->redis)
        redisAsyncFree(link->redis); /* runs pending callbacks, then on_cleanup */
    else if (!connect_next(link))
        link->state = LINK_DOWN; /* nothing was opened: the tick reports it */
}

/* --- hiredis asks for events ------------------------------------------------------------------------ */

/* libuv stops a handle that reports an error and hiredis may not notice it by reading, so an error ends the link. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
    RedisLink *link = handle->data;
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE;
    if (link->redis && (events & UV_READABLE))
        redisAsyncHandleRead(link->redis);
    if (link->redis && (events & UV_WRITABLE))
        redisAsyncHandleWrite(link->redis);
    if (link->redis && status < 0)
        link_drop(link, uv_strerror(status));
}

static void events_set(RedisLink *link, int events)
{
    if (events == link->events)
        return;
    link->events = events;
    if (events)
        uv_poll_start(&link->poll, events, on_poll);
    else
        uv_poll_stop(&link->poll);
}

static void on_add_read(void *data)
{
    RedisLink *link = data;
    events_set(link, link->events | UV_READABLE);
}

static void on_del_read(void *data)
{
    RedisLink *link = data;
    events_set(link, link->events & ~UV_READABLE);
}

static void on_add_write(void *data)
{
    RedisLink *link = data;
    events_set(link, link->events | UV_WRITABLE);
}

static void on_del_write(void *data)
{
    RedisLink *link = data;
    events_set(link, link->events & ~UV_WRITABLE);
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    RedisLink *link = redis->data;
    if (status != REDIS_OK)
        return; /* on_cleanup follows, with the error */
    link->state = LINK_UP;
    link->next = NULL; /* a name is looked up again for the next connection */
    link->last_message = mono_ms();
    if (!link->closed)
        link->hooks.on_up(link->owner);
}

/* --- connecting ------------------------------------------------------------------------------------- */

static void link_connect(RedisLink *link, const char *address)
{
    errno = 0;
    redisAsyncContext *redis =
        address ? redisAsyncConnect(address, link->url.port) : redisAsyncConnectUnix(link->url.path);
    int number = errno;
    link->state = LINK_CONNECTING;
    if (!redis || redis->err || uv_poll_init(link->loop, &link->poll, redis->c.fd)) {
        link_drop(link, error_text(redis, number));
        if (redis)
            redisAsyncFree(redis); /* no hooks are set yet, so this only frees */
        return;
    }
    fcntl(redis->c.fd, F_SETFD, FD_CLOEXEC); /* workers must not inherit it */
    link->poll_open = true;
    link->poll.data = link;
    link->redis = redis;
    redis->data = link;
    redis->ev.data = link;
    redis->ev.addRead = on_add_read;
    redis->ev.delRead = on_del_read;
    redis->ev.addWrite = on_add_write;
    redis->ev.delWrite = on_del_write;
    redis->ev.cleanup = on_cleanup;
    redisAsyncSetConnectCallback(redis, on_connect); /* asks for the first write event */
}

/* Tries the next address, with a time limit of its own. False: there is none, and `why` is that of the last one. */
static bool connect_next(RedisLink *link)
{
    char address[INET6_ADDRSTRLEN] = "";
    for (; link->next && !address[0]; link->next = link->next->ai_next) {
        if (link->next->ai_family == AF_INET)
            uv_ip4_name((struct sockaddr_in *)link->next->ai_addr, address, sizeof address);
        else if (link->next->ai_family == AF_INET6)
            uv_ip6_name((struct sockaddr_in6 *)link->next->ai_addr, address, sizeof address);
    }
    if (!address[0])
        return false;
    err_clear(&link->why);
    link->deadline = mono_ms() + REDIS_CONNECT_MS;
    link_connect(link, address);
    return true;
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
    RedisLink *link = request->data;
    link->looking = false;
    link->found = link->next = status == 0 ? result : NULL;
    if (link->closed)
        link_free(link);
    else if (!connect_next(link))
        link_drop(link, uv_strerror(status ? status : UV_EAI_NONAME));
}

RedisLink *redis_link_open(uv_loop_t *loop, const RedisUrl *url, const RedisLinkHooks *hooks, void *owner)
{
    RedisLink *link = xcalloc(1, sizeof *link);
    link->loop = loop;
    link->url = *url;
    link->hooks = *hooks;
    link->owner = owner;
    link->deadline = mono_ms() + REDIS_CONNECT_MS;
    if (url->path[0]) {
        link_connect(link, NULL);
        return link;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    link->lookup.data = link;
    int status = uv_getaddrinfo(loop, &link->lookup, on_lookup, url->host, NULL, &hints);
    link->looking = status == 0;
    if (status)
        link_drop(link, uv_strerror(status));
    return link;
}

void redis_link_close(RedisLink *link)
{
    if (!link || link->closed)
        return;
    link->closed = true;
    if (link->redis)
        redisAsyncFree(link->redis);
    else if (link->looking)
        uv_cancel((uv_req_t *)&link->lookup); /* on_lookup frees, cancelled or not */
    else if (!link->poll_open)
        link_free(link);
    /* else: on_closed is on its way */
}

/* --- commands --------------------------------------------------------------------------------------- */

static void on_reply(redisAsyncContext *redis, void *reply, void *data)
{
    (void)redis;
    Pending *pending = data;
    RedisLink *link = pending->link;
    Pending **at = &link->oldest; /* nearly always the first; teardown may differ */
    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    if (link->newest == pending) {
        link->newest = link->oldest;
        while (link->newest && link->newest->next)
            link->newest = link->newest->next;
    }
    link->last_message = mono_ms();
    pending->fn(link->owner, pending->tag, reply);
    free(pending);
}

bool redis_link_send(RedisLink *link, int argc, const char *const *argv, const size_t *lens, RedisReplyFn *fn,
                     uint64_t tag)
{
    if (!link || link->state != LINK_UP || link->closed)
        return false;
    size_t sizes[64];
    assert((size_t)argc <= countof(sizes));
    for (int i = 0; i < argc; i++)
        sizes[i] = lens ? lens[i] : strlen(argv[i]);
    Pending *pending = xcalloc(1, sizeof *pending);
    *pending = (Pending){.link = link, .fn = fn, .tag = tag, .deadline = mono_ms() + REDIS_ANSWER_MS};
    if (redisAsyncCommandArgv(link->redis, on_reply, pending, argc, (const char **)argv, sizes) != REDIS_OK) {
        free(pending);
        return false;
    }
    if (link->newest)
        link->newest->next = pending;
    else
        link->oldest = pending;
    link->newest = pending;
    return true;
}

static void on_subscription(redisAsyncContext *redis, void *data, void *owner)
{
    (void)redis;
    RedisLink *link = owner;
    const redisReply *reply = data;
    link->last_message = mono_ms();
    const char *kind = redis_reply_text(redis_reply_at(reply, 0));
    const char *text = redis_reply_text(redis_reply_at(reply, 2));
    if (kind && text && strcmp(kind, "message") == 0 && !link->closed)
        link->hooks.on_message(link->owner, redis_reply_text(redis_reply_at(reply, 1)), text);
}

bool redis_link_subscribe(RedisLink *link, const char *channel)
{
    if (!link || link->state != LINK_UP || link->closed)
        return false;
    if (!link->channel)
        link->channel = xstrdup(channel);
    return redisAsyncCommand(link->redis, on_subscription, link, "SUBSCRIBE %s", channel) == REDIS_OK;
}

bool redis_link_unsubscribe(RedisLink *link, const char *channel)
{
    if (!link || link->state != LINK_UP || link->closed || !link->channel || strcmp(channel, link->channel) == 0)
        return false;
    return redisAsyncCommand(link->redis, NULL, NULL, "UNSUBSCRIBE %s", channel) == REDIS_OK;
}

/* --- deadlines -------------------------------------------------------------------------------------- */

/* A RESP2 connection that listens takes no PING through hiredis 0.14; subscribing once more is answered instead. */
static void probe(RedisLink *link, Mono now)
{
    if (now - link->last_message > PROBE_MS + REDIS_ANSWER_MS)
        link_drop(link, "the server did not answer a probe");
    else if (now - link->last_message > PROBE_MS && now > link->deadline) {
        link->deadline = now + REDIS_ANSWER_MS;
        redis_link_subscribe(link, link->channel);
    }
}

void redis_link_tick(RedisLink *link, Mono now)
{
    if (!link || link->closed)
        return;
    if (link->state == LINK_DOWN) {
        if (!link->poll_open)
            link_ended(link);
    } else if (link->state == LINK_UP) {
        if (link->oldest && now > link->oldest->deadline)
            link_drop(link, "the server did not answer in time");
        else if (link->channel)
            probe(link, now);
    } else if (now > link->deadline && !link->looking) {
        link_drop(link, "the connection took too long");
    }
}
