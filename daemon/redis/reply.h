/* Replies in Redis's wire format (RESP2): reading those of a server, and writing some.
 *
 * A reply of NULL is allowed when reading, and reads as "absent". */
#ifndef DAEMON_REDIS_REPLY_H
#define DAEMON_REDIS_REPLY_H

#include "core/mem.h"

typedef struct redisReply RedisReply;

const char *redis_reply_error(const RedisReply *reply); /* the server's message, NULL when it is no error */
const char *redis_reply_text(const RedisReply *reply);  /* of a string or status, else NULL */
int redis_reply_count(const RedisReply *reply);         /* elements of an array, 0 for anything else */
const RedisReply *redis_reply_at(const RedisReply *reply, int i);

/* Added to *out. Text of an error or a status becomes one line: control characters are replaced. */
void reply_add_error(Buf *out, const char *text);
void reply_add_status(Buf *out, const char *text);
void reply_add_bulk(Buf *out, const char *data, size_t len);
void reply_add_count(Buf *out, char type, long long count); /* ":7\r\n", "*3\r\n" */
void reply_add(Buf *out, const RedisReply *reply);          /* as it stood on the wire */

#endif
