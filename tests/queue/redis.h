/* A private redis-server for tests and benchmarks: a unix socket in a temporary folder, AOF on, hiredis as its client.
 *
 *     Redis *redis = redis_start("always");          aborts with a sentence if there is no server
 *     redisReply *reply = redis_do(redis, "GET x");  freeReplyObject is the caller's
 *     redis_kill(redis); redis_again(redis);         kill -9, then the same folder again
 *     redis_stop(redis);                             folder included
 *
 * DDQ_REDIS_SERVER names the program, as for all tests. The server ends with its parent, so a test that crashes leaves
 * nothing behind. */
#ifndef TESTS_QUEUE_REDIS_H
#define TESTS_QUEUE_REDIS_H

#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"
#include "queue/queue.h"

typedef struct Redis {
    char folder[64], socket[96];
    const char *fsync; /* "always", "everysec" or "no"; NULL: no AOF at all */
    pid_t pid;
    redisContext *link;
} Redis;

static inline void redis_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

static inline void redis_exec(const Redis *redis)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    const char *chosen = getenv("DDQ_REDIS_SERVER"), *program = chosen && *chosen ? chosen : "redis-server";
    execlp(program, program, "--port", "0", "--unixsocket", redis->socket, "--dir", redis->folder, "--save", "",
           "--appendonly", redis->fsync ? "yes" : "no", "--appendfsync", redis->fsync ? redis->fsync : "no",
           "--loglevel", "warning", NULL);
    perror(program);
    _exit(127);
}

static inline redisReply *redis_do(Redis *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(redis->link, format, args);
    va_end(args);
    if (!reply)
        redis_die(format, redis->link->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        redis_die(format, reply->str);
    return reply;
}

/* Starts the server in its folder and connects; the data of an AOF there are restored. */
static inline void redis_again(Redis *redis)
{
    redis->pid = fork();
    if (redis->pid == 0)
        redis_exec(redis);
    for (int tries = 0; tries < 30000; tries++) {
        redis->link = redisConnectUnix(redis->socket);
        redisReply *reply = redis->link && !redis->link->err ? redisCommand(redis->link, "PING") : NULL;
        bool ready = reply && reply->type == REDIS_REPLY_STATUS;
        if (reply)
            freeReplyObject(reply);
        if (ready)
            return;
        redisFree(redis->link);
        usleep(10000);
    }
    redis_die(redis->socket, "redis-server does not answer within 5 minutes; is it installed?");
}

static inline void redis_kill(Redis *redis)
{
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
    redisFree(redis->link);
    redis->link = NULL;
}

static inline void redis_load(Redis *redis)
{
    freeReplyObject(redis_do(redis, "FUNCTION LOAD REPLACE %s", queue_lua));
}

static inline Redis *redis_start(const char *fsync)
{
    Redis *redis = xcalloc(1, sizeof *redis);
    strcpy(redis->folder, "/tmp/ddq-redis-XXXXXX");
    if (!mkdtemp(redis->folder))
        redis_die(redis->folder, "cannot be made");
    snprintf(redis->socket, sizeof redis->socket, "%s/redis.sock", redis->folder);
    redis->fsync = fsync;
    redis_again(redis);
    redis_load(redis);
    return redis;
}

static inline int redis_remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

static inline void redis_stop(Redis *redis)
{
    redis_kill(redis);
    nftw(redis->folder, redis_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(redis);
}

/* One call as the programs make it. The answer as JSON, whatever its status; cJSON_Delete is the caller's. */
static inline cJSON *redis_call(Redis *redis, QueueFn fn, cJSON *args)
{
    QueueCall call;
    queue_call_build(&call, fn, args);
    redisReply *reply = redisCommandArgv(redis->link, countof(call.argv), (const char **)call.argv, call.argvlen);
    if (!reply || reply->type != REDIS_REPLY_STRING)
        redis_die(call.argv[4], reply ? reply->str : redis->link->errstr);
    cJSON *answer = cJSON_Parse(reply->str);
    if (!answer)
        redis_die(queue_fn_name(fn), reply->str);
    freeReplyObject(reply);
    queue_call_free(&call);
    return answer;
}

#endif
