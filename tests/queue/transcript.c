#include "tests/queue/transcript.h"

#include <math.h>

enum { ANSWERS = 100000, WORKERS = 64 };

Redis *redis;
static cJSON *answers[ANSWERS];
static int answer_count;
static struct {
    char *worker, *token;
} tokens[WORKERS];
static int token_count;
static char *invariants;

int transcript_start(void **state)
{
    (void)state;
    FILE *file = fopen(TESTS_DIR "/queue/invariants.lua", "r");
    if (!file)
        redis_die(TESTS_DIR "/queue/invariants.lua", "cannot be read");
    invariants = xcalloc(1, 16384);
    if (fread(invariants, 1, 16383, file) == 0)
        redis_die(TESTS_DIR "/queue/invariants.lua", "is empty");
    fclose(file);
    redis = redis_start("no");
    return 0;
}

static void forget_answers(void)
{
    while (answer_count > 0)
        cJSON_Delete(answers[--answer_count]);
    for (; token_count > 0; token_count--) {
        free(tokens[token_count - 1].worker);
        free(tokens[token_count - 1].token);
        tokens[token_count - 1].token = NULL;
    }
}

int transcript_stop(void **state)
{
    (void)state;
    forget_answers();
    free(invariants);
    redis_stop(redis);
    return 0;
}

int transcript_clear(void **state)
{
    (void)state;
    forget_answers();
    freeReplyObject(redis_do(redis, "FLUSHALL"));
    return 0;
}

/* --- what is said ------------------------------------------------------------------------------------- */

static const char *token_of(const char *worker, size_t len)
{
    for (int i = 0; i < token_count; i++)
        if (strlen(tokens[i].worker) == len && strncmp(tokens[i].worker, worker, len) == 0)
            return tokens[i].token;
    fail_msg("worker %.*s has claimed nothing", (int)len, worker);
    return NULL;
}

static void remember_token(const char *worker, const char *token)
{
    int i = 0;
    while (i < token_count && strcmp(tokens[i].worker, worker) != 0)
        i++;
    assert_true(i < WORKERS);
    if (i == token_count)
        tokens[token_count++].worker = xstrdup(worker);
    free(tokens[i].token);
    tokens[i].token = xstrdup(token);
}

static cJSON *args_of(const char *text)
{
    Buf json = {0};
    while (*text) {
        if (*text == '$') {
            size_t len = strspn(++text, "abcdefghijklmnopqrstuvwxyz0123456789");
            const char *token = token_of(text, len);
            buf_add(&json, token, strlen(token));
            text += len;
        } else {
            buf_add(&json, *text == '\'' ? "\"" : text, 1);
            text++;
        }
    }
    cJSON *args = cJSON_Parse(json.data);
    if (!args)
        fail_msg("the test says no JSON: %s", json.data);
    buf_free(&json);
    return args;
}

/* --- what is expected --------------------------------------------------------------------------------- */

/* The value at a path as text in `ret`; false if there is none. */
static bool value_at(const cJSON *item, const char *path, char *ret, size_t size)
{
    char step[64];
    while (item && *path) {
        size_t len = strcspn(path, ".");
        snprintf(step, sizeof step, "%.*s", (int)len, path);
        path += len + (path[len] == '.');
        if (strcmp(step, "#") == 0) {
            snprintf(ret, size, "%d", cJSON_GetArraySize(item));
            return cJSON_IsArray(item);
        }
        item =
            cJSON_IsArray(item) ? cJSON_GetArrayItem(item, atoi(step)) : cJSON_GetObjectItemCaseSensitive(item, step);
    }
    if (!item)
        return false;
    char *text = cJSON_IsString(item) ? xstrdup(item->valuestring) : cJSON_PrintUnformatted(item);
    snprintf(ret, size, "%s", text);
    free(text);
    return true;
}

double number_at(const cJSON *answer, const char *path)
{
    char text[64];
    return value_at(answer, path, text, sizeof text) ? atof(text) : NAN;
}

const char *text_at(const cJSON *answer, const char *path)
{
    static char text[2048];
    return value_at(answer, path, text, sizeof text) ? text : "";
}

static void expect(const cJSON *answer, const char *expected, const char *said)
{
    char copy[1024], found[2048], *rest = copy, *one;
    snprintf(copy, sizeof copy, "%s%s", strstr(expected, "status") ? "" : "status=ok; ", expected);
    while ((one = rest)) {
        rest = strstr(one, "; ");
        if (rest) {
            *rest = 0;
            rest += 2;
        }
        size_t len = strcspn(one, "=~");
        if (!one[len])
            continue;
        char sign = one[len], *wanted = one + len + 1;
        one[len] = 0;
        if (!value_at(answer, one, found, sizeof found))
            strcpy(found, "(absent)");
        if (sign == '=' ? strcmp(found, wanted) != 0 : !strstr(found, wanted)) {
            char *all = cJSON_PrintUnformatted(answer);
            fail_msg("said %s\n  answer %s\n  %s is \"%s\", wanted %s\"%s\"", said, all, one, found,
                     sign == '~' ? "in it " : "", wanted);
        }
    }
}

/* --- saying it ---------------------------------------------------------------------------------------- */

void check_invariants(const char *after)
{
    redisReply *reply = redis_do(redis, "EVAL %s 0", invariants);
    if (reply->len > 0)
        fail_msg("after %s: %s", after, reply->str);
    freeReplyObject(reply);
}

cJSON *say(QueueFn fn, const char *text, const char *expected)
{
    char said[1024];
    snprintf(said, sizeof said, "%s %s", queue_fn_name(fn), text);
    cJSON *args = args_of(text);
    char *worker = xstrdup(fn == QUEUE_CLAIM ? text_at(args, "worker") : "");
    cJSON *answer = redis_call(redis, fn, args);
    assert_true(answer_count < ANSWERS);
    answers[answer_count++] = answer;
    if (*text_at(answer, "token"))
        remember_token(worker, text_at(answer, "token"));
    free(worker);
    expect(answer, expected, said);
    check_invariants(said);
    return answer;
}

cJSON *say_f(QueueFn fn, const char *expected, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return say(fn, text, expected);
}

cJSON *claim(const char *worker, const char *expected)
{
    return say_f(QUEUE_CLAIM, expected,
                 "{'host':'h','worker':'%s','pid':7,'device':'cpu','root':'/out','lease_ms':60000,'chunk_ms':1000,"
                 "'offers':['model:digits','reference:digits'],'warm':[]}",
                 worker);
}

cJSON *submit(const char *id, const char *user, int images, const char *rest)
{
    static const struct {
        const char *field, *text;
    } usual[] = {
        {"'model':", "'digits'"}, {"'needs':", "['model:digits']"}, {"'spec':", "{'seed':1}"}, {"'new':", "true"}};
    char fields[256] = "";
    for (size_t i = 0; i < countof(usual); i++)
        if (!strstr(rest, usual[i].field))
            strcat(strcat(strcat(fields, ","), usual[i].field), usual[i].text);
    return say_f(QUEUE_SUBMIT, "", "{'id':'%s','user':'%s','kind':'%s','images':%d%s%s%s}", id, user,
                 images ? "sample" : "evaluate", images, fields, *rest ? "," : "", rest);
}

void do_evaluation(const char *worker, const char *id)
{
    static const struct {
        const char *phase;
        int upto;
    } steps[] = {{"survey; n=0; lo=0; hi=1", 1}, {"images; n=2; lo=0; hi=2", 2}, {"report; n=2; lo=2; hi=3", 3}};
    for (size_t i = 0; i < countof(steps); i++) {
        char expected[96];
        snprintf(expected, sizeof expected, "job=%s; phase=%s", id, steps[i].phase);
        cJSON *answer = claim(worker, expected);
        say_f(QUEUE_FINISH, i + 1 < countof(steps) ? "state=queued" : "state=done", "{'token':'%s','upto':%d,'ms':5%s}",
              text_at(answer, "token"), steps[i].upto, i ? "" : ",'images':2");
    }
}

void time_passes(void)
{
    static const char lua[] =
        "for _, key in ipairs({'{ddq}:leases', '{ddq}:later'}) do"
        " for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZADD', key, 0, member) end end";
    freeReplyObject(redis_do(redis, "EVAL %s 0", lua));
}
