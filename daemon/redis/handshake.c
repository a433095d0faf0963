/* The handshake is a table: each step builds one command (or skips itself) and judges the reply. To add a check, add a
 * row. Steps run one after the other, so a refusal is the first thing that is wrong and nothing after it happens.
 *
 * INFO answers everything about the server in one round trip and needs no right to read its configuration. */
#include "daemon/redis/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/mem.h"
#include "queue/queue.h"

enum { HANDSHAKE_ARGS = 8 };

typedef enum Verdict { GO_ON, AWAY, UNFIT } Verdict; /* AWAY: worth another try later */

typedef struct Step {
    const char *name;
    int (*build)(Handshake *handshake, const char **argv); /* arguments, 0 to skip */
    Verdict (*judge)(Handshake *handshake, const RedisReply *reply, Err *err);
} Step;

/* --- reading INFO ----------------------------------------------------------------------------------- */

/* The value of "name:value" in INFO's text. */
static bool info_field(const char *info, const char *name, char *ret_value, size_t size)
{
    size_t len = strlen(name);
    for (const char *line = info; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            snprintf(ret_value, size, "%.*s", (int)strcspn(line + len + 1, "\r\n"), line + len + 1);
            return true;
        }
    return false;
}

bool handshake_check_info(const char *info, bool *ret_unfit, Err *err)
{
    char value[256] = "";
    *ret_unfit = true;
    if (!info_field(info, "redis_version", value, sizeof value))
        return err_set(err, ERR_UNREACHABLE, "the server shows no redis_version in INFO; is it a Redis?");
    if (atoi(value) < 7)
        return err_set(
            err, ERR_UNREACHABLE,
            "Redis is version %s, and ddq needs 7.0 or newer for function libraries: upgrade redis-server, or "
            "run ddqd --standalone with a newer one",
            value);
    if (info_field(info, "loading", value, sizeof value) && strcmp(value, "0") != 0) {
        *ret_unfit = false;
        return err_set(err, ERR_UNREACHABLE, "Redis is still loading its data");
    }
    if (info_field(info, "role", value, sizeof value) && strcmp(value, "master") != 0)
        return err_set(err, ERR_UNREACHABLE,
                       "Redis is a %s, and the queue needs a writable server: give the address of the master", value);
    if (!info_field(info, "aof_enabled", value, sizeof value) || strcmp(value, "1") != 0)
        return err_set(err, ERR_UNREACHABLE,
                       "Redis keeps no append-only file, so a restart would lose jobs: set 'appendonly yes' in its "
                       "configuration (now: redis-cli CONFIG SET appendonly yes)");
    if (!info_field(info, "maxmemory_policy", value, sizeof value) || strcmp(value, "noeviction") != 0)
        return err_set(err, ERR_UNREACHABLE,
                       "Redis may evict keys (maxmemory-policy is %s): set 'maxmemory-policy noeviction' in its "
                       "configuration",
                       value);
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

static int build_load(Handshake *handshake, const char **argv)
{
    bool load = handshake->missing || handshake->version < QUEUE_VERSION || (handshake->differs && handshake->first);
    return load ? WORDS(argv, "FUNCTION", "LOAD", "REPLACE", queue_lua) : 0;
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

static Verdict judge_auth(Handshake *handshake, const RedisReply *reply, Err *err)
{
    (void)handshake;
    if (!redis_reply_error(reply))
        return GO_ON;
    err_set(err, ERR_UNREACHABLE, "Redis refuses the password of its address: %s", redis_reply_error(reply));
    return UNFIT;
}

/* A server that loads its file or has no master yet is worth waiting for; NOAUTH and the rest are not. */
static Verdict judge_plain(Handshake *handshake, const RedisReply *reply, Err *err)
{
    (void)handshake;
    const char *error = redis_reply_error(reply);
    if (!error)
        return GO_ON;
    bool later =
        strncmp(error, "LOADING", 7) == 0 || strncmp(error, "BUSY", 4) == 0 || strncmp(error, "MASTERDOWN", 10) == 0;
    bool auth = strncmp(error, "NOAUTH", 6) == 0;
    err_set(err, ERR_UNREACHABLE, "Redis answers: %s%s", error,
            auth ? " (write the password into the address: redis://:PASSWORD@host)" : "");
    return later ? AWAY : UNFIT;
}

static Verdict judge_info(Handshake *handshake, const RedisReply *reply, Err *err)
{
    const char *info = redis_reply_text(reply);
    bool unfit = true;
    if (!info)
        return judge_plain(handshake, reply, err);
    info_field(info, "run_id", handshake->run, sizeof handshake->run);
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
    {"name", build_name, judge_plain},         {"info", build_info, judge_info},
    {"library", build_library, judge_library}, {"version", build_version, judge_version},
    {"load", build_load, judge_plain},         {"rewrite", build_rewrite, judge_rewrite},
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
