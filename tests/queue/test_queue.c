/* Every function of queue.lua on a real private redis. A test is a transcript: this call, words that its answer holds. */
#include "tests/queue/redis.h"

static Server server;

#define CLAIM                                                                                                          \
    "{'host':'h1','worker':'cpu:0','pid':7,'device':'cpu','lease_ms':60000,'chunk_ms':1000,'root':'/out',"             \
    "'offers':['model:m','model:n']}"

/* Formats into one of a few static texts, so that several may stand in one call. */
static char *json_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *json_of(const char *format, ...)
{
    static char text[8][1024];
    static int turn;
    va_list args;
    va_start(args, format);
    turn = (turn + 1) % 8;
    vsnprintf(text[turn], sizeof text[turn], format, args);
    va_end(args);
    return text[turn];
}

/* Calls and wants each of the words in the answer; a word that starts with '!' must not be there. */
static void want(QueueFn fn, const char *json, const char *words)
{
    char *answer = server_call(&server, fn, json), *all = xstrdup(words), *rest = all, *word;
    for (char *c = all; *c; c++)
        if (*c == '\'')
            *c = '"';
    while ((word = strsep(&rest, " ")))
        if (*word == '!' ? strstr(answer, word + 1) != NULL : !strstr(answer, word))
            fail_msg("%s %s\nanswered %s\nwanted %s", queue_fn_name(fn), json, answer, word);
    free(all);
    free(answer);
}

static void submit(const char *id, const char *user, int images, const char *more)
{
    want(QUEUE_SUBMIT,
         json_of("{'id':'%s','user':'%s','kind':'sample','model':'m','images':%d,'spec':{'k':[]},'needs':['model:m']%s}", id, user,
                 images, more),
         "'status':'ok' 'duplicate':false");
}

static cJSON *claim_reply(void)
{
    char *answer = server_call(&server, QUEUE_CLAIM, CLAIM);
    cJSON *reply = NULL;
    Err err;
    assert_ok(queue_reply_parse(answer, &reply, &err), err);
    free(answer);
    return reply;
}

/* Claims, checks the range and returns the token. */
static long claim(int lo, int hi)
{
    cJSON *reply = claim_reply();
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItem(reply, "token"));
    if (!token)
        fail_msg("nothing to claim, wanted %d-%d", lo, hi);
    assert_int_equal(cJSON_GetObjectItem(reply, "lo")->valueint, lo);
    assert_int_equal(cJSON_GetObjectItem(reply, "hi")->valueint, hi);
    long number = atol(token);
    cJSON_Delete(reply);
    return number;
}

static void finish(long token, int upto, const char *words)
{
    want(QUEUE_FINISH, json_of("{'token':'%ld','upto':%d,'ms':1}", token, upto), words);
}

static void fail_range(long token, int upto, const char *policy, const char *words)
{
    want(QUEUE_FAIL,
         json_of("{'token':'%ld','upto':%d,'kind':'device','policy':'%s','text':'the device broke'}", token, upto, policy), words);
}

static void renew(long token, int upto, int lease_ms, const char *verdict)
{
    want(QUEUE_RENEW,
         json_of("{'lease_ms':%d,'leases':[{'token':'%ld','upto':%d,'rate':2.5,'stage':'decode'}]}", lease_ms, token, upto),
         json_of("'%ld':'%s'", token, verdict));
}

static void test_life(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 10, "");
    want(QUEUE_SHOW, "{'id':'aaaa'}", "'state':'queued' 'reason':'its 'spec':{'k':[]} 'leases':[]");
    long token = claim(0, 8); /* nobody knows the speed yet */
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'state':'running' 'pid':7 'output':'\\/out\\/ada\\/aaaaaaaaaa'");
    finish(token, 8, "'state':'queued'");
    finish(claim(8, 10), 10, "'state':'queued'");
    want(QUEUE_CLAIM, CLAIM, "'phase':'report' 'lo':10 'hi':11");
    want(QUEUE_FINISH, json_of("{'token':'%ld','upto':11,'ms':5,'fid':1.5}", token + 2), "'state':'done'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'state':'done' 'done':10 'fid':1.5");
    want(QUEUE_CLAIM, CLAIM, "'status':'empty'");
    want(QUEUE_EVENTS, "{}", "'event':'submit' 'event':'claim' 'event':'idle' 'event':'complete'");
    want(QUEUE_LIST, "{'active':true}", "'jobs':[]");
    want(QUEUE_LIST, "{'user':'ada','state':'done'}", "'id':'aaaaaaaaaa'");
}

static void test_submit_again_changes_nothing(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 10, "");
    claim(0, 8);
    want(QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'bob','kind':'sample','images':99,'spec':{}}", "'duplicate':true 'state':'running'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'images':10 'user':'ada'");
}

static void test_folders(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 1, ",'name':'run'");
    submit("bbbbbbbbbb", "ada", 1, ",'name':'run'");
    submit("cccccccccc", "bob", 1, ",'name':'run'");
    want(QUEUE_SHOW, "{'id':'a'}", "'folder':'ada\\/run'");
    want(QUEUE_SHOW, "{'id':'b'}", "'folder':'ada\\/run-bbbbbbbbbb'");
    want(QUEUE_SHOW, "{'id':'c'}", "'folder':'bob\\/run'");
}

static void test_evaluation_is_one_report(void **state)
{
    (void)state;
    want(QUEUE_SUBMIT, "{'id':'eeeeeeeeee','user':'ada','kind':'evaluate','images':0,'spec':{}}", "'state':'queued'");
    want(QUEUE_CLAIM, CLAIM, "'phase':'report' 'lo':0 'hi':1 'n':0 'kind':'evaluate'");
    finish(1, 1, "'state':'done'");
}

static void test_fencing(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    long token = claim(0, 8);
    finish(token, 8, "'status':'ok'");
    finish(token, 8, "'status':'already'");
    finish(999, 8, "'status':'stale'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'done':8"); /* counted once */
    renew(token, 1, 1000, "lost");
}

static void test_partial_finish_goes_back(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    finish(claim(0, 8), 5, "'state':'queued'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'done':5");
    want(QUEUE_GIVEBACK, json_of("{'token':'%ld','upto':6}", claim(5, 8)), "'status':'ok'");
    finish(claim(6, 8), 8, "'status':'ok'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'done':8 'errors':0");
}

static void test_expired_lease(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    long token = claim(0, 8);
    renew(token, 3, 100, "ok");
    usleep(150000);
    renew(token, 3, 100, "ok"); /* it ran out, nobody took it, the daemon is back: it lives on */
    usleep(150000);
    want(QUEUE_REAP, "{}", "'reaped':1 'next_ms':-1");
    finish(token, 8, "'status':'stale'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'done':3 'state':'queued' 'errors':1 renewing"); /* what was on disk counts */
    assert_true(claim(3, 8) > token);
}

static void test_retry_split_quarantine(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    for (int loss = 0; loss < 3; loss++) {
        fail_range(claim(0, 8), 0, "retry", "'status':'ok'");
        server_do(&server, "HDEL {ddq}:job:aaaaaaaaaa not_before"); /* do not wait for the back-off */
    }
    /* Lost three times: two halves, and again. Image 0 kills its worker every time. */
    const int halves[] = {4, 2, 1};
    for (size_t i = 0; i < countof(halves); i++)
        fail_range(claim(0, halves[i]), 0, "retry", "'status':'ok'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'lost':1 'missing':[0]");
    finish(claim(1, 2), 2, "'status':'ok'");
    finish(claim(2, 4), 4, "'status':'ok'");
    finish(claim(4, 8), 8, "'status':'ok'");
    finish(claim(8, 9), 9, "'state':'done'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'done':7 'state':'done' image broke");
}

static void test_progress_forgives(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    for (int done = 1; done < 7; done++) { /* every try makes one more image: never split, never given up */
        fail_range(claim(done - 1, 8), done, "retry", "'status':'ok'");
        server_do(&server, "HDEL {ddq}:job:aaaaaaaaaa not_before");
    }
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'lost':0 'done':6 'errors':6");
}

static void test_backoff_after_the_second_loss(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    fail_range(claim(0, 8), 0, "retry", "'status':'ok'");
    fail_range(claim(0, 8), 0, "retry", "'status':'ok'");
    want(QUEUE_CLAIM, CLAIM, "'status':'empty'");
}

static void test_failing_report(void **state)
{
    (void)state;
    want(QUEUE_SUBMIT, "{'id':'eeeeeeeeee','user':'ada','kind':'evaluate','images':0,'spec':{}}", "'state':'queued'");
    for (int loss = 0; loss < 3; loss++) {
        fail_range(claim(0, 1), 0, "retry", "'status':'ok'");
        server_do(&server, "HDEL {ddq}:job:eeeeeeeeee not_before");
    }
    want(QUEUE_SHOW, "{'id':'eeee'}", "'state':'failed' report broke");
}

static void test_fail_and_hold(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 16, "");
    long first = claim(0, 8), second = claim(8, 16);
    fail_range(first, 2, "fail", "'state':'failed'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'state':'failed' device 'done':2");
    renew(second, 9, 1000, "cancel");
    finish(second, 16, "'state':'failed'");
    want(QUEUE_CLAIM, CLAIM, "'status':'empty'");

    submit("bbbbbbbbbb", "ada", 16, "");
    first = claim(0, 16); /* the speed is known by now */
    fail_range(first, 4, "hold", "'state':'held'");
    want(QUEUE_CLAIM, CLAIM, "'status':'empty'");
    want(QUEUE_RELEASE, "{'id':'bbbbbbbbbb','user':'ada'}", "'state':'queued'");
    second = claim(4, 16);
    want(QUEUE_HOLD, "{'id':'bbbbbbbbbb','user':'ada','reason':'tea'}", "'state':'held'");
    renew(second, 5, 1000, "yield");
    want(QUEUE_SHOW, "{'id':'bbbbbbbbbb'}", "'reason':'tea'");
    want(QUEUE_RELEASE, "{'id':'bbbbbbbbbb','user':'ada'}", "'status':'ok'");
    finish(second, 16, "'state':'queued'"); /* it never stopped; its report is next */
    finish(claim(16, 17), 17, "'state':'done'");
}

static void test_cancel(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    want(QUEUE_CANCEL, "{'id':'aaaaaaaaaa','user':'bob'}", "'status':'permission' ada");
    long token = claim(0, 8);
    want(QUEUE_CANCEL, "{'id':'aaaaaaaaaa','user':'ada'}", "'state':'cancelled'");
    want(QUEUE_CANCEL, "{'id':'aaaaaaaaaa','user':'ada'}", "'status':'refused' cancelled");
    renew(token, 2, 1000, "cancel");
    want(QUEUE_GIVEBACK, json_of("{'token':'%ld','upto':2}", token), "'state':'cancelled'");
    want(QUEUE_CLAIM, CLAIM, "'status':'empty'");
    submit("bbbbbbbbbb", "ada", 8, "");
    want(QUEUE_CANCEL, "{'id':'bbb','user':'root'}", "'state':'cancelled'");
}

static void test_waiting(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 1, "");
    submit("bbbbbbbbbb", "ada", 1, ",'after':['aaaaaaaaaa']");
    submit("cccccccccc", "ada", 1, ",'after':['bbbbbbbbbb']");
    want(QUEUE_SHOW, "{'id':'b'}", "'state':'waiting' aaaaaaaaaa");
    finish(claim(0, 1), 1, "'state':'queued'");
    finish(claim(1, 2), 2, "'state':'done'");
    want(QUEUE_SHOW, "{'id':'b'}", "'state':'queued'");
    want(QUEUE_CANCEL, "{'id':'b','user':'ada'}", "'state':'cancelled'");
    want(QUEUE_SHOW, "{'id':'c'}", "'state':'failed' bbbbbbbbbb");
    want(QUEUE_SUBMIT, "{'id':'dddddddddd','user':'ada','kind':'sample','images':1,'spec':{},'after':['bbbbbbbbbb']}",
         "'status':'refused'");
}

static void test_prefixes(void **state)
{
    (void)state;
    submit("abaaaaaaaa", "ada", 1, "");
    submit("abbbbbbbbb", "ada", 1, "");
    want(QUEUE_SHOW, "{'id':'aba'}", "'id':'abaaaaaaaa'");
    want(QUEUE_SHOW, "{'id':'ab'}", "'status':'not_found' unique abaaaaaaaa abbbbbbbbb");
    want(QUEUE_SHOW, "{'id':'zz'}", "'status':'not_found'");
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static const struct {
        QueueFn fn;
        const char *json, *words;
    } rows[] = {
        {QUEUE_SUBMIT, "{}", "'status':'usage' id"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'../x','kind':'sample','spec':{}}", "'status':'usage' user"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'a:b','kind':'sample','spec':{}}", "'status':'usage' user"},
        {QUEUE_SUBMIT, "{'id':'AAAAAAAAAA','user':'ada','kind':'sample','spec':{}}", "'status':'usage' id"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','spec':'x'}", "'status':'usage' spec"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','spec':{},'images':1e12}", "'status':'usage' images"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','spec':{},'name':'a/b'}", "'status':'usage' name"},
        {QUEUE_SHOW, "{'id':'*'}", "'status':'usage'"},
        {QUEUE_SHOW, "{'id':7}", "'status':'usage'"},
        {QUEUE_CLAIM, "{'host':'h'}", "'status':'usage'"},
        {QUEUE_RENEW, "{'lease_ms':1000,'leases':[{'token':'x'}]}", "'status':'usage' token"},
        {QUEUE_FINISH, "{'token':'1','upto':-1}", "'status':'usage' upto"},
        {QUEUE_FAIL, "{'token':'1','upto':0,'policy':'sing','text':''}", "'status':'usage' policy"},
        {QUEUE_LOG, "{'job':'aaaaaaaaaa','lines':[]}", "'status':'not_found'"},
        {QUEUE_LIST, "{'limit':0}", "'status':'usage' limit"},
    };
    for (size_t i = 0; i < countof(rows); i++)
        want(rows[i].fn, rows[i].json, rows[i].words);
    redisReply *keys = redisCommand(server.redis, "DBSIZE");
    assert_int_equal(keys->integer, 0); /* refused means: nothing written */
    freeReplyObject(keys);
}

static void test_hosts(void **state)
{
    (void)state;
    want(QUEUE_BEAT, "{'host':'h1','boot':'x','pid':5,'ttl_ms':60000,'workers':[],'models':{}}", "'status':'ok'");
    want(QUEUE_BEAT, "{'host':'h1','boot':'x','pid':5,'ttl_ms':60000,'workers':[{'name':'cpu:0'}],'models':{}}", "'status':'ok'");
    want(QUEUE_BEAT, "{'host':'h1','boot':'y','pid':6,'ttl_ms':60000}", "'status':'taken' 5");
    want(QUEUE_HOSTS, "{}", "'host':'h1' 'alive':true 'workers':[{");
    want(QUEUE_BEAT, "{'host':'h1','boot':'x','pid':5,'ttl_ms':60000,'gone':true}", "'status':'ok'");
    want(QUEUE_HOSTS, "{}", "'hosts':[]");
    want(QUEUE_BEAT, "{'host':'h1','boot':'y','pid':6,'ttl_ms':60000}", "'status':'ok'");
}

static void test_logs(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 1, "");
    want(QUEUE_LOG, "{'job':'aaaaaaaaaa','lines':[{'level':'info','text':'one'},{'level':'error','text':'two'}]}", "'status':'ok'");
    char *answer = server_call(&server, QUEUE_LOGS, "{'id':'aaa','count':1}");
    cJSON *reply = cJSON_Parse(answer);
    assert_non_null(strstr(answer, "one"));
    assert_null(strstr(answer, "two"));
    want(QUEUE_LOGS, json_of("{'id':'aaa','after':'%s'}", cJSON_GetStringValue(cJSON_GetObjectItem(reply, "last"))), "two !one");
    cJSON_Delete(reply);
    free(answer);
}

static void test_needs_and_device(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 4, ",'device':'cuda'");
    want(QUEUE_CLAIM, CLAIM, "'status':'empty'");
    const char *gpu = "{'host':'h','worker':'g','device':'cuda','uuid':'GPU-1','lease_ms':1000,'chunk_ms':1000,'offers':['model:%s']}";
    char wrong[256], right[256];
    snprintf(wrong, sizeof wrong, gpu, "n");
    snprintf(right, sizeof right, gpu, "m");
    want(QUEUE_CLAIM, wrong, "'status':'empty'");
    want(QUEUE_CLAIM, right, "'phase':'images'");
}

static void test_priority_orders_own_jobs_only(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    submit("bbbbbbbbbb", "ada", 8, ",'priority':5");
    submit("cccccccccc", "bob", 8, ",'priority':-5");
    want(QUEUE_CLAIM, CLAIM, "'job':'bbbbbbbbbb'");
    want(QUEUE_CLAIM, CLAIM, "'job':'cccccccccc'"); /* bob's turn, whatever ada's priorities */
}

static void test_warm_model_within_slack(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    want(QUEUE_SUBMIT, "{'id':'bbbbbbbbbb','user':'bob','kind':'sample','model':'n','images':8,'spec':{},'needs':['model:n']}",
         "'status':'ok'");
    want(QUEUE_CLAIM,
         "{'host':'h','worker':'w','device':'cpu','lease_ms':1000,'chunk_ms':1000,'offers':['model:m','model:n'],'warm':['n']}",
         "'job':'bbbbbbbbbb'");
}

/* Shares follow weights 3:2:1 over 600 contended claims. */
static void test_fair_shares(void **state)
{
    (void)state;
    const char *const users[] = {"ada", "bob", "eve"};
    const double wanted[] = {300, 200, 100};
    int counts[3] = {0};
    server_do(&server, "HSET {ddq}:weights ada 3 bob 2 eve 1");
    server_do(&server, "HSET {ddq}:speed m|cpu 100");
    submit("aaaaaaaaaa", "ada", 100000, "");
    submit("bbbbbbbbbb", "bob", 100000, "");
    submit("eeeeeeeeee", "eve", 100000, "");
    for (int i = 0; i < 600; i++) {
        cJSON *reply = claim_reply();
        for (int u = 0; u < 3; u++)
            counts[u] += strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(reply, "user")), users[u]) == 0;
        int lo = cJSON_GetObjectItem(reply, "lo")->valueint, hi = cJSON_GetObjectItem(reply, "hi")->valueint;
        assert_int_equal(hi - lo, 10); /* one second at 100 ms an image */
        want(QUEUE_FINISH,
             json_of("{'token':'%s','upto':%d,'ms':1000}", cJSON_GetStringValue(cJSON_GetObjectItem(reply, "token")), hi),
             "'status':'ok'");
        cJSON_Delete(reply);
    }
    for (int u = 0; u < 3; u++)
        if (counts[u] < wanted[u] * 0.98 || counts[u] > wanted[u] * 1.02)
            fail_msg("%s got %d of 600 claims, wanted %.0f within 2%%", users[u], counts[u], wanted[u]);
}

static void test_no_credit_for_time_away(void **state)
{
    (void)state;
    server_do(&server, "HSET {ddq}:speed m|cpu 1");
    submit("aaaaaaaaaa", "ada", 1000000, "");
    for (int i = 0; i < 20; i++)
        claim(1000 * i, 1000 * i + 1000);
    submit("bbbbbbbbbb", "bob", 1000000, ""); /* comes late and must not take the next twenty turns */
    int bob = 0;
    for (int i = 0; i < 10; i++) {
        cJSON *reply = claim_reply();
        bob += strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(reply, "user")), "bob") == 0;
        cJSON_Delete(reply);
    }
    assert_in_range(bob, 4, 6);
}

static void test_tail_is_shared(void **state)
{
    (void)state;
    want(QUEUE_BEAT, "{'host':'h1','boot':'x','pid':5,'ttl_ms':60000,'workers':[{},{},{},{}]}", "'status':'ok'");
    server_do(&server, "HSET {ddq}:speed m|cpu 1");
    submit("aaaaaaaaaa", "ada", 800, "");
    claim(0, 100); /* 800 left over 2 * 4 workers, though a second would make 1,000 */
}

static void test_redis_killed(void **state)
{
    (void)state;
    submit("aaaaaaaaaa", "ada", 8, "");
    long token = claim(0, 8);
    renew(token, 3, 60000, "ok");
    server_kill(&server);
    server_spawn(&server); /* from the append-only file: jobs, leases and functions */
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'state':'running' 'done':3");
    renew(token, 4, 60000, "ok");
    finish(token, 8, "'status':'ok'");
    want(QUEUE_SHOW, "{'id':'aaaaaaaaaa'}", "'done':8 'errors':0");
}

static void test_replies(void **state)
{
    (void)state;
    Err err;
    cJSON *reply = NULL;
    static const struct {
        const char *text;
        ErrKind kind;
    } rows[] = {{"{\"status\":\"not_found\",\"text\":\"job x not found\"}", ERR_NOT_FOUND},
                {"{\"status\":\"permission\",\"text\":\"t\"}", ERR_PERMISSION},
                {"{\"status\":\"taken\",\"text\":\"t\"}", ERR_REFUSED},
                {"{\"status\":\"odd\"}", ERR_PROTOCOL},
                {"{\"no\":1}", ERR_PROTOCOL},
                {"PONG", ERR_PROTOCOL},
                {NULL, ERR_PROTOCOL}};
    for (size_t i = 0; i < countof(rows); i++) {
        assert_false(queue_reply_parse(rows[i].text, &reply, &err));
        assert_int_equal(err.kind, rows[i].kind);
        assert_null(reply);
    }
    char one[11], other[11];
    queue_new_id(one);
    queue_new_id(other);
    assert_int_equal(strlen(one), 10);
    assert_string_not_equal(one, other);
}

static int fresh(void **state)
{
    (void)state;
    server_do(&server, "FLUSHDB");
    return 0;
}

static int start(void **state)
{
    (void)state;
    server_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    server_stop(&server);
    return 0;
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup(test, fresh)
    const struct CMUnitTest tests[] = {
        ROW(test_life), ROW(test_submit_again_changes_nothing), ROW(test_folders), ROW(test_evaluation_is_one_report),
        ROW(test_fencing), ROW(test_partial_finish_goes_back), ROW(test_expired_lease), ROW(test_retry_split_quarantine),
        ROW(test_progress_forgives), ROW(test_backoff_after_the_second_loss), ROW(test_failing_report), ROW(test_fail_and_hold),
        ROW(test_cancel), ROW(test_waiting), ROW(test_prefixes), ROW(test_bad_arguments), ROW(test_hosts), ROW(test_logs),
        ROW(test_needs_and_device), ROW(test_priority_orders_own_jobs_only), ROW(test_warm_model_within_slack),
        ROW(test_fair_shares), ROW(test_no_credit_for_time_away), ROW(test_tail_is_shared), ROW(test_redis_killed),
        ROW(test_replies)};
    return cmocka_run_group_tests(tests, start, stop);
}
