/* Every function with every argument of every wrong kind: an answer with a status, never a fault, and nothing out of
 * order. */
#include "tests/queue/calls.h"
#include "tests/queue/transcript.h"

/* Sends text as it is; the answer must be an object with a status. */
static void send_raw(const char *function, const char *args, size_t len)
{
    redisReply *reply = redisCommand(redis->link, "FCALL %s 1 {ddq} %b", function, args, len);
    if (!reply || reply->type != REDIS_REPLY_STRING)
        fail_msg("%s %.300s: %s", function, args, reply ? reply->str : redis->link->errstr);
    cJSON *answer = cJSON_Parse(reply->str);
    if (!cJSON_IsString(cJSON_GetObjectItem(answer, "status")))
        fail_msg("%s %.300s answers %.300s", function, args, reply->str);
    cJSON_Delete(answer);
    freeReplyObject(reply);
}

static cJSON *parse_args(const char *text, const char *token)
{
    char json[1024], *out = json;
    for (const char *in = text; *in; in++)
        if (*in == '$' && in[1] == 'a')
            out += sprintf(out, "%s", token), in++;
        else
            *out++ = *in == '\'' ? '"' : *in;
    *out = 0;
    cJSON *args = cJSON_Parse(json);
    assert_non_null(args);
    return args;
}

static void every_argument_of_every_wrong_kind(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100000, "");
    submit("aaaaaa0002", "ada", 8, "");
    submit("aaaaaa0009", "ada", 8, "");
    char *token = xstrdup(text_at(claim("a", ""), "token"));
    int sent = 0;
    for (size_t i = 0; i < countof(calls); i++) {
        const char *function = queue_fn_name(calls[i].fn);
        cJSON *args = parse_args(calls[i].args, token);
        for (int field = 0; field < cJSON_GetArraySize(args); field++)
            for (size_t v = 0; v <= countof(hostile_values); v++) {
                cJSON *wrong = cJSON_Duplicate(args, true);
                const char *name = cJSON_GetArrayItem(args, field)->string;
                if (v < countof(hostile_values))
                    cJSON_ReplaceItemInObject(wrong, name, cJSON_CreateRaw(hostile_values[v]));
                else
                    cJSON_DeleteItemFromObject(wrong, name);
                char *text = cJSON_PrintUnformatted(wrong);
                send_raw(function, text, strlen(text));
                free(text);
                cJSON_Delete(wrong);
                sent++;
            }
        cJSON_Delete(args);
        check_invariants(function);
        static const QueueFn lookers[] = {QUEUE_LIST, QUEUE_HOSTS, QUEUE_EVENTS,
                                          QUEUE_SHARE}; /* accepted values can be read back */
        for (size_t k = 0; k < countof(lookers); k++)
            send_raw(queue_fn_name(lookers[k]), "{}", 2);
        static const char id[] = "{\"id\":\"aaaaaa0001\"}";
        send_raw("ddq_show", id, strlen(id));
        send_raw("ddq_why", id, strlen(id));
        send_raw("ddq_logs", id, strlen(id));
    }
    printf("%d calls\n", sent);
    free(token);
}

static void no_json_at_all(void **state)
{
    (void)state;
    static const char *const texts[] = {"",  "{",     "}",    "[",  "nul",  "{\"a\"}",  "{\"a\":1,}",
                                        "7", "\"x\"", "null", "[]", "{}{}", "\xff\xff", "{\"id\":\"\\ud800\"}"};
    size_t deep = 100000, big = 4000000;
    char *nested = xcalloc(1, deep + 1), *long_text = xcalloc(1, big + 64);
    memset(nested, '[', deep);
    strcpy(long_text, "{\"id\":\"");
    memset(long_text + 7, 'a', big);
    strcpy(long_text + 7 + big, "\",\"user\":\"ada\",\"job\":\"a\",\"token\":\"1\",\"host\":\"h\"}");
    for (int fn = 0; fn < QUEUE_FNS; fn++) {
        const char *function = queue_fn_name((QueueFn)fn);
        for (size_t i = 0; i < countof(texts); i++)
            send_raw(function, texts[i], strlen(texts[i]));
        send_raw(function, "{\"id\":\"a\0b\"}", 13);
        send_raw(function, nested, deep);
        send_raw(function, long_text, strlen(long_text));
    }
    free(nested);
    free(long_text);
}

static void remove_key(const char *key)
{
    freeReplyObject(redis_do(redis, "DEL %s", key));
}

/* An answer without a check of the invariants, which do not hold then. */
static const char *status_of(QueueFn fn, const char *args)
{
    static char status[32];
    cJSON *answer = redis_call(redis, fn, parse_args(args, ""));
    snprintf(status, sizeof status, "%s", cJSON_GetObjectItem(answer, "status")->valuestring);
    cJSON_Delete(answer);
    return status;
}

/* One broken job must not stop the others. */
static void keys_removed_by_hand(void **state)
{
    (void)state;
    const char *ask = "{'host':'h','worker':'w1','device':'cpu','offers':['model:digits']}";
    submit("aaaaaa0001", "ada", 100, "");
    submit("aaaaaa0002", "ada", 100, "");
    submit("bbbbbb0001", "bob", 100, "");
    claim("a", "job=aaaaaa0001");
    claim("b", "job=bbbbbb0001");
    say(QUEUE_FAIL, "{'token':'$b','upto':0,'policy':'retry','text':'boom'}", "");
    claim("b", "job=bbbbbb0001");
    say(QUEUE_FAIL, "{'token':'$b','upto':0,'policy':'retry','text':'boom'}", ""); /* its range waits */
    time_passes();
    remove_key("{ddq}:job:aaaaaa0001");
    remove_key("{ddq}:job:bbbbbb0001");
    remove_key("{ddq}:job:bbbbbb0001:ranges");
    assert_string_equal(status_of(QUEUE_REAP, "{}"), "ok"); /* the lease of a job that is gone */
    assert_string_equal(status_of(QUEUE_LIST, "{}"), "ok");
    assert_string_equal(status_of(QUEUE_SHOW, "{'id':'aaaaaa0001'}"), "not_found");
    int empties = 0;
    while (strcmp(status_of(QUEUE_CLAIM, ask), "empty") == 0)
        assert_true(empties++ < 3);
    assert_string_equal(status_of(QUEUE_LIST, "{'active':true}"), "ok");
    assert_string_equal(status_of(QUEUE_SHOW, "{'id':'aaaaaa0002'}"), "ok");
    redisReply *job = redis_do(redis, "SCARD {ddq}:job:aaaaaa0002:leases");
    assert_int_equal(job->integer, 1); /* and the whole one is worked on */
    freeReplyObject(job);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {T(every_argument_of_every_wrong_kind), T(no_json_at_all),
                                       T(keys_removed_by_hand)};
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
