/* The connection to Redis, with reconnects, and the functions of the queue.
 *
 *     store = store_open(loop, &url, "ddqd-gpu1", &hooks, owner);
 *     store_call(store, QUEUE_CLAIM, args, on_claimed, owner, tag);     false while not connected
 *     store_tick(store, mono_ms());                                     deadlines and reconnects
 *     store_close(store);
 *
 * Two connections: one for commands, one that only receives hints. A connection is ready only after handshake.c has
 * checked it: a master, new enough, with an append-only file, and with our function library. An answer can always be
 * "unknown": the connection died. Every function of the library is safe to call again. */
#ifndef DAEMON_REDIS_STORE_H
#define DAEMON_REDIS_STORE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"
#include "queue/queue.h"
#include "spec/conf/conf.h"

typedef struct Store Store;

typedef struct StoreHooks {
    void (*on_ready)(void *owner);
    void (*on_lost)(void *owner, const Err *why);                /* it was ready; reconnects by itself */
    void (*on_refused)(void *owner, const Err *why, bool unfit); /* an attempt failed; unfit: this server's version or
                                                                    settings will not do, waiting does not help */
    void (*on_wake)(void *owner);                                /* work may be claimable */
    void (*on_ctl)(void *owner, const char *text);               /* a message of the ctl channel */
} StoreHooks;

Store *store_open(uv_loop_t *loop, const RedisUrl *url, const char *client_name, const StoreHooks *hooks, void *owner);
void store_close(Store *store); /* pending functions are called with an Err; memory goes back at once */
void store_tick(Store *store, Mono now);
void store_retry_now(Store *store); /* the server was just started: do not wait for the back-off */

bool store_ready(const Store *store);
bool store_hinted(const Store *store); /* the listening connection is up */
/* What the server has lately answered to calls instead of carrying them out (full, busy, no permission); NULL: nothing.
 * Its text starts in the middle of a sentence: "its memory is full ...". */
const Err *store_trouble(const Store *store);
Mono store_ready_since(const Store *store);
/* False when the connection's state machine is stuck, which no fault of the server can cause; for the watchdog. */
bool store_healthy(const Store *store, Mono now);
const char *store_state_name(const Store *store);

/* reply has a status of "ok", "empty", "already" or "stale" and is freed after the call; or err is given. err of kind
 * ERR_UNREACHABLE means that the outcome is unknown, or that the server cannot carry it out now (store_trouble): call
 * again later. With ERR_PROTOCOL the answer could not be read, and reply is NULL or the {"token"} that was found in it
 * (queue_reply_rescue). */
typedef void StoreReplyFn(void *owner, uint64_t tag, const cJSON *reply, const Err *err);
/* args is consumed. False when the store is not ready: fn is not called. */
bool store_call(Store *store, QueueFn fn, cJSON *args, StoreReplyFn *on_reply, void *owner, uint64_t tag);
bool store_publish(Store *store, const char *channel, const char *text);

#endif
