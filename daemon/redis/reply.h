/* Reading a reply of Redis; NULL is allowed everywhere and reads as "absent". */
#ifndef DAEMON_REDIS_REPLY_H
#define DAEMON_REDIS_REPLY_H

#include "core/mem.h"

typedef struct redisReply RedisReply;

const char *redis_reply_error(const RedisReply *reply); /* the server's message, NULL when it is no error */
const char *redis_reply_text(const RedisReply *reply);  /* of a string or status, else NULL */
int redis_reply_count(const RedisReply *reply);         /* elements of an array, 0 for anything else */
const RedisReply *redis_reply_at(const RedisReply *reply, int i);

/* The reply as it stood on the wire (RESP2), added to *out. */
void redis_reply_encode(const RedisReply *reply, Buf *out);

#endif
