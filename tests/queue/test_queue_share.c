/* Who is next: fair shares, priorities, lanes, warm models, the tail of a job; and random calls under the invariants.
 */
#include "tests/queue/transcript.h"

static cJSON *claim_offering(const char *worker, const char *device, const char *offers, const char *warm,
                             const char *expected)
{
    return say_f(QUEUE_CLAIM, expected,
                 "{'host':'h','worker':'%s','device':'%s','uuid':'%s','root':'/"
                 "out','lease_ms':60000,'chunk_ms':1000,'offers':[%s],'warm':[%s]}",
                 worker, strcmp(device, "cpu") == 0 ? "cpu" : "cuda", strcmp(device, "cpu") == 0 ? "" : device, offers,
                 warm);
}

static void finish_whole(const cJSON *answer, double ms_per_image)
{
    double lo = number_at(answer, "lo"), hi = number_at(answer, "hi");
    say_f(QUEUE_FINISH, "", "{'token':'%s','upto':%.0f,'ms':%.0f,'images':9}", text_at(answer, "token"), hi,
          (hi - lo) * ms_per_image);
}

static void shares_follow_weights(void **state)
{
    (void)state;
    static const char *const users[] = {"ada", "bob", "cyd"};
    static const double weights[] = {3, 2, 1};
    double images[3] = {0}, all = 0;
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "aaaaaa000%d", i);
        submit(id, users[i], 1000000, "");
        say_f(QUEUE_SHARE, "", "{'user':'%s','weight':%g,'by':'root'}", users[i], weights[i]);
    }
    for (int i = 0; i < 600; i++) {
        cJSON *answer = claim("a", "phase=images");
        for (int u = 0; u < 3; u++)
            if (strcmp(text_at(answer, "user"), users[u]) == 0)
                images[u] += number_at(answer, "hi") - number_at(answer, "lo");
        finish_whole(answer, 10);
    }
    for (int i = 0; i < 3; i++)
        all += images[i];
    for (int i = 0; i < 3; i++) {
        printf("%s with weight %g: %.4f of the images\n", users[i], weights[i], images[i] / all);
        assert_true(images[i] / all > weights[i] / 6 - 0.02 && images[i] / all < weights[i] / 6 + 0.02);
    }
    say(QUEUE_SHARE, "{}", "users.#=3; users.0.runnable=true");
}

static void time_counts_and_not_images(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1000000, "'pace':'sample digits [0]'");
    submit("aaaaaa0002", "bob", 1000000, "'pace':'sample digits [0,64]'");
    double ms[2] = {0};
    for (int i = 0; i < 200; i++) { /* bob's images take twenty times as long */
        cJSON *answer = claim("a", "phase=images");
        int bob = strcmp(text_at(answer, "user"), "bob") == 0;
        ms[bob] += (number_at(answer, "hi") - number_at(answer, "lo")) * (bob ? 200 : 10);
        finish_whole(answer, bob ? 200 : 10);
    }
    assert_true(ms[0] / ms[1] > 0.95 && ms[0] / ms[1] < 1.05);
}

static void who_comes_back_has_no_credit(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1000000, "");
    for (int i = 0; i < 50; i++)
        finish_whole(claim("a", "user=ada"), 10);
    submit("aaaaaa0002", "bob", 1000000, ""); /* ada worked 50 s alone; bob gets half from now on, not all */
    int bob = 0;
    for (int i = 0; i < 40; i++) {
        cJSON *answer = claim("a", "phase=images");
        bob += strcmp(text_at(answer, "user"), "bob") == 0;
        finish_whole(answer, 10);
    }
    assert_in_range(bob, 19, 22);
}

static void many_claims_at_once_are_charged_at_once(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1000000, "");
    submit("aaaaaa0002", "bob", 1000000, "");
    int bob = 0;
    char worker[8];
    for (int i = 0; i < 16; i++) { /* sixteen workers claim before any has finished */
        snprintf(worker, sizeof worker, "w%d", i);
        bob += strcmp(text_at(claim(worker, "phase=images"), "user"), "bob") == 0;
    }
    assert_int_equal(bob, 8);
}

static void priority_orders_own_jobs_alone(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    submit("aaaaaa0002", "ada", 8, "'priority':5");
    submit("aaaaaa0003", "ada", 8, "'priority':5");
    submit("bbbbbb0001", "bob", 8, "'priority':-100");
    claim("a", "job=aaaaaa0002");
    claim("b", "job=bbbbbb0001"); /* bob's turn, whatever ada's priority */
    claim("c", "job=aaaaaa0003");
    claim("d", "job=aaaaaa0001");
}

static void only_what_the_worker_can_do(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'needs':['model:digits','reference:faces']");
    submit("aaaaaa0002", "ada", 8, "'device':'cuda'");
    submit("aaaaaa0003", "ada", 8, "'spec':{'device':'GPU-77'}");
    submit("aaaaaa0004", "ada", 8, "'device':'cpu'");
    submit("aaaaaa0005", "ada", 8, "'device':'any'");
    claim_offering("a", "cpu", "", "", "status=empty");
    claim_offering("a", "cpu", "'model:digit'", "", "status=empty");
    claim_offering("a", "cpu", "'model:digits'", "", "job=aaaaaa0004");
    claim_offering("b", "cpu", "'model:digits'", "", "job=aaaaaa0005");
    claim_offering("c", "cpu", "'model:digits'", "", "status=empty");
    claim_offering("d", "GPU-77", "'model:digits'", "", "job=aaaaaa0002");
    claim_offering("e", "GPU-78", "'model:digits'", "", "status=empty");
    claim_offering("f", "GPU-77", "'model:digits'", "", "job=aaaaaa0003");
    claim_offering("g", "cpu", "'model:digits','reference:faces','inception'", "", "job=aaaaaa0001");
}

static void jobs_that_nobody_can_run_hide_none(void **state)
{
    (void)state;
    char id[16];
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "aaaaaa0%03d", i);
        submit(id, "ada", 8, "'needs':['model:lost']");
    }
    submit("bbbbbb0001", "ada", 8, "");
    claim("a", "job=bbbbbb0001");
}

static void warm_models_go_first_within_a_slack(void **state)
{
    (void)state;
    const char *both = "'model:digits','model:faces'";
    submit("aaaaaa0001", "ada", 1000000, "");
    submit("bbbbbb0001", "bob", 1000000, "'model':'faces','needs':['model:faces']");
    int switches = 0, ada = 0;
    const char *warm = "'digits'";
    for (int i = 0; i < 300; i++) { /* one worker that holds one model, ranges of 1 s, slack 60 s */
        cJSON *answer = claim_offering("a", "cpu", both, warm, "phase=images");
        bool is_ada = strcmp(text_at(answer, "user"), "ada") == 0;
        const char *needs = is_ada ? "'digits'" : "'faces'";
        switches += strcmp(needs, warm) != 0;
        warm = needs;
        ada += is_ada;
        finish_whole(answer, 10);
    }
    assert_in_range(switches, 2, 8); /* and not 300 */
    assert_in_range(ada, 110, 190);  /* and still nearly fair */
}

static void tail_is_shared_out(void **state)
{
    (void)state;
    say(QUEUE_HEARTBEAT,
        "{'host':'h','boot':'b','pid':1,'workers':[{'name':'a'},{'name':'b'},{'name':'c'},{'name':'d'}],'models':{}}",
        "");
    submit("aaaaaa0001", "ada", 808, "");
    finish_whole(claim("a", "hi=8"), 1); /* 1 ms an image: a range would be 1000 */
    claim("a", "lo=8; hi=133");          /* 800 left, four workers: an eighth of a range is the minimum */
    claim("b", "lo=133; hi=258");
    freeReplyObject(redis_do(redis, "ZINCRBY {ddq}:hosts -100000 h"));
    say(QUEUE_REAP, "{}", ""); /* the host is gone, its workers do not count */
    claim("c", "lo=258; hi=808");
}

static void a_user_without_a_host_cannot_save_up(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100, "'needs':['model:rare']");
    submit("bbbbbb0001", "bob", 10000000, "");
    for (int i = 0; i < 50; i++) /* bob works for 50 * 100 s meanwhile */
        finish_whole(claim("a", "user=bob"), 100000.0 / 8);
    submit("cccccc0001", "cyd", 10000000, "");
    cJSON *answer = say(QUEUE_SHARE, "{'user':'cyd'}", "users.#=1");
    assert_true(number_at(answer, "users.0.ahead_ms") >= 0); /* cyd starts where bob is, not where ada waits */
    claim_offering("b", "cpu", "'model:rare'", "", "user=ada");
    answer = say(QUEUE_SHARE, "{'user':'ada'}", "");
    redisReply *own = redis_do(redis, "ZSCORE {ddq}:turns ada"), *floor = redis_do(redis, "GET {ddq}:floor");
    assert_true(atof(floor->str) - atof(own->str) <= 600000);
    freeReplyObject(own);
    freeReplyObject(floor);
}

/* --- random calls ------------------------------------------------------------------------------------- */

static unsigned seed;
static int random_below(int n)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (unsigned)n);
}

static void random_end(const char *worker)
{
    cJSON *answer = claim(worker, "status~");
    if (strcmp(text_at(answer, "status"), "empty") == 0)
        return;
    char *token = xstrdup(text_at(answer, "token"));
    int lo = (int)number_at(answer, "lo"), hi = (int)number_at(answer, "hi"), upto = lo + random_below(hi - lo + 1);
    static const char *const fails[] = {"retry", "retry", "hold", "fail"};
    switch (random_below(8)) {
    case 0:
        say_f(QUEUE_RENEW, "", "{'leases':[{'token':'%s','upto':%d}]}", token, upto);
        break;
    case 1:
        say_f(QUEUE_GIVEBACK, "status~", "{'token':'%s','upto':%d}", token, upto);
        break;
    case 2:
        say_f(QUEUE_FAIL, "status~", "{'token':'%s','upto':%d,'policy':'%s','crash':%s,'text':'boom'}", token, upto,
              fails[random_below(countof(fails))], random_below(2) ? "true" : "false");
        break;
    case 3:
        break; /* stops sending heartbeats */
    default:
        say_f(QUEUE_FINISH, "status~", "{'token':'%s','upto':%d,'ms':%d,'images':11}", token, hi, 10 * (hi - lo));
    }
    free(token);
}

static void random_person(int jobs)
{
    static const QueueFn verbs[] = {QUEUE_HOLD, QUEUE_RELEASE, QUEUE_RELEASE, QUEUE_RELEASE, QUEUE_PRIO};
    QueueFn fn = random_below(6) == 0 ? QUEUE_CANCEL : verbs[random_below(countof(verbs))];
    say_f(fn, "status~", "{'id':'j0b%05d','user':'root','priority':%d}", random_below(jobs), random_below(10));
}

static void random_calls_keep_the_invariants(void **state)
{
    (void)state;
    static const char *const users[] = {"ada", "bob", "cyd"};
    seed = 7;
    int jobs = 0;
    char text[512], parent[16];
    static const char *const more[] = {"",
                                       ",'tier':'interactive'",
                                       ",'tier':'scavenger'",
                                       ",'max_gpus':1",
                                       ",'after_failed':'run'",
                                       ",'after_failed':'hold','group':'g'",
                                       ",'group':'g'"};
    say(QUEUE_SETTINGS, "{'aging_ms':1,'by':'root'}", "");
    say(QUEUE_HEARTBEAT,
        "{'host':'h','boot':'b','pid':1,'models':{},'workers':[{'name':'w0'},{'name':'w1'},{'name':'w2'}]}", "");
    for (int step = 0; step < 2000; step++) {
        int what = random_below(100);
        if (jobs < 40 && (jobs == 0 || what < 4)) {
            int after = jobs && random_below(3) == 0 ? random_below(jobs) : -1, images = random_below(4) * 7;
            snprintf(parent, sizeof parent, after < 0 ? "" : "'j0b%05d'", after);
            snprintf(text, sizeof text,
                     "{'id':'j0b%05d','user':'%s','kind':'%s','images':%d,'spec':{},'new':true,'after':[%s]%s}", jobs,
                     users[random_below(3)], images ? "sample" : "evaluate", images, parent,
                     more[random_below(countof(more))]);
            if (strcmp(text_at(say(QUEUE_SUBMIT, text, "status~"), "status"), "ok") == 0)
                jobs++;
        } else if (what < 10) {
            random_person(jobs);
        } else if (what < 16) {
            time_passes();
            say(QUEUE_REAP, "{}", "");
        } else {
            snprintf(text, sizeof text, "w%d", random_below(5));
            random_end(text);
        }
    }
    assert_true(jobs >= 35);
    for (int round = 0; round < 200; round++) { /* without further faults all jobs end */
        for (int i = 0; i < jobs; i++)
            say_f(QUEUE_RELEASE, "status~", "{'id':'j0b%05d','user':'root'}", i);
        time_passes();
        say(QUEUE_REAP, "{}", "");
        cJSON *answer;
        while (strcmp(text_at(answer = claim("w", "status~"), "status"), "ok") == 0)
            finish_whole(answer, 10);
        if (number_at(say(QUEUE_LIST, "{'active':true}", ""), "jobs.#") == 0)
            break;
    }
    cJSON *list = say(QUEUE_LIST, "{'limit':1000}", "");
    int ends[3] = {0};
    for (int i = 0; i < (int)number_at(list, "jobs.#"); i++) {
        snprintf(text, sizeof text, "jobs.%d.state", i);
        const char *end = text_at(list, text);
        ends[0] += strcmp(end, "done") == 0, ends[1] += strcmp(end, "failed") == 0,
            ends[2] += strcmp(end, "cancelled") == 0;
    }
    printf("%d jobs: %d done, %d failed, %d cancelled\n", jobs, ends[0], ends[1], ends[2]);
    assert_int_equal(ends[0] + ends[1] + ends[2], jobs);
    assert_true(ends[0] > 5 && ends[1] > 0 && ends[2] > 0);
    redisReply *left = redis_do(redis, "EVAL %s 0",
                                "local n = 0 for _, key in ipairs({'leases', 'users:0', 'users:1', 'users:2', 'slots', "
                                "'active', 'later', 'aging', 'timed'}) do "
                                "n = n + redis.call('EXISTS', '{ddq}:' .. key) end return n + #redis.call('KEYS', "
                                "'{ddq}:queue:*') + #redis.call('KEYS', '{ddq}:lease:*')");
    assert_int_equal(left->integer, 0); /* nothing is left behind */
    freeReplyObject(left);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(shares_follow_weights),
        T(time_counts_and_not_images),
        T(who_comes_back_has_no_credit),
        T(many_claims_at_once_are_charged_at_once),
        T(priority_orders_own_jobs_alone),
        T(only_what_the_worker_can_do),
        T(jobs_that_nobody_can_run_hide_none),
        T(warm_models_go_first_within_a_slack),
        T(tail_is_shared_out),
        T(a_user_without_a_host_cannot_save_up),
        T(random_calls_keep_the_invariants),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
