#include "daemon/redis/reply.h"

#include <hiredis/hiredis.h>

const char *redis_reply_error(const RedisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR ? reply->str : NULL;
}

const char *redis_reply_text(const RedisReply *reply)
{
    return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) ? reply->str : NULL;
}

int redis_reply_count(const RedisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY ? (int)reply->elements : 0;
}

const RedisReply *redis_reply_at(const RedisReply *reply, int i)
{
    return i < redis_reply_count(reply) ? reply->element[i] : NULL;
}

void redis_reply_encode(const RedisReply *reply, Buf *out)
{
    switch (reply->type) {
    case REDIS_REPLY_STRING:
        buf_printf(out, "$%zu\r\n", (size_t)reply->len);
        buf_add(out, reply->str, (size_t)reply->len);
        buf_add(out, "\r\n", 2);
        break;
    case REDIS_REPLY_STATUS:
        buf_printf(out, "+%s\r\n", reply->str);
        break;
    case REDIS_REPLY_ERROR:
        buf_printf(out, "-%s\r\n", reply->str);
        break;
    case REDIS_REPLY_INTEGER:
        buf_printf(out, ":%lld\r\n", reply->integer);
        break;
    case REDIS_REPLY_ARRAY:
        buf_printf(out, "*%zu\r\n", reply->elements);
        for (size_t i = 0; i < reply->elements; i++)
            redis_reply_encode(reply->element[i], out);
        break;
    default:
        buf_printf(out, "$-1\r\n"); /* nil; RESP2 has no other type */
    }
}
