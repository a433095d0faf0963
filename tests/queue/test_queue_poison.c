/* What callers send as text is handed to others inside answers: whatever it is, every answer stays JSON for every
 * parser, and a job that cannot be read spoils no other. random_calls makes DDQ_FUZZ_RUNS calls (20,000) of all
 * functions with arguments that are valid, hostile or no JSON; scripts/test --long makes ten million. DDQ_FUZZ_SEED
 * repeats a run. */
#include "tests/queue/calls.h"
#include "tests/queue/transcript.h"

#include <time.h>

#define DEEP_31  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
#define DEEP_999 "DEEP" /* put in by text_of: too long to stand here */

/* --- texts, as they would stand in a spec ------------------------------------------------------------------ */

static const char *const good_texts[] = {
    "{}",
    " {\t\"a\" :\r\n1 } ",
    "{\"a\":[1,-2,0,-0,0.5,1e5,1.5E-3,2e+3,12345678901234567890]}",
    "{\"a\":\"\\u00e9\\ud83d\\ude00\\\\\\\"\\/\\b\\f\\n\\r\\t\",\"b\":[],\"c\":{},\"d\":null,\"e\":true,\"f\":false}",
    "{\"\xc3\xa9\":\"\xe2\x86\xaf\xf0\x9f\x98\x80\x7f\"}",
    "{\"a\":" DEEP_31 "}",
};

static const char *const bad_texts[] = {
    "",
    "[]",
    "1",
    "\"x\"",
    "null",
    "{",
    "}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1}x",
    "{\"a\":1}{}",
    "{\"a\":[1}",
    "{\"a\":{\"b\":1]}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":1 2}",
    /* numbers that some parsers take */
    "{\"a\":NaN}",
    "{\"a\":-NaN}",
    "{\"a\":nan}",
    "{\"a\":Infinity}",
    "{\"a\":-Infinity}",
    "{\"a\":inf}",
    "{\"a\":0x1F}",
    "{\"a\":1e999}",
    "{\"a\":-1e999}",
    "{\"a\":01}",
    "{\"a\":-01}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":-.5}",
    "{\"a\":-}",
    "{\"a\":+1}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":--1}",
    "{\"a\":1.5.5}",
    "{\"a\":1d5}",
    "{\"a\":1_000}",
    /* words, strings and bytes */
    "{\"a\":tru}",
    "{\"a\":truex}",
    "{\"a\":True}",
    "{\"a\":undefined}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\ud800\\ud800\"}",
    "{\"a\":\"\\udc00\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\x01\"}",
    "{\"a\":\"",
    "{\"a\":\"\\\"}",
    "{\"a\":1}\x0b",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\xc0\x80\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"\xf4\x90\x80\x80\"}",
    "{\"\xe1\":\"\xc3\xa9\x80\x80\"}",
    "\xef\xbb\xbf{}",
    /* depth */
    "{\"a\":[" DEEP_31 "]}",
    "{\"a\":" DEEP_999 "}",
};

/* The text itself, with DEEP_999 as 999 brackets; caller frees. */
static char *text_of(const char *text)
{
    const char *at = strstr(text, DEEP_999);
    if (!at)
        return xstrdup(text);
    enum { DEPTH = 999 };
    char *full = xcalloc(1, strlen(text) + 2 * DEPTH);
    size_t before = (size_t)(at - text);
    memcpy(full, text, before);
    memset(full + before, '[', DEPTH);
    memset(full + before + DEPTH, ']', DEPTH);
    strcpy(full + before + 2 * DEPTH, at + strlen(DEEP_999));
    return full;
}

/* As a JSON string; caller frees. Bytes that are no UTF-8 stay. */
static char *quoted(const char *text)
{
    cJSON *string = cJSON_CreateString(text);
    char *json = cJSON_PrintUnformatted(string);
    cJSON_Delete(string);
    return json;
}

/* --- answers ------------------------------------------------------------------------------------------------ */

static bool is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        int more = *at < 0x80                  ? 0
                   : *at >= 0xc2 && *at < 0xe0 ? 1
                   : *at >= 0xe0 && *at < 0xf0 ? 2
                   : *at >= 0xf0 && *at < 0xf5 ? 3
                                               : -1;
        bool wrong = more < 0 || (*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
                     (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f);
        for (int i = 1; i <= more && !wrong; i++)
            wrong = (at[i] & 0xc0) != 0x80;
        if (wrong)
            return false;
        at += more + 1;
    }
    return true;
}

/* One call with this text, through the gate for user `caller` where there is one. Fails unless the answer is one JSON
 * object in UTF-8 with a status; the caller deletes it. */
static cJSON *ask_as(const char *caller, const char *function, const char *args, size_t len)
{
    const char *rights = caller && strcmp(caller, "root") == 0 ? "admin" : "user";
    redisReply *reply =
        caller ? redisCommand(redis->link, "FCALL %s 1 {ddq} %b %s %s", function, args, len, caller, rights)
               : redisCommand(redis->link, "FCALL %s 1 {ddq} %b", function, args, len);
    if (!reply || reply->type != REDIS_REPLY_STRING)
        fail_msg("%s %.2000s: %s", function, args, reply ? reply->str : redis->link->errstr);
    const char *end = NULL;
    cJSON *answer = cJSON_ParseWithOpts(reply->str, &end, true);
    if (!cJSON_IsString(cJSON_GetObjectItem(answer, "status")) || strlen(reply->str) != reply->len ||
        !is_utf8(reply->str))
        fail_msg("%s %.2000s answers %.2000s", function, args, reply->str);
    freeReplyObject(reply);
    return answer;
}

static cJSON *ask_raw(const char *function, const char *args, size_t len)
{
    return ask_as(NULL, function, args, len);
}

static const char *status_of(QueueFn fn, const char *args)
{
    static char status[32];
    cJSON *answer = ask_raw(queue_fn_name(fn), args, strlen(args));
    snprintf(status, sizeof status, "%s", cJSON_GetObjectItem(answer, "status")->valuestring);
    cJSON_Delete(answer);
    return status;
}

/* What people and daemons look at reads well. */
static void look_at_all(void)
{
    static const struct {
        QueueFn fn;
        const char *args;
    } looks[] = {{QUEUE_LIST, "{}"},
                 {QUEUE_LIST, "{\"rows\":true}"},
                 {QUEUE_LIST, "{\"active\":true}"},
                 {QUEUE_HOSTS, "{}"},
                 {QUEUE_GROUPS, "{}"},
                 {QUEUE_GROUP, "{\"group\":\"g\",\"user\":\"ada\"}"},
                 {QUEUE_SHARE, "{}"},
                 {QUEUE_QUOTA, "{}"},
                 {QUEUE_SETTINGS, "{}"},
                 {QUEUE_EVENTS, "{}"},
                 {QUEUE_REAP, "{}"},
                 {QUEUE_CHECK, "{}"}};
    for (size_t i = 0; i < countof(looks); i++)
        cJSON_Delete(ask_raw(queue_fn_name(looks[i].fn), looks[i].args, strlen(looks[i].args)));
}

/* --- each text in each function --------------------------------------------------------------------------------- */

static void check_door(const char *text, const char *wanted)
{
    static const struct {
        QueueFn fn;
        const char *format; /* of the text as a JSON string */
    } doors[] = {
        {QUEUE_SUBMIT,
         "{\"id\":\"aaaaaa0001\",\"user\":\"ada\",\"kind\":\"sample\",\"images\":4,\"new\":true,\"spec\":%s}"},
        {QUEUE_SUBMIT,
         "{\"id\":\"aaaaaa0002\",\"user\":\"ada\",\"kind\":\"sample\",\"images\":4,\"new\":true,\"spec\":{},"
         "\"group\":\"g\",\"hold\":true,\"point\":%s}"},
        {QUEUE_ESTIMATE, "{\"id\":\"aaaaaa0003\",\"user\":\"ada\",\"kind\":\"sample\",\"images\":4,\"spec\":%s}"},
        {QUEUE_ADOPT, "{\"submitted\":{\"id\":\"aaaaaa0004\",\"user\":\"ada\",\"kind\":\"sample\",\"images\":4},"
                      "\"by\":\"ada\",\"folder\":\"ada/x\",\"spec\":%s}"},
    };
    char *string = quoted(text);
    for (size_t i = 0; i < countof(doors); i++) {
        char *args = xcalloc(1, strlen(doors[i].format) + strlen(string) + 1);
        sprintf(args, doors[i].format, string);
        bool absent = i == 1 && !*text; /* a point may be absent, and is then "" */
        if (strcmp(status_of(doors[i].fn, args), absent ? "ok" : wanted) != 0)
            fail_msg("%s takes %s, wanted %s", queue_fn_name(doors[i].fn), args, wanted);
        free(args);
    }
    free(string);
    look_at_all();
    while (strcmp(status_of(QUEUE_CLAIM, "{\"host\":\"h\",\"worker\":\"w\",\"device\":\"cpu\",\"offers\":[]}"),
                  "empty") != 0)
        transcript_clear(NULL);
    transcript_clear(NULL);
}

static void texts_at_the_doors(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good_texts); i++)
        check_door(good_texts[i], "ok");
    for (size_t i = 0; i < countof(bad_texts); i++) {
        char *text = text_of(bad_texts[i]);
        check_door(text, "usage");
        free(text);
    }
}

/* The heartbeat's text is returned to every caller of ddq_hosts. */
static void heartbeats(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad_texts); i++) {
        char *text = text_of(bad_texts[i]), *string = quoted(text);
        char *args = xcalloc(1, strlen(string) + 200);
        sprintf(args, "{\"host\":\"h\",\"boot\":\"b\",\"workers\":[],\"ttl_ms\":60000,\"about\":%s}", string);
        status_of(QUEUE_HEARTBEAT, args);
        look_at_all();
        free(args), free(string), free(text);
    }
    say(QUEUE_HEARTBEAT, "{'host':'h','boot':'b','workers':[{'name':'w'}],'models':{'a':{}},'references':[]}", "");
    say(QUEUE_HOSTS, "{}", "hosts.0.workers.0.name=w");
}

/* --- what is kept of a submit ------------------------------------------------------------------------------- */

static void unknown_fields_are_not_kept(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8,
           "'zz':{'deep':[[]]},'name':'n','after':[],'group':'g','point':{'seed':1},'hold':false");
    cJSON *claimed = claim("a", "job=aaaaaa0001; asked.name=n; asked.point.seed=1; asked.user=ada; asked.images=8");
    const cJSON *asked = cJSON_GetObjectItem(claimed, "asked");
    static const char *const none[] = {"zz", "hold", "spec", "new"};
    for (size_t i = 0; i < countof(none); i++)
        assert_null(cJSON_GetObjectItem(asked, none[i]));
}

/* A path or a reason of another encoding costs no report: what is no UTF-8 becomes "?". */
static void stray_bytes_of_free_text(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "");
    say(QUEUE_FAIL,
        "{'token':'$a','upto':0,'policy':'hold','text':'/data/b\xfc\x63her: No such file \xe2\x86\xaf \xe2\x86'}", "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.reason=/data/b?cher: No such file \xe2\x86\xaf ??");
    say(QUEUE_LOG, "{'job':'aaaaaa0001','lines':['\xff\xfeok']}", "");
    say(QUEUE_LOGS, "{'id':'aaaaaa0001'}", "lines.0.text=??ok");
    say(QUEUE_RELEASE, "{'id':'aaaaaa0001','user':'ada'}", "");
    say(QUEUE_HOLD, "{'id':'aaaaaa0001','user':'ada','reason':'\x80'}", "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.reason=?");
}

/* --- leases ------------------------------------------------------------------------------------------------- */

/* The daemon has no record of its lease; when the job has ended, the worker gets another one. */
static void a_lease_of_a_job_that_ended_is_over(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100, "");
    claim("a", "job=aaaaaa0001; again=false");
    claim("a", "job=aaaaaa0001; again=true");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "");
    submit("aaaaaa0002", "ada", 100, "");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a'}]}", "leases~cancel");
    char *old = xstrdup(text_at(claim("b", "job=aaaaaa0002"), "token")); /* of another worker */
    claim("a", "job=aaaaaa0002; again=false");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0002','user':'ada'}", "");
    claim("a", "status=empty");
    claim("b", "status=empty");
    say_f(QUEUE_GIVEBACK, "status=already", "{'token':'%s','upto':0}", old);
    free(old);
}

/* What an older library took. The spec that is no JSON is handed out as text, and all the rest reads well. */
static void old_texts_spoil_their_own_job_alone(void **state)
{
    (void)state;
    static const char *const specs[] = {"{\"seed\":NaN}", "{\"a\":0x1F}", "nothing", "{\"a\":" DEEP_999 "}"};
    for (size_t i = 0; i < countof(specs); i++) {
        char *spec = text_of(specs[i]);
        submit("aaaaaa0001", "ada", 8, "'tier':'interactive'");
        submit("aaaaaa0002", "ada", 8, "");
        freeReplyObject(redis_do(redis, "HSET {ddq}:job:aaaaaa0001 spec %s asked %s", spec, spec));
        for (int again = 0; again < 2; again++)
            say(QUEUE_CLAIM, "{'host':'h','worker':'a','device':'cpu','offers':['model:digits'],'spec_as_text':true}",
                "job=aaaaaa0001; asked={}");
        cJSON *shown = say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.state=running");
        assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(shown, "job"), "spec")->valuestring, spec);
        say(QUEUE_FAIL, "{'token':'$a','upto':0,'policy':'fail','text':'the spec is no JSON'}", "state=failed");
        claim("a", "job=aaaaaa0002; spec.seed=1");
        transcript_clear(NULL);
        free(spec);
    }
}

/* The token of an answer that cannot be read, and of none that only looks like it. */
static void tokens_of_answers_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *token;
    } rows[] = {
        {"{\"asked\":NaN,\"token\":\"1234567890123456\",\"status\":\"ok\"}", "1234567890123456"},
        {"{\"spec\":\"{\\\"token\\\":\\\"7\\\"}\",\"lo\":0x1,\"token\":\"8\"}", "8"},
        {"{\"token\":\"123456789012345678901\"}", NULL},
        {"{\"token\":\"12a\"}", NULL},
        {"{\"token\":\"", NULL},
        {"{\"token\":\"\"}", NULL},
        {"nothing", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        cJSON *found = queue_reply_rescue(rows[i].answer);
        assert_int_equal(found != NULL, rows[i].token != NULL);
        if (found)
            assert_string_equal(cJSON_GetObjectItem(found, "token")->valuestring, rows[i].token);
        cJSON_Delete(found);
    }
}

/* --- random calls ------------------------------------------------------------------------------------------- */

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state ^= dice_state << 13, dice_state ^= dice_state >> 7, dice_state ^= dice_state << 17;
    return (unsigned)(dice_state >> 33) % sides;
}

static void add_text(Buf *to, const char *text)
{
    buf_add(to, text, strlen(text));
}

static void add_deep(Buf *to, int depth)
{
    bool objects = dice(2);
    for (int i = 0; i < depth; i++)
        add_text(to, objects ? "{\"a\":" : "[");
    add_text(to, "1");
    for (int i = 0; i < depth; i++)
        add_text(to, objects ? "}" : "]");
}

/* A text with JSON in it, or nearly. */
static void add_quoted(Buf *to)
{
    char *text = text_of(dice(4) ? bad_texts[dice(countof(bad_texts))] : good_texts[dice(countof(good_texts))]);
    char *string = quoted(text);
    add_text(to, string);
    free(text), free(string);
}

/* Anything in the place of a value. */
static void add_hostile(Buf *to)
{
    static const int depths[] = {2, 20, 31, 32, 33, 34, 35, 998, 999, 1000, 1001};
    switch (dice(8)) {
    case 0:
    case 1:
        add_quoted(to);
        break;
    case 2:
        add_deep(to, depths[dice(countof(depths))]);
        break;
    case 3: /* long */
        add_text(to, "\"");
        for (int i = 0, all = 1 << dice(12); i < all; i++)
            add_text(to, dice(40) ? "abcdefgh" : "\xc3\xa9\\n");
        add_text(to, "\"");
        break;
    default:
        add_text(to, hostile_values[dice(countof(hostile_values))]);
    }
}

enum { JOBS = 40 }; /* their ids: bbbbbb0000 and so on */
static char last_token[32] = "17";

static void add_valid(Buf *to, const cJSON *field)
{
    char *text = cJSON_PrintUnformatted(field);
    size_t len = strlen(text);
    if (strcmp(field->string, "token") == 0)
        buf_printf(to, "\"%s\"", last_token);
    else if (strcmp(field->string, "leases") == 0)
        buf_printf(to, "[{\"token\":\"%s\",\"upto\":%u,\"rate\":1.5,\"stage\":\"s\"}]", last_token, dice(9));
    else if (strcmp(field->string, "upto") == 0)
        buf_printf(to, "%u", dice(9));
    else if (len == 12 && strncmp(text + len - 5, "000", 3) == 0) /* one of few jobs */
        buf_printf(to, "\"bbbbbb00%02u\"", dice(JOBS));
    else
        add_text(to, text);
    free(text);
}

/* A call of this row: valid, or with one or two fields wrong or absent, or an unknown one, or bytes that are no JSON.
 */
static void build_call(const cJSON *valid, Buf *args)
{
    const cJSON *field;
    unsigned fields = (unsigned)cJSON_GetArraySize(valid) + 1, at = 0,
             wrong[2] = {dice(2) ? dice(fields) : 99, dice(4) ? 99 : dice(fields)};
    add_text(args, "{");
    cJSON_ArrayForEach(field, valid)
    {
        bool is_text = strcmp(field->string, "spec") == 0 || strcmp(field->string, "point") == 0 ||
                       strcmp(field->string, "about") == 0;
        bool hostile = at == wrong[0] || at == wrong[1];
        at++;
        if ((hostile && dice(6) == 0) || (strcmp(field->string, "after") == 0 && dice(3)))
            continue;
        buf_printf(args, "%s\"%s\":", args->len > 1 ? "," : "", field->string);
        if (is_text && dice(4) == 0)
            add_quoted(args);
        else if (hostile)
            add_hostile(args);
        else
            add_valid(args, field);
    }
    if (at == wrong[0] || at == wrong[1]) {
        buf_printf(args, "%s\"%s\":", args->len > 1 ? "," : "", dice(2) ? "zz" : "as");
        add_hostile(args);
    }
    add_text(args, "}");
    if (dice(60) == 0)
        args->data[dice((unsigned)args->len)] = (char)dice(256);
    if (dice(200) == 0)
        args->len = dice((unsigned)args->len);
}

static void look_at_jobs(void)
{
    char args[64];
    for (int i = 0; i < JOBS; i++) {
        snprintf(args, sizeof args, "{\"id\":\"bbbbbb00%02d\"}", i);
        status_of(QUEUE_SHOW, args);
        status_of(dice(2) ? QUEUE_WHY : QUEUE_LOGS, args);
    }
}

static void random_calls(void **state)
{
    (void)state;
    const char *runs_word = getenv("DDQ_FUZZ_RUNS"), *seed_word = getenv("DDQ_FUZZ_SEED");
    long runs = runs_word ? atol(runs_word) : 20000;
    dice_state = seed_word ? strtoull(seed_word, NULL, 10) : (uint64_t)time(NULL);
    printf("%ld calls, DDQ_FUZZ_SEED=%llu\n", runs, (unsigned long long)dice_state);
    fflush(stdout);
    dice_state = dice_state * 0x9e3779b97f4a7c15u | 1;
    cJSON *valid[countof(calls)];
    for (size_t i = 0; i < countof(calls); i++) {
        char *text = xstrdup(calls[i].args);
        for (char *at = text; *at; at++)
            *at = *at == '\'' ? '"' : *at == '$' ? '1' : *at == '\\' ? '\\' : *at;
        valid[i] = cJSON_Parse(text);
        assert_non_null(valid[i]);
        free(text);
    }
    for (long run = 0; run < runs; run++) {
        size_t row = dice(4) ? dice(countof(calls)) : dice(2) ? 0 : dice(countof(calls));
        Buf args = {0};
        build_call(valid[row], &args);
        static const char *const callers[] = {NULL, NULL, "ada", "root"};
        cJSON *answer = ask_as(callers[dice(4)], queue_fn_name(calls[row].fn), args.data, args.len);
        const cJSON *token = cJSON_GetObjectItem(answer, "token");
        if (cJSON_IsString(token) && strlen(token->valuestring) < sizeof last_token)
            strcpy(last_token, token->valuestring);
        cJSON_Delete(answer);
        buf_free(&args);
        if (run % 256 == 255) {
            look_at_all();
            look_at_jobs();
        }
        if (run % 1024 == 1023)
            check_invariants("random calls");
        if (run % 1024 == 1023)
            transcript_clear(NULL);
    }
    for (size_t i = 0; i < countof(calls); i++)
        cJSON_Delete(valid[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(texts_at_the_doors),
        T(heartbeats),
        T(unknown_fields_are_not_kept),
        T(stray_bytes_of_free_text),
        T(a_lease_of_a_job_that_ended_is_over),
        T(old_texts_spoil_their_own_job_alone),
        T(tokens_of_answers_that_cannot_be_read),
        T(random_calls),
    };
    if (getenv("DDQ_FUZZ_RUNS"))
        cmocka_set_test_filter("random_calls");
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
