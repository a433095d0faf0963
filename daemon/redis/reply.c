#include "daemon/redis/reply.h"

#include <hiredis/hiredis.h>
#include <string.h>

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

static void add_line(Buf *out, char type, const char *text)
{
    buf_add(out, &type, 1);
    size_t start = out->len;
    buf_add(out, text, strlen(text));
    for (size_t i = start; i < out->len; i++)
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
            out->data[i] = ' ';
    buf_add(out, "\r\n", 2);
}

void reply_add_error(Buf *out, const char *text)
{
    add_line(out, '-', text);
}

void reply_add_status(Buf *out, const char *text)
{
    add_line(out, '+', text);
}

void reply_add_bulk(Buf *out, const char *data, size_t len)
{
    buf_printf(out, "$%zu\r\n", len);
    buf_add(out, data, len);
    buf_add(out, "\r\n", 2);
}

void reply_add_count(Buf *out, char type, long long count)
{
    buf_printf(out, "%c%lld\r\n", type, count);
}

void reply_add(Buf *out, const RedisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_STRING:
        reply_add_bulk(out, reply->str, (size_t)reply->len);
        break;
    case REDIS_REPLY_STATUS:
        reply_add_status(out, reply->str);
        break;
    case REDIS_REPLY_ERROR:
        reply_add_error(out, reply->str);
        break;
    case REDIS_REPLY_INTEGER:
        reply_add_count(out, ':', reply->integer);
        break;
    case REDIS_REPLY_ARRAY:
        reply_add_count(out, '*', (long long)reply->elements);
        for (size_t i = 0; i < reply->elements; i++)
            reply_add(out, reply->element[i]);
        break;
    default:
        reply_add_count(out, '$', -1); /* nil; RESP2 has no other type */
    }
}
