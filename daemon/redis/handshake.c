/* The handshake is a table: each step builds one command (or skips itself) and judges the reply. To add a check, add a
 * row. Steps run one after the other, so a refusal is the first thing that is wrong and nothing after it happens. What
 * INFO must say is in queue/redis_info.c. */
#include "daemon/redis/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/mem.h"
#include "queue/queue.h"
#include "queue/redis_error.h"
#include "queue/redis_info.h"

enum { HANDSHAKE_ARGS = 8 };

typedef enum Verdict { GO_ON, AWAY, UNFIT } Verdict; /* AWAY: worth another try later */

typedef struct Step {
    const char *name;
    int (*build)(Handshake *handshake, const char **argv); /* arguments, 0 to skip */
    Verdict (*judge)(Handshake *handshake, const RedisReply *reply, Err *err);
} Step;

bool handshake_check_info(const char *info, bool *ret_unfit, Err *err)
{
    const RedisFact *fact;
    char note[REDIS_NOTE];
    for (int i = 0; (fact = redis_fact(i)); i++)
        if (fact->needed && !fact->judge(info, note, err)) {
            *ret_unfit = err->kind != ERR_BUSY;
            return false;
        }
    return true;
}

/* --- the steps -------------------------------------------------------------------------------------- */

static int words(const char **argv, int count, const char *const *from)
{
    memcpy(argv, from, (size_t)count * sizeof *from);
    return count;
}
#define WORDS(argv, ...) words(argv, (int)countof(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

static int build_auth(Handshake *handshake, const char **argv)
{
    return handshake->url->password[0] ? WORDS(argv, "AUTH", handshake->url->password) : 0;
}

static int build_select(Handshake *handshake, const char **argv)
{
    static char number[16]; /* the loop is one thread, and the command is copied at once */
    snprintf(number, sizeof number, "%d", handshake->url->db);
    return handshake->url->db ? WORDS(argv, "SELECT", number) : 0;
}

static int build_name(Handshake *handshake, const char **argv)
{
    return WORDS(argv, "CLIENT", "SETNAME", handshake->client_name);
}

static int build_info(Handshake *handshake, const char **argv)
{
    (void)handshake;
    return WORDS(argv, "INFO");
}

static int build_library(Handshake *handshake, const char **argv)
{
    (void)handshake;
    return WORDS(argv, "FUNCTION", "LIST", "LIBRARYNAME", QUEUE_LIBRARY, "WITHCODE");
}

static int build_version(Handshake *handshake, const char **argv)
{
    return handshake->missing ? 0 : WORDS(argv, "FCALL", queue_fn_name(QUEUE_CHECK), "1", QUEUE_TAG, "{}");
}

static bool must_load(const Handshake *handshake)
{
    return handshake->missing || handshake->version < QUEUE_VERSION || (handshake->differs && handshake->first);
}

static int build_load(Handshake *handshake, const char **argv)
{
    return must_load(handshake) ? WORDS(argv, "FUNCTION", "LOAD", "REPLACE", queue_lua) : 0;
}

/* A library that was just loaded may be on the wrong node of a cluster, or not be ours to call. */
static int build_verify(Handshake *handshake, const char **argv)
{
    return must_load(handshake) ? WORDS(argv, "FCALL", queue_fn_name(QUEUE_CHECK), "1", QUEUE_TAG, "{}") : 0;
}

/* A server that was killed may keep the beginning of a transaction at the end of its file. Redis 7.0 leaves it out when
 * it loads the file, appends after it, and at the next start reads both as one transaction: half a submit is applied. A
 * file that is written anew has none. */
static int build_rewrite(Handshake *handshake, const char **argv)
{
    bool same = handshake->run[0] && strcmp(handshake->known_run, handshake->run) == 0;
    return same ? 0 : WORDS(argv, "BGREWRITEAOF");
}

/* Another daemon may have asked already, or this one has no permission: the queue works in both cases. */
static Verdict judge_rewrite(Handshake *handshake, const RedisReply *reply, Err *err)
{
    (void)err;
    if (!redis_reply_error(reply))
        snprintf(handshake->known_run, sizeof handshake->run, "%s", handshake->run);
    return GO_ON;
}

static Verdict verdict_of(const Err *err)
{
    return err->kind == ERR_BUSY ? AWAY : UNFIT;
}

static Verdict judge_auth(Handshake *handshake, const RedisReply *reply, Err *err)
{
    (void)handshake;
    if (!redis_reply_error(reply))
        return GO_ON;
    redis_error_auth(NULL, redis_reply_error(reply), err);
    return verdict_of(err);
}

/* A server that loads its file or has no master yet is worth waiting for; NOAUTH and the rest are not. */
static Verdict judge_plain(Handshake *handshake, const RedisReply *reply, Err *err)
{
    (void)handshake;
    if (!redis_reply_error(reply))
        return GO_ON;
    redis_error_set(NULL, redis_reply_error(reply), err);
    return verdict_of(err);
}

/* The name helps people who look at CLIENT LIST; a server that forbids it is good enough. */
static Verdict judge_name(Handshake *handshake, const RedisReply *reply, Err *err)
{
    const char *error = redis_reply_error(reply);
    if (error && (strncmp(error, "NOPERM", 6) == 0 || strncmp(error, "ERR unknown", 11) == 0))
        return GO_ON;
    return judge_plain(handshake, reply, err);
}

static Verdict judge_info(Handshake *handshake, const RedisReply *reply, Err *err)
{
    const char *info = redis_reply_text(reply);
    bool unfit = true;
    if (!info)
        return judge_plain(handshake, reply, err);
    redis_info_field(info, "run_id", handshake->run, sizeof handshake->run);
    return handshake_check_info(info, &unfit, err) ? GO_ON : unfit ? UNFIT : AWAY;
}

/* [[library_name, ddq, engine, LUA, functions, [...], library_code, TEXT]] or [] */
static Verdict judge_library(Handshake *handshake, const RedisReply *reply, Err *err)
{
    const RedisReply *library = redis_reply_at(reply, 0);
    handshake->missing = library == NULL;
    handshake->differs = true;
    for (int i = 0; i + 1 < redis_reply_count(library); i += 2) {
        const char *key = redis_reply_text(redis_reply_at(library, i));
        const char *code = redis_reply_text(redis_reply_at(library, i + 1));
        if (key && code && strcmp(key, "library_code") == 0)
            handshake->differs = strcmp(code, queue_lua) != 0;
    }
    return judge_plain(handshake, reply, err);
}

static Verdict judge_version(Handshake *handshake, const RedisReply *reply, Err *err)
{
    const char *error = redis_reply_error(reply);
    if (error && !strstr(error, "Function not found"))
        return judge_plain(handshake, reply, err);
    cJSON *answer = redis_reply_text(reply) ? cJSON_Parse(redis_reply_text(reply)) : NULL;
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(answer, "version");
    handshake->version = cJSON_IsNumber(version) ? version->valueint : 0; /* 0: too old to know the function */
    cJSON_Delete(answer);
    if (handshake->version <= QUEUE_VERSION)
        return GO_ON;
    err_set(err, ERR_UNREACHABLE,
            "Redis holds version %d of the queue's library and this ddqd knows version %d: install the newer ddqd here "
            "too",
            handshake->version, QUEUE_VERSION);
    return UNFIT;
}

static const Step steps[] = {
    {"auth", build_auth, judge_auth},          {"select", build_select, judge_plain},
    {"name", build_name, judge_name},          {"info", build_info, judge_info},
    {"library", build_library, judge_library}, {"version", build_version, judge_version},
    {"load", build_load, judge_plain},         {"verify", build_verify, judge_plain},
    {"rewrite", build_rewrite, judge_rewrite},
};

/* --- the walk --------------------------------------------------------------------------------------- */

void handshake_start(Handshake *handshake)
{
    for (; handshake->step < (int)countof(steps); handshake->step++) {
        const char *argv[HANDSHAKE_ARGS];
        int argc = steps[handshake->step].build(handshake, argv);
        if (argc == 0)
            continue;
        redis_link_send(handshake->link, argc, argv, NULL, handshake->on_reply,
                        0); /* a lost link reports through on_down */
        return;
    }
    handshake->done(handshake->owner, NULL, false);
}

void handshake_reply(Handshake *handshake, const RedisReply *reply)
{
    if (!reply)
        return;
    Err err = {0};
    Verdict verdict = steps[handshake->step].judge(handshake, reply, &err);
    if (verdict != GO_ON) {
        handshake->done(handshake->owner, &err, verdict == UNFIT);
        return;
    }
    handshake->step++;
    handshake_start(handshake);
}
