#include "client/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/mem.h"
#include "queue/redis_error.h"
#include "spec/conf/conf.h"

enum { CONNECT_S = 2, COMMAND_S = 5, BUSY_TRIES = 20, BUSY_MS = 250 };

struct Redis {
    RedisUrl url;
    bool named;             /* Reach */
    char *name, *who;       /* "unix:/run/ddq/ddq.sock"; "ddqd at unix:/run/ddq/ddq.sock", "Redis at ..." */
    redisContext *context;  /* NULL: not connected */
    redisContext *listener; /* NULL: not listening */
    char *channel;          /* of the listener */
};

#define WHAT_TO_DO "Start the daemon (ddqd --standalone, or `ddq run`), or name another Redis with --redis or DDQ_REDIS"

/* --- failures in words ------------------------------------------------------------------------------ */

static bool unreachable(const Redis *redis, const char *why, Err *err)
{
    return err_set(err, ERR_UNREACHABLE, "%s cannot be reached: %s. %s", redis->who, why, WHAT_TO_DO);
}

/* A server that takes no more connections says so and closes: a command that is sent too late finds the connection
 * closed, and the sentence still unread. */
static bool last_words(const Redis *redis, Err *err)
{
    char text[256] = "";
    ssize_t got = recv(redis->context->fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[got > 0 ? strcspn(text, "\r\n") : 0] = 0;
    return text[0] == '-' && !redis_error_set(redis->who, text + 1, err);
}

/* The context is dead after this. */
static bool lost(Redis *redis, Err *err)
{
    if (redis->context->err == REDIS_ERR_IO && (errno == EPIPE || errno == ECONNRESET) && last_words(redis, err))
        ;
    else if (redis->context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT))
        err_set(err, ERR_UNREACHABLE,
                "%s did not answer within %d s; it is stopped or overloaded. Look with `ddq doctor`", redis->who,
                COMMAND_S);
    else
        unreachable(redis, redis->context->errstr, err);
    redisFree(redis->context);
    redis->context = NULL;
    return false;
}

/* --- connection --------------------------------------------------------------------------------------- */

static redisReply *send_words(Redis *redis, int count, const char **words, const size_t *lens, Err *err)
{
    errno = 0;
    redisReply *reply = redisCommandArgv(redis->context, count, words, lens);
    if (!reply)
        lost(redis, err);
    return reply;
}

/* A command whose answer matters only if it is an error. */
static bool command_ok(Redis *redis, const char *word, const char *argument, Err *err)
{
    const char *words[] = {word, argument};
    redisReply *reply = send_words(redis, 2, words, NULL, err);
    if (!reply)
        return false;
    bool ok = reply->type != REDIS_REPLY_ERROR;
    if (!ok && strcmp(word, "AUTH") == 0)
        redis_error_auth(redis->who, reply->str, err);
    else if (!ok)
        redis_error_set(redis->who, reply->str, err);
    freeReplyObject(reply);
    return ok;
}

static void disconnect(Redis *redis)
{
    if (redis->context)
        redisFree(redis->context);
    redis->context = NULL;
}

static redisContext *dial(const RedisUrl *url)
{
    const struct timeval limit = {CONNECT_S, 0};
    return url->path[0] ? redisConnectUnixWithTimeout(url->path, limit)
                        : redisConnectWithTimeout(url->host, url->port, limit);
}

static bool connect_now(Redis *redis, Err *err)
{
    const struct timeval command_limit = {COMMAND_S, 0};
    const RedisUrl *url = &redis->url;
    redisContext *context = dial(url);
    if (!context || context->err) {
        unreachable(redis, context ? context->errstr : "out of memory", err);
        if (context)
            redisFree(context);
        return false;
    }
    redis->context = context;
    if (!redis->named && url->path[0] && !reach_check_server(context->fd, url->path, err)) {
        disconnect(redis);
        return false;
    }
    char db[16];
    snprintf(db, sizeof db, "%d", url->db);
    if (redisSetTimeout(context, command_limit) != REDIS_OK)
        return lost(redis, err);
    if ((url->password[0] && !command_ok(redis, "AUTH", url->password, err)) ||
        (url->db && !command_ok(redis, "SELECT", db, err))) {
        disconnect(redis);
        return false;
    }
    return true;
}

bool redis_open(const Reach *reach, Redis **ret_redis, Err *err)
{
    Err unread = {0};
    if (!err)
        err = &unread; /* its kind decides what follows */
    Redis *redis = xcalloc(1, sizeof *redis);
    if (!redis_url_parse(reach->url, &redis->url, err)) {
        free(redis);
        return false;
    }
    redis->named = reach->named;
    redis->name = redis_url_name(&redis->url);
    redis->who = xasprintf("%s at %s", reach->daemon ? "ddqd" : "Redis", redis->name);
    if (!connect_now(redis, err) && err->kind != ERR_BUSY) { /* a call waits for one that is busy */
        redis_close(redis);
        return false;
    }
    err_clear(err);
    *ret_redis = redis;
    return true;
}

void redis_close(Redis *redis)
{
    if (!redis)
        return;
    disconnect(redis);
    redis_listen(redis, NULL);
    free(redis->name);
    free(redis->who);
    free(redis);
}

const char *redis_name(const Redis *redis)
{
    return redis->name;
}

/* --- calls ---------------------------------------------------------------------------------------------- */

/* One round trip, on a fresh connection if the old one died: at most two tries. A time-out is not tried again, the
 * next try would wait as long. */
static redisReply *exchange(Redis *redis, int count, const char **words, const size_t *lens, Err *err)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = !redis->context;
        if (fresh && !connect_now(redis, err))
            return NULL;
        redisReply *reply = send_words(redis, count, words, lens, err);
        if (reply || fresh || strstr(err->text, "did not answer"))
            return reply;
    }
    return NULL;
}

static bool load_library(Redis *redis, Err *err)
{
    const char *words[] = {"FUNCTION", "LOAD", queue_lua};
    redisReply *reply = exchange(redis, 3, words, NULL, err);
    if (!reply)
        return false;
    bool ok = reply->type != REDIS_REPLY_ERROR || strstr(reply->str, "already exists") ||
              redis_error_set(redis->who, reply->str, err);
    freeReplyObject(reply);
    return ok;
}

static void pause_ms(int ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
}

/* The reply, errors of Redis itself already handled: what passes soon is waited for, a missing library is loaded. */
static redisReply *function_call(Redis *redis, const QueueCall *call, Err *err)
{
    bool loaded = false;
    for (int attempt = 0;; attempt++) {
        redisReply *reply = exchange(redis, countof(call->argv), (const char **)call->argv, call->argvlen, err);
        if (reply && reply->type != REDIS_REPLY_ERROR)
            return reply;
        bool again = !reply && err->kind == ERR_BUSY && attempt < BUSY_TRIES;
        if (reply && strstr(reply->str, "Function not found") && !loaded) {
            again = loaded = load_library(redis, err);
        } else if (reply) {
            const RedisError *row = redis_error_find(reply->str);
            redis_error_set(redis->who, reply->str, err);
            again = row->soon && attempt < BUSY_TRIES;
            if (row->reconnect)
                disconnect(redis);
        }
        if (reply)
            freeReplyObject(reply);
        if (!again)
            return NULL;
        if (err->kind == ERR_BUSY)
            pause_ms(BUSY_MS);
        err_clear(err);
    }
}

bool redis_call(Redis *redis, QueueFn fn, cJSON *args, cJSON **ret_reply, Err *err)
{
    Err unread = {0};
    if (!err)
        err = &unread;
    QueueCall call;
    queue_call_build(&call, fn, args);
    redisReply *reply = function_call(redis, &call, err);
    queue_call_free(&call);
    if (!reply)
        return false;
    bool ok = reply->type == REDIS_REPLY_STRING
                  ? queue_reply_parse(reply->str, ret_reply, err)
                  : err_set(err, ERR_PROTOCOL,
                            "%s answered something that is not text; is another library loaded under its name?",
                            queue_fn_name(fn));
    freeReplyObject(reply);
    return ok;
}

static void add_text(Buf *out, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_INTEGER)
        buf_printf(out, "%lld\n", reply->integer);
    else if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            add_text(out, reply->element[i]);
    else
        buf_printf(out, "%s\n", reply->str ? reply->str : "");
}

bool redis_command(Redis *redis, const char *const *words, int count, char **ret_text, Err *err)
{
    Err unread = {0};
    const char *copy[4];
    if (!err)
        err = &unread;
    for (int i = 0; i < count && i < 4; i++)
        copy[i] = words[i];
    redisReply *reply = exchange(redis, count, copy, NULL, err);
    if (!reply)
        return false;
    bool ok = reply->type != REDIS_REPLY_ERROR || redis_error_set(redis->who, reply->str, err);
    if (ok) {
        Buf out = {0};
        add_text(&out, reply);
        *ret_text = out.data ? out.data : xstrdup("");
    }
    freeReplyObject(reply);
    return ok;
}

/* --- live messages ------------------------------------------------------------------------------------------ */

void redis_listen(Redis *redis, const char *channel)
{
    if (redis->listener && channel && strcmp(channel, redis->channel) == 0)
        return;
    if (redis->listener)
        redisFree(redis->listener);
    free(redis->channel);
    redis->channel = channel ? xstrdup(channel) : NULL;
    redis->listener = channel ? dial(&redis->url) : NULL;
    redisContext *to = redis->listener;
    if (!to)
        return;
    bool ok = !to->err;
    if (ok && redis->url.password[0])
        ok = redisAppendCommand(to, "AUTH %s", redis->url.password) == REDIS_OK;
    ok = ok && redisAppendCommand(to, "SUBSCRIBE %s", channel) == REDIS_OK;
    for (int done = 0; ok && !done;)
        ok = redisBufferWrite(to, &done) == REDIS_OK;
    if (!ok)
        redis_listen(redis, NULL);
}

/* The payload of the next message that has already arrived; answers to AUTH and SUBSCRIBE are passed over. */
static char *arrived(redisContext *from)
{
    char *text = NULL;
    void *reply = NULL;
    while (!text && redisReaderGetReply(from->reader, &reply) == REDIS_OK && reply) {
        const redisReply *message = reply;
        if (message->type == REDIS_REPLY_ARRAY && message->elements == 3 &&
            message->element[2]->type == REDIS_REPLY_STRING)
            text = xstrdup(message->element[2]->str);
        freeReplyObject(reply);
        reply = NULL;
    }
    return text;
}

char *redis_next(Redis *redis, int ms)
{
    char *text = redis->listener ? arrived(redis->listener) : NULL;
    struct pollfd wait = {.fd = redis->listener ? redis->listener->fd : -1, .events = POLLIN};
    if (text || poll(&wait, 1, ms) <= 0 || !redis->listener)
        return text;
    if (redisBufferRead(redis->listener) != REDIS_OK) {
        redis_listen(redis, NULL); /* the server went away; polling goes on */
        return NULL;
    }
    return arrived(redis->listener);
}
