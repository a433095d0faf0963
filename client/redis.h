/* Redis, seen from a verb: one blocking connection, with time limits on everything so that nothing hangs.
 *
 *     Redis *redis;
 *     if (!redis_open(&reach, &redis, err)) ...
 *     cJSON *reply;
 *     if (!redis_call(redis, QUEUE_LIST, NULL, &reply, err)) ...
 *     redis_close(redis);
 *
 * Every error says what to do next. Only redis.c uses hiredis. */
#ifndef CLIENT_REDIS_H
#define CLIENT_REDIS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/reach.h"
#include "core/err.h"
#include "queue/queue.h"

typedef struct Redis Redis;

/* Connects (2 s), checks who serves an address that the caller has not named, authenticates and selects. Caller closes.
 */
bool redis_open(const Reach *reach, Redis **ret_redis, Err *err);
void redis_close(Redis *redis); /* NULL is fine */

/* One function of the queue (5 s). args is consumed, also on failure. A connection that died is opened again and the
 * call made once more: every function a client calls may be repeated. A server that is busy, loading or full of clients
 * is asked again for 5 s (queue/redis_error.h). A server without the queue's library gets it.
 * The caller owns *ret_reply. */
bool redis_call(Redis *redis, QueueFn fn, cJSON *args, cJSON **ret_reply, Err *err);

/* A plain command of at most 4 words, for doctor. The answer as text (a list: its elements, one a line); caller frees.
 */
bool redis_command(Redis *redis, const char *const *words, int count, char **ret_text, Err *err);

/* Live messages of one job on a connection of their own: hints that something changed, never needed to be right.
 * redis_listen opens the channel, again if it was lost (NULL: none); failures are ignored. redis_next waits
 * up to ms for a message: a text the caller frees, or NULL when none came, also because a signal did. */
void redis_listen(Redis *redis, const char *channel);
char *redis_next(Redis *redis, int ms);

/* The address without its password. Valid as long as redis. */
const char *redis_name(const Redis *redis);

#endif
