/* The steps of a connection, in order:
 *
 *   1 store_dial      opens the command link (at start, and after the back-off)
 *   2 on_up           starts the handshake
 *   3 on_handshake_done      ready: the owner is called, and the listening link opened
 *   4 on_down         fails pending calls, calls the owner, and sets the time of the next try
 *
 * The listening link follows the command link: it is opened after a handshake, opened again when it alone is lost, and
 * closed with the other. Pub/sub carries hints only, so its absence costs only latency. */
#include "daemon/redis/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/base/sched.h"
#include "daemon/redis/handshake.h"
#include "daemon/redis/link.h"
#include "queue/redis_error.h"

enum { TROUBLE_MS = 15000 }; /* longer than the pause between two heartbeats, which are refused as well */

typedef enum StoreState { STORE_AWAY, STORE_CONNECTING, STORE_HANDSHAKE, STORE_READY } StoreState;

struct Store {
    uv_loop_t *loop;
    RedisUrl url;
    char *client_name;
    StoreHooks hooks;
    void *owner;
    StoreState state;
    RedisLink *link, *listener;
    Handshake handshake;
    bool handshake_done, hinted, ended;
    char known_run[48]; /* of the Redis of the last handshake */
    Err restart;        /* why the tick shall drop the link and start over; ERR_NONE: it need not */
    Err trouble;        /* what the server answered instead of carrying out a call */
    Mono trouble_at;    /* 0: never */
    int failures, listener_failures;
    Mono next_dial, next_listener, ready_since, changed;
};

/* A call under way; the tag of its reply. */
typedef struct Call {
    StoreReplyFn *on_reply;
    void *owner;
    uint64_t tag;
    bool library; /* FCALL: the reply is an object of the queue */
} Call;

static void state_set(Store *store, StoreState state)
{
    store->state = state;
    store->changed = mono_ms();
}

/* --- listening -------------------------------------------------------------------------------------- */

static void on_listener_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    (void)owner, (void)tag, (void)reply; /* AUTH: a refusal shows as a refused SUBSCRIBE, which ends the link */
}

static void on_listener_up(void *owner)
{
    Store *store = owner;
    if (store->url.password[0])
        redis_link_send(store->listener, 2, (const char *[]){"AUTH", store->url.password}, NULL, on_listener_reply, 0);
    store->hinted = redis_link_subscribe(store->listener, QUEUE_CHANNEL_WAKE) &&
                    redis_link_subscribe(store->listener, QUEUE_CHANNEL_CTL);
    store->listener_failures = 0;
    store->hooks.on_wake(store->owner); /* hints may have been lost while it was down */
}

static void on_listener_down(void *owner, const Err *why)
{
    (void)why;
    Store *store = owner;
    store->listener = NULL;
    store->hinted = false;
    store->next_listener = mono_ms() + sched_reconnect_ms(store->listener_failures++, drand48());
}

static void on_listener_message(void *owner, const char *channel, const char *text)
{
    Store *store = owner;
    if (channel && strcmp(channel, QUEUE_CHANNEL_CTL) == 0)
        store->hooks.on_ctl(store->owner, text);
    else
        store->hooks.on_wake(store->owner);
}

static void listener_dial(Store *store)
{
    static const RedisLinkHooks hooks = {on_listener_up, on_listener_down, on_listener_message};
    store->listener = redis_link_open(store->loop, &store->url, &hooks, store);
}

static void listener_close(Store *store)
{
    redis_link_close(store->listener);
    store->listener = NULL;
    store->hinted = false;
}

/* --- the command connection ------------------------------------------------------------------------- */

/* An attempt or a ready connection is over; the link is gone or about to be. */
static void store_over(Store *store, const Err *why, bool unfit)
{
    bool was_ready = store->state == STORE_READY;
    store->link = NULL;
    err_clear(&store->restart);
    listener_close(store);
    state_set(store, STORE_AWAY);
    Mono wait = unfit ? 5000 : sched_reconnect_ms(store->failures, drand48());
    store->failures++;
    store->next_dial = mono_ms() + wait;
    if (was_ready)
        store->hooks.on_lost(store->owner, why);
    else
        store->hooks.on_refused(store->owner, why, unfit);
}

static void on_handshake_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    (void)tag;
    Store *store = owner;
    if (!store->ended)
        handshake_reply(&store->handshake, reply);
}

static void on_handshake_done(void *owner, const Err *why, bool unfit)
{
    Store *store = owner;
    if (why) {
        Err copy = *why;
        RedisLink *link = store->link;
        store_over(store, &copy, unfit);
        redis_link_close(link);
        return;
    }
    store->failures = 0;
    store->handshake_done = true;
    store->ready_since = mono_ms();
    state_set(store, STORE_READY);
    listener_dial(store);
    store->hooks.on_ready(store->owner);
}

static void on_up(void *owner)
{
    Store *store = owner;
    state_set(store, STORE_HANDSHAKE);
    store->handshake = (Handshake){.link = store->link,
                                   .url = &store->url,
                                   .client_name = store->client_name,
                                   .first = !store->handshake_done,
                                   .known_run = store->known_run,
                                   .on_reply = on_handshake_reply,
                                   .done = on_handshake_done,
                                   .owner = store};
    handshake_start(&store->handshake);
}

/* A server that takes no more connections says so without being asked. */
static void on_down(void *owner, const Err *why)
{
    Err told = *why;
    if (redis_error_find(why->text)->kind != ERR_INTERNAL)
        redis_error_set(NULL, why->text, &told);
    store_over(owner, &told, false);
}

static void store_dial(Store *store)
{
    static const RedisLinkHooks hooks = {on_up, on_down, NULL};
    state_set(store, STORE_CONNECTING);
    store->link = redis_link_open(store->loop, &store->url, &hooks, store);
}

/* --- calls ------------------------------------------------------------------------------------------ */

/* The caller is told that the outcome is unknown if another try makes sense: it is made when the server has recovered,
 * or when somebody has mended it. */
static void call_refused(Store *store, const char *error, Err *err)
{
    const RedisError *row = redis_error_find(error);
    redis_error_set(NULL, error, err);
    store->trouble = *err;
    store->trouble_at = mono_ms();
    if (row->reconnect)
        store->restart = *err;
    if (row->kind != ERR_INTERNAL)
        err->kind = ERR_UNREACHABLE;
}

static void on_call_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    Store *store = owner;
    Call *call = (Call *)(uintptr_t)tag;
    cJSON *answer = NULL;
    Err err = {0};
    const char *error = redis_reply_error(reply), *text = redis_reply_text(reply);
    if (!reply) {
        err_set(&err, ERR_UNREACHABLE, "the connection to Redis was lost before the answer");
    } else if (error) {
        call_refused(store, error, &err);
    } else if (call->library) {
        if (!queue_reply_parse(text ? text : "", &answer, &err) && err.kind == ERR_PROTOCOL)
            answer = queue_reply_rescue(text);
    }
    if (call->on_reply)
        call->on_reply(call->owner, call->tag, answer, err.kind == ERR_NONE ? NULL : &err);
    cJSON_Delete(answer);
    free(call);
}

static bool store_send(Store *store, int argc, char *const *argv, const size_t *lens, Call from)
{
    Call *call = xmalloc(sizeof *call);
    *call = from;
    if (store_ready(store) &&
        redis_link_send(store->link, argc, (const char *const *)argv, lens, on_call_reply, (uintptr_t)call))
        return true;
    free(call);
    return false;
}

bool store_call(Store *store, QueueFn fn, cJSON *args, StoreReplyFn *on_reply, void *owner, uint64_t tag)
{
    QueueCall built;
    queue_call_build(&built, fn, args);
    Call call = {on_reply, owner, tag, true};
    bool sent = store_send(store, (int)countof(built.argv), built.argv, built.argvlen, call);
    queue_call_free(&built);
    return sent;
}

bool store_publish(Store *store, const char *channel, const char *text)
{
    char *argv[] = {"PUBLISH", (char *)channel, (char *)text};
    return store_send(store, (int)countof(argv), argv, NULL, (Call){0});
}

/* --- from outside ----------------------------------------------------------------------------------- */

Store *store_open(uv_loop_t *loop, const RedisUrl *url, const char *client_name, const StoreHooks *hooks, void *owner)
{
    Store *store = xcalloc(1, sizeof *store);
    store->loop = loop;
    store->url = *url;
    store->client_name = xstrdup(client_name);
    store->hooks = *hooks;
    store->owner = owner;
    store_dial(store);
    return store;
}

void store_close(Store *store)
{
    if (!store)
        return;
    store->ended = true;
    state_set(store, STORE_AWAY);
    listener_close(store);
    redis_link_close(store->link);
    free(store->client_name);
    free(store);
}

void store_retry_now(Store *store)
{
    store->failures = 0;
    store->next_dial = mono_ms();
}

void store_tick(Store *store, Mono now)
{
    if (store->restart.kind != ERR_NONE) {
        Err why = store->restart;
        RedisLink *link = store->link;
        store_over(store, &why, false);
        redis_link_close(link);
    }
    redis_link_tick(store->link, now);
    redis_link_tick(store->listener, now);
    if (store->state == STORE_AWAY && now >= store->next_dial)
        store_dial(store);
    if (store->state == STORE_READY && !store->listener && now >= store->next_listener)
        listener_dial(store);
}

bool store_ready(const Store *store)
{
    return store && store->state == STORE_READY;
}

const Err *store_trouble(const Store *store)
{
    return store->trouble_at && mono_ms() - store->trouble_at < TROUBLE_MS ? &store->trouble : NULL;
}

bool store_hinted(const Store *store)
{
    return store->hinted;
}

Mono store_ready_since(const Store *store)
{
    return store->ready_since;
}

bool store_healthy(const Store *store, Mono now)
{
    /* Each state but READY has a deadline far below this; reaching it means that no deadline is checked. */
    return store->state == STORE_READY || now - store->changed < 60000;
}

const char *store_state_name(const Store *store)
{
    static const char *const names[] = {"away", "connecting", "handshake", "ready"};
    return names[store->state];
}
