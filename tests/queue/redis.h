/* A private redis-server on a unix socket in a temporary folder, with the queue's library loaded, and calls to it. */
#ifndef TESTS_QUEUE_REDIS_H
#define TESTS_QUEUE_REDIS_H

#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/queue.h"
#include "tests/test.h"

typedef struct Server {
    char *folder;
    pid_t pid;
    redisContext *redis;
} Server;

static inline void server_spawn(Server *s)
{
    char *socket = xasprintf("%s/s", s->folder);
    s->pid = fork();
    if (s->pid == 0) {
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--dir", s->folder, "--appendonly", "yes",
               "--appendfsync", "always", "--save", "", "--logfile", "log", "--maxmemory-policy", "noeviction", (char *)NULL);
        _exit(127);
    }
    s->redis = NULL;
    for (int i = 0; i < 500 && !s->redis; i++) {
        usleep(10000);
        redisContext *redis = redisConnectUnix(socket);
        redisReply *pong = redis && !redis->err ? redisCommand(redis, "PING") : NULL;
        if (pong && pong->type == REDIS_REPLY_STATUS)
            s->redis = redis;
        else if (redis)
            redisFree(redis);
        if (pong)
            freeReplyObject(pong);
    }
    free(socket);
    if (!s->redis)
        fail_msg("redis-server did not start in %s within 5 s", s->folder);
}

static inline void server_start(Server *s)
{
    s->folder = test_folder();
    server_spawn(s);
    redisReply *reply = redisCommand(s->redis, "FUNCTION LOAD %s", queue_lua);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail_msg("FUNCTION LOAD: %s", reply ? reply->str : s->redis->errstr);
    freeReplyObject(reply);
}

static inline void server_kill(Server *s)
{
    redisFree(s->redis);
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static inline void server_stop(Server *s)
{
    server_kill(s);
    test_folder_remove(s->folder);
}

/* A plain command without an answer worth reading. */
static inline void server_do(Server *s, const char *command)
{
    redisReply *reply = redisCommand(s->redis, command);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply ? reply->str : s->redis->errstr);
    freeReplyObject(reply);
}

/* The raw reply text of a call whose arguments are JSON text written with single quotes. Caller frees. */
static inline char *server_call(Server *s, QueueFn fn, const char *json)
{
    char *text = xstrdup(json);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    cJSON *args = cJSON_Parse(text);
    if (!args)
        fail_msg("the test's arguments are not JSON: %s", text);
    free(text);
    QueueCall call;
    queue_call_build(&call, fn, args);
    redisReply *reply = redisCommandArgv(s->redis, (int)countof(call.argv), (const char **)call.argv, call.argvlen);
    queue_call_free(&call);
    if (!reply || reply->type != REDIS_REPLY_STRING)
        fail_msg("%s: %s", queue_fn_name(fn), reply ? reply->str : s->redis->errstr);
    char *answer = xstrdup(reply->str);
    freeReplyObject(reply);
    return answer;
}

#endif
