/* The table. To add an error: a row, before the rows whose beginning it shares, and a line in
 * tests/queue/test_redis_error.c. */
#include "queue/redis_error.h"

#include <string.h>

#include "core/mem.h"

#define ACL_RULES "docs/dev/queue.md lists what ddq needs"

static const RedisError rows[] = {
    /* the caller */
    {"NOAUTH", ERR_PERMISSION, false, true,
     "it wants a password; write it into the address: redis://:PASSWORD@HOST or unix://:PASSWORD@/PATH"},
    {"WRONGPASS", ERR_PERMISSION, false, false, "the password in the address is wrong"},
    {"ERR invalid password", ERR_PERMISSION, false, false, "the password in the address is wrong"},
    {"ERR AUTH", ERR_PERMISSION, false, false, "it has no password; leave it out of the address"},
    {"ERR Client sent AUTH", ERR_PERMISSION, false, false, "it has no password; leave it out of the address"},
    {"NOPERM ddqd", ERR_PERMISSION, false, false, "this is the socket of a daemon"},
    {"NOPERM", ERR_PERMISSION, false, false, "its ACL does not permit this to this user; " ACL_RULES},
    {"ERR The user executing the script", ERR_PERMISSION, false, false,
     "its ACL does not permit this to this user; " ACL_RULES},
    {"ERR ACL failure in script", ERR_PERMISSION, false, false,
     "its ACL does not permit this to this user; " ACL_RULES},
    {"DENIED", ERR_PERMISSION, false, false,
     "it runs in protected mode and takes connections of its own host alone; give it a password, or use a unix socket"},
    {"ERR DB index", ERR_USAGE, false, false, "it has no database of this number"},
    {"ERR invalid DB index", ERR_USAGE, false, false, "it has no database of this number"},
    {"ERR SELECT is not allowed", ERR_USAGE, false, false,
     "a cluster has database 0 alone; leave the number out of the address"},
    /* the wrong server */
    {"ERR unknown command", ERR_UNREACHABLE, false, false,
     "it does not know a command that ddq needs: it is older than 7.0, or the command was renamed or switched off "
     "there"},
    {"ERR unknown subcommand", ERR_UNREACHABLE, false, false,
     "it does not know a command that ddq needs: it is older than 7.0, or the command was renamed or switched off "
     "there"},
    {"ERR Unknown Redis command", ERR_UNREACHABLE, false, false,
     "it does not know a command that ddq needs: the command was renamed or switched off there"},
    {"NOREDIS", ERR_UNREACHABLE, false, false, "it cannot reach its Redis, and tries again until it can"},
    {"READONLY", ERR_UNREACHABLE, false, true,
     "it is a replica and cannot be written; give the address of the primary"},
    {"MOVED", ERR_UNREACHABLE, false, true,
     "it belongs to a cluster, and another node has the queue's keys; give the address of that node"},
    {"ASK ", ERR_BUSY, true, true, "it belongs to a cluster that is moving the queue's keys to another node"},
    {"REDIRECT", ERR_UNREACHABLE, false, true, "another server is the primary now; give its address"},
    {"CROSSSLOT", ERR_UNREACHABLE, false, false, "it belongs to a cluster that has the queue's keys on several nodes"},
    /* not now */
    {"LOADING", ERR_BUSY, true, true, "it has just started and still reads its files"},
    {"BUSY ", ERR_BUSY, true, false,
     "a script or function has been running there for a long time; it ends by itself, or by redis-cli FUNCTION KILL or "
     "SCRIPT KILL"},
    {"ERR max number of clients", ERR_BUSY, true, true,
     "it takes no more connections (maxclients); close some, or raise maxclients there"},
    {"CLUSTERDOWN", ERR_BUSY, true, true, "the cluster that it belongs to is down"},
    {"TRYAGAIN", ERR_BUSY, true, true, "it belongs to a cluster that is moving the queue's keys to another node"},
    {"MASTERDOWN", ERR_BUSY, true, true, "it is a replica that has lost its primary; give the address of the primary"},
    {"NOREPLICAS", ERR_BUSY, true, false,
     "it has fewer replicas than it wants (min-replicas-to-write), so it takes no changes"},
    {"OOM", ERR_BUSY, false, false,
     "its memory is full (maxmemory), so it takes no new jobs; raise maxmemory there, or cancel jobs"},
    {"MISCONF", ERR_BUSY, false, false,
     "it cannot write to its disk, so it takes no changes; free space there, or mend what its log names"},
    {"ERR Script killed", ERR_BUSY, true, false, "somebody ended the call there"},
    {"ERR Function not found", ERR_BUSY, true, true, "the queue's function library is not loaded there"},
    /* everything else */
    {"", ERR_INTERNAL, false, false, "it answered with an error"},
};

/* An error of a command inside a function has the function's place in front: "ERR user_function:123: OOM ...". */
static const char *cause(const char *reply)
{
    static const char place[] = "ERR user_function:";
    if (strncmp(reply, place, sizeof place - 1) != 0)
        return reply;
    const char *end = strstr(reply + sizeof place - 1, ": ");
    return end ? end + 2 : reply;
}

const RedisError *redis_error_find(const char *reply)
{
    const RedisError *row = rows;
    reply = cause(reply);
    while (strncmp(reply, row->starts, strlen(row->starts)) != 0)
        row++;
    return row;
}

/* A server repeats the arguments of a command that it does not know, and they may be long. */
static int quoted(const char *reply)
{
    const char *arguments = strstr(reply, ", with args");
    return arguments ? (int)(arguments - reply) : (int)strlen(reply);
}

static bool set(const char *who, const RedisError *row, const char *text, const char *quote, int len, Err *err)
{
    return err_set(err, row->kind, "%s%s%s%s%.*s%s", who ? who : "", who ? ": " : "", text, len ? " (" : "", len, quote,
                   len ? ")" : "");
}

bool redis_error_set(const char *who, const char *reply, Err *err)
{
    const RedisError *row = redis_error_find(reply);
    return set(who, row, row->text, reply, quoted(reply), err);
}

bool redis_error_auth(const char *who, const char *reply, Err *err)
{
    const RedisError *row = redis_error_find(reply);
    if (row->kind != ERR_INTERNAL)
        return set(who, row, row->text, row->starts, (int)strlen(row->starts), err);
    set(who, row, "it refuses the password of its address", "", 0, err);
    err->kind = ERR_PERMISSION;
    return false;
}
