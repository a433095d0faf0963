/* What an error reply of a Redis server means: one table for the client, the daemon, `ddqd --check` and `ddq doctor`.
 *
 *     redis_error_set("Redis at HOST", reply->str, &err);      "Redis at HOST: it is busy with ... (BUSY Redis is busy
 * ...)"
 *
 * The kind of the Err is the policy, in all programs:
 *
 *     ERR_BUSY          the server cannot do this now; it can later, by itself or when somebody has mended it
 *     ERR_UNREACHABLE   this server is the wrong one: another version, a replica, another node of a cluster
 *     ERR_PERMISSION    a password is missing or wrong, or the ACL forbids it
 *     ERR_USAGE         the address is wrong
 *     ERR_INTERNAL      the function failed: trying again changes nothing
 *
 * After any kind but ERR_INTERNAL the command was not carried out, or not to its end, and may be repeated. */
#ifndef QUEUE_REDIS_ERROR_H
#define QUEUE_REDIS_ERROR_H

#include <stdbool.h>

#include "core/err.h"

typedef struct RedisError {
    const char *starts; /* how the reply begins; "" in the last row */
    ErrKind kind;
    bool soon;      /* it usually passes within seconds: worth waiting for in the middle of a command */
    bool reconnect; /* the connection is of no use any more: check the server again on a fresh one */
    const char *text;
} RedisError;

/* The row of a reply; never NULL. */
const RedisError *redis_error_find(const char *reply);

/* Sets err to the row's sentence about `who` ("Redis at HOST"), with the reply in parentheses. NULL: without its name,
 * for a caller that puts the address in front. Returns false. */
bool redis_error_set(const char *who, const char *reply, Err *err);

/* The same for the reply to AUTH, which is not quoted: a server that does not know AUTH repeats the password. */
bool redis_error_auth(const char *who, const char *reply, Err *err);

#endif
