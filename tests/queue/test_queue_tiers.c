/* When a job may run and who goes first: tiers and waiting, preemption, windows, quotas, memory; what the same spec
 * means. */
#include "tests/queue/transcript.h"

#include "core/clock.h"

static void redis_say(const char *line)
{
    freeReplyObject(redis_do(redis, line));
}

/* The result of Lua inside Redis. */
static int redis_count(const char *lua)
{
    redisReply *reply = redis_do(redis, "EVAL %s 0", lua);
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    int value = (int)reply->integer;
    freeReplyObject(reply);
    return value;
}

/* A host with so many CPU workers, cpu0..; state and memory as in its heartbeat. */
static void heartbeat(const char *host, int workers, const char *state, const char *memory)
{
    char list[2048] = "";
    for (int i = 0; i < workers; i++)
        sprintf(list + strlen(list), "%s{'name':'cpu%d','device':'cpu','uuid':'','state':'%s'%s}", i ? "," : "", i,
                state, memory);
    say_f(QUEUE_HEARTBEAT, "",
          "{'host':'%s','boot':'b-%s','pid':1,'models':{'digits':{}},'workers':[%s],'ttl_ms':60000}", host, host, list);
}

static cJSON *claim_on(const char *host, const char *worker, const char *more, const char *expected)
{
    return say_f(QUEUE_CLAIM, expected,
                 "{'host':'%s','worker':'%s','pid':7,'device':'cpu','root':'/out','lease_ms':60000,'chunk_ms':1000,"
                 "'offers':['model:digits','model:faces'],'warm':[]%s}",
                 host, worker, more);
}

static void finish_whole(const cJSON *answer, double ms_per_image)
{
    double lo = number_at(answer, "lo"), hi = number_at(answer, "hi");
    say_f(QUEUE_FINISH, "", "{'token':'%s','upto':%.0f,'ms':%.0f}", text_at(answer, "token"), hi,
          (hi - lo) * ms_per_image);
}

/* --- tiers --------------------------------------------------------------------------------------------- */

static void lower_tiers_wait_for_higher_ones(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'tier':'scavenger'");
    submit("aaaaaa0002", "ada", 8, "");
    submit("bbbbbb0001", "bob", 8, "'tier':'interactive','priority':-100");
    submit("aaaaaa0003", "ada", 8, "'tier':'normal','priority':3");
    claim("a", "job=bbbbbb0001");
    claim("b", "job=aaaaaa0003");
    claim("c", "job=aaaaaa0002");
    claim("d", "job=aaaaaa0001");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.tier=scavenger");
    say(QUEUE_SUBMIT, "{'id':'aaaaaa0009','user':'ada','kind':'sample','images':4,'spec':{},'tier':'fast'}",
        "status=usage; text~interactive, normal, scavenger");
}

static void waiting_gains_a_tier(void **state)
{
    (void)state;
    say(QUEUE_SETTINGS, "{'aging_ms':1800000,'by':'root'}", "aging_ms=1800000");
    submit("aaaaaa0001", "ada", 1000, "'tier':'scavenger'");
    submit("bbbbbb0001", "bob", 100000, "");
    for (int i = 0; i < 10; i++)
        finish_whole(claim("a", "job=bbbbbb0001"), 10);
    redis_say("ZINCRBY {ddq}:aging -1799000 aaaaaa0001"); /* half an hour less a second */
    finish_whole(claim("a", "job=bbbbbb0001"), 10);
    redis_say("ZINCRBY {ddq}:aging -1000 aaaaaa0001");
    finish_whole(claim("a", "job=aaaaaa0001"), 1e5); /* now it is normal, and its user has had less */
    finish_whole(claim("a", "job=bbbbbb0001"), 10);  /* the rank gained by waiting is used up */
    for (int i = 0; i < 2; i++) {
        redis_say("ZINCRBY {ddq}:aging -1800000 aaaaaa0001");
        say(QUEUE_REAP, "{}", "");
    }
    finish_whole(claim("a", "job=aaaaaa0001"), 10); /* interactive by now, though its user has had more than bob */
    say(QUEUE_SETTINGS, "{'aging_ms':0,'by':'root'}", "aging_ms=0");
    redis_say("ZINCRBY {ddq}:aging -99999999 aaaaaa0001");
    say(QUEUE_REAP, "{}", "");
    claim("a", "job=bbbbbb0001"); /* never, with a setting of 0 */
}

static void interactive_work_has_an_hourly_cap(void **state)
{
    (void)state;
    say(QUEUE_SETTINGS, "{'interactive_ms':10000,'slack_ms':1,'by':'root'}", "interactive_ms=10000");
    submit("aaaaaa0001", "ada", 100000, "'tier':'interactive'");
    submit("bbbbbb0001", "bob", 100000, "");
    int first = 0, later = 0;
    for (int i = 0; i < 30; i++) { /* 1 s each */
        cJSON *answer = claim("a", "phase=images");
        int ada = strcmp(text_at(answer, "user"), "ada") == 0;
        first += i < 10 && ada;
        later += i >= 10 && ada;
        finish_whole(answer, 10);
    }
    assert_true(first == 10);
    assert_in_range(later, 4, 10); /* it counts as normal then, and ada has had more than bob */
    say(QUEUE_SHARE, "{'user':'ada'}", "users.#=1");
    redis_say("HDEL {ddq}:urgent ada"); /* an hour later */
    claim("a", "user=ada");
}

static void settings_and_quotas_are_an_administrators(void **state)
{
    (void)state;
    say(QUEUE_SETTINGS, "{'aging_ms':5,'by':'ada'}", "status=permission; text~ada may not");
    say(QUEUE_SETTINGS, "{'aging_ms':5}", "status=usage; text~by is absent");
    say(QUEUE_QUOTA, "{'user':'ada','workers':5,'by':'ada'}", "status=permission");
    say(QUEUE_SHARE, "{'user':'ada','weight':5,'by':'ada'}", "status=permission");
    say(QUEUE_SETTINGS, "{'admins':['ada'],'by':'root'}", "admins=[\"ada\"]; aging_ms=1800000; half_life_ms=86400000");
    say(QUEUE_SHARE, "{'user':'bob','weight':5,'by':'ada'}", "users.0.weight=5");
    say(QUEUE_SETTINGS, "{'aging_ms':-1,'by':'root'}", "status=usage; text~aging_ms");
}

/* --- preemption ----------------------------------------------------------------------------------------- */

static void an_interactive_job_makes_one_worker_yield(void **state)
{
    (void)state;
    heartbeat("n1", 3, "busy", "");
    submit("aaaaaa0001", "ada", 100000, "");
    submit("aaaaaa0002", "ada", 100000, "'tier':'scavenger','needs':['model:faces']");
    claim_on("n1", "cpu0", "", "job=aaaaaa0001");
    claim_on("n1", "cpu1", "", "job=aaaaaa0001");
    submit("bbbbbb0001", "bob", 1, "'tier':'interactive'"); /* cpu2 has reported nothing yet, and is not idle */
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2},{'token':'$cpu1','upto':9}]}", "leases~yield");
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2}]}", "leases~ok");     /* the latest lease */
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu1','upto':10}]}", "leases~yield"); /* as often as it asks */
    say(QUEUE_WHY, "{'id':'bbbbbb0001'}", "state=queued; text~n1:cpu1 yields");
    submit("cccccc0001", "cyd", 1, "'tier':'interactive'"); /* and another one for another job */
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2}]}", "leases~yield");
    say(QUEUE_GIVEBACK, "{'token':'$cpu1','upto':11}", "");
    claim_on("n1", "cpu1", "", "job=bbbbbb0001; lo=0");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}",
        "job.done=5"); /* what it had made counts, 2 of one lease and 3 of the other */
    say(QUEUE_GIVEBACK, "{'token':'$cpu0','upto':2}", "");
    claim_on("n1", "cpu0", "", "job=cccccc0001");
    claim_on("n1", "cpu2", "", "job=aaaaaa0001; lo=2"); /* nothing is made twice */
}

static void the_lowest_tier_yields(void **state)
{
    (void)state;
    heartbeat("n1", 3, "busy", "");
    submit("aaaaaa0001", "ada", 100000, "'tier':'scavenger'");
    claim_on("n1", "cpu0", "", "job=aaaaaa0001");
    submit("aaaaaa0002", "ada", 100000, "");
    claim_on("n1", "cpu1", "", "job=aaaaaa0002");
    submit("aaaaaa0003", "ada", 0, "'tier':'scavenger','priority':9"); /* a survey: it has no batches */
    claim_on("n1", "cpu2", "", "job=aaaaaa0002");
    submit("bbbbbb0001", "bob", 8, "'tier':'interactive'");
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu1','upto':2},{'token':'$cpu2','upto':10}]}", "leases~ok");
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2}]}", "leases~yield");
}

static void nobody_yields_where_a_worker_is_idle(void **state)
{
    (void)state;
    heartbeat("n1", 2, "idle", "");
    submit("aaaaaa0001", "ada", 100000, "");
    claim_on("n1", "cpu0", "", "job=aaaaaa0001");
    submit("bbbbbb0001", "bob", 8, "'tier':'interactive'");
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2}]}", "leases~ok");
    redis_say("HSET {ddq}:job:bbbbbb0001 created 1000"); /* but it did not come */
    say(QUEUE_REAP, "{}", "");
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2}]}", "leases~yield");
}

static void jobs_that_aged_make_nobody_yield(void **state)
{
    (void)state;
    heartbeat("n1", 1, "busy", "");
    submit("aaaaaa0001", "ada", 100000, "");
    claim_on("n1", "cpu0", "", "job=aaaaaa0001");
    submit("bbbbbb0001", "bob", 8, "");
    redis_say("ZINCRBY {ddq}:aging -1800000 bbbbbb0001");
    say(QUEUE_REAP, "{}", "");
    say(QUEUE_WHY, "{'id':'bbbbbb0001'}", "text~moved up to interactive");
    say(QUEUE_RENEW, "{'leases':[{'token':'$cpu0','upto':2}]}", "leases~ok");
}

/* --- when and where --------------------------------------------------------------------------------------- */

static void at_is_waited_for(void **state)
{
    (void)state;
    double soon = (double)wall_ms() + 3600000;
    char rest[64];
    snprintf(rest, sizeof rest, "'at':%.0f", soon);
    submit("aaaaaa0001", "ada", 8, rest);
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.state=queued; job.reason~may run from 20; job.reason~Z");
    claim("a", "status=empty");
    heartbeat("n1", 1, "idle", "");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "code=closed; text~in 60 min");
    redis_say("HSET {ddq}:job:aaaaaa0001 at 1000");
    redis_say("ZADD {ddq}:timed 1000 aaaaaa0001");
    claim("a", "job=aaaaaa0001");
}

/* "HH:MM-HH:MM", from so many minutes from now for so many more. */
static const char *window_from(int from, int length)
{
    static char text[32];
    int now = (int)(wall_ms() / 60000 % 1440), start = (now + from + 2880) % 1440, end = (start + length) % 1440;
    snprintf(text, sizeof text, "'window':'%02d:%02d-%02d:%02d'", start / 60, start % 60, end / 60, end % 60);
    return text;
}

static void windows_open_and_close(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 800, window_from(120, 60));
    claim("a", "status=empty");
    submit("aaaaaa0002", "ada", 800, window_from(-60, 120));
    claim("a", "job=aaaaaa0002");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':1}]}", "leases~ok");
    char text[128]; /* its window closes while it runs, and before the next claim sees it */
    snprintf(text, sizeof text, "HSET {ddq}:job:aaaaaa0002 window %.11s", window_from(120, 60) + 10);
    redisReply *reply = redis_do(redis, text);
    freeReplyObject(reply);
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':2}]}", "leases~yield");
    claim("b", "status=empty");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':3}", "state=queued");
    claim("b", "status=empty");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.done=3; job.state=queued");
    static const char *const wrong[] = {"24:00-07:00", "07:00-07:00", "7-8", "01:60-02:00", "01:00-02:00+15:00"};
    for (size_t i = 0; i < countof(wrong); i++)
        say_f(QUEUE_SUBMIT, "status=usage; text~window",
              "{'id':'aaaaaa0009','user':'ada','kind':'sample','images':4,'spec':{},'window':'%s'}", wrong[i]);
}

/* Many jobs of a lane close at once: they hide the others for one claim at most. */
static void closed_windows_hide_none(void **state)
{
    (void)state;
    char id[16], text[96];
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "aaaaaa00%02d", i);
        submit(id, "ada", 8, window_from(-60, 120));
        snprintf(text, sizeof text, "HSET {ddq}:job:%s at %.0f", id, (double)wall_ms() + 3600000);
        redis_say(text); /* now it is closed, without a call of the queue */
    }
    submit("bbbbbb0001", "ada", 8, "");
    claim("a", "job=bbbbbb0001");
}

/* A window in another zone is the same hours elsewhere. */
static void windows_have_a_zone(void **state)
{
    (void)state;
    int now = (int)(wall_ms() / 60000 % 1440);
    static const struct {
        const char *zone;
        int offset;
    } zones[] = {{"", 0}, {"Z", 0}, {"+02:00", 120}, {" -05:30", -330}};
    for (size_t i = 0; i < countof(zones); i++) {
        char id[16], rest[64];
        int from = (now + zones[i].offset + 2880 - 30) % 1440, to = (from + 60) % 1440;
        snprintf(id, sizeof id, "aaaaaa000%zu", i);
        snprintf(rest, sizeof rest, "'window':'%02d:%02d-%02d:%02d%s'", from / 60, from % 60, to / 60, to % 60,
                 zones[i].zone);
        submit(id, "ada", 8, rest);
        char expected[32], worker[4];
        snprintf(expected, sizeof expected, "job=%s", id);
        snprintf(worker, sizeof worker, "w%zu", i);
        claim(worker, expected);
    }
}

static void max_gpus_bounds_a_job(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100000, "'max_gpus':2");
    claim("a", "job=aaaaaa0001");
    claim("b", "job=aaaaaa0001");
    claim("c", "status=empty");
    submit("aaaaaa0002", "ada", 8, "");
    claim("c", "job=aaaaaa0002");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':80}", "state=running");
    claim("a", "job=aaaaaa0001");
    claim("d", "status=empty");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.max_gpus=2; job.workers=2");
}

/* --- memory ----------------------------------------------------------------------------------------------- */

static void jobs_that_need_more_than_a_worker_has_are_skipped(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100000, "");
    submit("bbbbbb0001", "bob", 100000, "'model':'faces','needs':['model:faces']");
    claim_on("n1", "cpu0", ",'free_mib':16000", "job=aaaaaa0001");
    say(QUEUE_FINISH, "{'token':'$cpu0','upto':8,'ms':80,'peak_mib':8678}", "");
    heartbeat("n1", 1, "busy", ",'free_mib':4000,'memory_mib':16000");
    heartbeat("n2", 1, "busy", ",'free_mib':5722,'memory_mib':16000");
    claim_on("n1", "cpu0", ",'free_mib':4000", "job=bbbbbb0001");
    claim_on("n2", "cpu0", ",'free_mib':5722", "job=bbbbbb0001"); /* bob's again, though it is ada's turn */
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}",
        "code=memory; text~needs 9.1 GB, most free: 6.0 GB on n2:cpu0; need_mib=8678; best_free_mib=5722; "
        "best_free_on=n2:cpu0; workers_fit=0; workers_all=2");
    heartbeat("n3", 1, "idle", ",'free_mib':9000");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "text~which 1 of 3 workers have free; workers_fit=1");
    claim_on("n3", "cpu0", ",'free_mib':9000", "job=aaaaaa0001");
    say(QUEUE_GIVEBACK, "{'token':'$cpu0','upto':8}", "");
    submit("aaaaaa0002", "ada", 8, "'priority':9,'load':'sample digits - 1 -'"); /* another batch is another load */
    claim_on("n4", "cpu0", ",'free_mib':10", "job=aaaaaa0002");
}

/* --- quotas ----------------------------------------------------------------------------------------------- */

static void quota_of_queued_images_refuses(void **state)
{
    (void)state;
    say(QUEUE_QUOTA, "{'user':'ada','queued':100,'by':'root'}", "users.#=1; users.0.quota.queued=100");
    submit("aaaaaa0001", "ada", 60, "");
    say(QUEUE_SUBMIT, "{'id':'aaaaaa0002','user':'ada','kind':'sample','images':41,'spec':{}}",
        "status=refused; text~41 images; text~60 queued; text~quota is 100");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "status=not_found");
    submit("bbbbbb0001", "bob", 1000, "");
    claim("a", "job=aaaaaa0001; hi=8");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':1}]}", "");
    submit("aaaaaa0002", "ada", 41, ""); /* one is made, so there is room */
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':4}", "");
    say(QUEUE_SHARE, "{'user':'ada'}", "users.0.queued=41; users.0.workers=0");
    say(QUEUE_QUOTA, "{'user':'*','queued':10,'by':'root'}", "everybody.queued=10");
    say(QUEUE_SUBMIT, "{'id':'cccccc0002','user':'cyd','kind':'sample','images':11,'spec':{}}", "status=refused");
    say(QUEUE_QUOTA, "{'user':'*','queued':-1,'by':'root'}", "everybody={}");
    submit("cccccc0002", "cyd", 11, "");
}

static void quota_of_workers_makes_wait(void **state)
{
    (void)state;
    say(QUEUE_QUOTA, "{'user':'ada','workers':2,'by':'root'}", "");
    submit("aaaaaa0001", "ada", 100000, "");
    submit("aaaaaa0002", "ada", 100000, "");
    submit("bbbbbb0001", "bob", 100000, "");
    int ada = 0;
    char name[8];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "w%d", i);
        ada += strcmp(text_at(claim(name, "phase=images"), "user"), "ada") == 0;
    }
    assert_int_equal(ada, 2);
    heartbeat("n1", 1, "idle", "");
    say(QUEUE_WHY, "{'id':'aaaaaa0002'}", "code=workers; text~your quota allows 2 workers at a time, and you use 2");
    say(QUEUE_SHARE, "{'user':'ada'}", "users.0.workers=2; users.0.quota.workers=2");
}

static void quota_of_a_day_makes_wait(void **state)
{
    (void)state;
    say(QUEUE_QUOTA, "{'user':'ada','day':20,'by':'root'}", "");
    submit("aaaaaa0001", "ada", 100, "");
    submit("aaaaaa0002", "ada", 0, "'priority':-1");
    finish_whole(claim("a", "lo=0; hi=8"), 1);
    claim("a", "lo=8; hi=20");                  /* not more than the day has left */
    claim("b", "job=aaaaaa0002; phase=survey"); /* jobs that make no images continue */
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':18}", "");
    finish_whole(claim("a", "lo=18; hi=20"), 1);
    claim("a", "status=empty");
    heartbeat("n1", 1, "idle", "");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "code=day; text~20 images per day, and 20 are made; text~T00:00Z, in ");
    say(QUEUE_QUOTA, "{'user':'ada','day':21,'by':'root'}", "");
    claim("a", "lo=20; hi=21");
}

/* --- fair share ------------------------------------------------------------------------------------------- */

static void being_ahead_is_forgotten_by_half_lives(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1000000, "");
    submit("bbbbbb0001", "bob", 1000000, "'needs':['model:faces']");
    claim("a", "job=aaaaaa0001");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':3600000}", ""); /* an hour later than measured */
    say(QUEUE_REAP, "{}", "");
    cJSON *before = say(QUEUE_SHARE, "{'user':'ada'}", "");
    assert_float_equal(number_at(before, "users.0.ahead_ms"), 3600000, 1);
    assert_float_equal(number_at(before, "users.0.used_ms"), 3600000, 1000);
    redisReply *since = redis_do(redis, "GET {ddq}:decayed");
    redisReply *set = redis_do(redis, "SET {ddq}:decayed %.0f", atof(since->str) - 86400000);
    freeReplyObject(since);
    freeReplyObject(set);
    say(QUEUE_REAP, "{}", "");
    assert_float_equal(number_at(say(QUEUE_SHARE, "{'user':'ada'}", ""), "users.0.ahead_ms"), 1800000, 1000);
    say(QUEUE_SETTINGS, "{'half_life_ms':3600000,'by':'root'}", "");
    since = redis_do(redis, "GET {ddq}:decayed");
    set = redis_do(redis, "SET {ddq}:decayed %.0f", atof(since->str) - 2 * 3600000);
    freeReplyObject(since);
    freeReplyObject(set);
    say(QUEUE_REAP, "{}", "");
    assert_float_equal(number_at(say(QUEUE_SHARE, "{'user':'ada'}", ""), "users.0.ahead_ms"), 450000, 1000);
}

/* Two users, each with jobs of both models in turn, one worker that holds one model: the load is paid by as few
 * switches as there can be. */
static void alternating_models_load_each_once(void **state)
{
    (void)state;
    static const char *const users[] = {"ada", "bob"};
    char id[16], rest[96];
    for (int i = 0; i < 20; i++)
        for (int u = 0; u < 2; u++) {
            snprintf(id, sizeof id, "%sj00%04d", users[u], i);
            const char *model = (i + u) % 2 ? "faces" : "digits";
            snprintf(rest, sizeof rest, "'model':'%s','needs':['model:%s']", model, model);
            for (char *c = id; *c; c++)
                *c = *c == 'o' ? 'x' : *c;
            submit(id, users[u], 8, rest);
        }
    char warm[32] = "";
    int loads = 0, done = 0;
    for (int i = 0; i < 200 && done < 40; i++) {
        cJSON *answer = say_f(QUEUE_CLAIM, "",
                              "{'host':'h','worker':'w','device':'cpu','root':'/out','lease_ms':60000,'chunk_ms':1000,"
                              "'offers':['model:digits','model:faces'],'warm':[%s]}",
                              warm);
        char *job = xstrdup(text_at(answer, "job"));
        redisReply *model = redis_do(redis, "HGET {ddq}:job:%s model", job);
        char now[32];
        snprintf(now, sizeof now, "'%s'", model->str);
        loads += strcmp(now, warm) != 0;
        strcpy(warm, now);
        finish_whole(answer, 10);
        redisReply *end = redis_do(redis, "HGET {ddq}:job:%s state", job);
        done += strcmp(end->str, "done") == 0;
        freeReplyObject(model);
        freeReplyObject(end);
        free(job);
    }
    printf("%d loads for 40 jobs of 2 models\n", loads);
    assert_int_equal(done, 40);
    assert_in_range(loads, 2, 3);
}

/* Another job of the user goes first by at most a minute of work. */
static void warm_jobs_pass_others_for_a_while_only(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'model':'faces','needs':['model:faces']");
    submit("aaaaaa0002", "ada", 1000000, "");
    submit("aaaaaa0003", "ada", 8, "'model':'faces','needs':['model:faces'],'priority':5");
    const char *warm = ",'warm':['digits']";
    claim_on("h", "w", warm, "job=aaaaaa0003"); /* a priority is never passed over */
    say(QUEUE_FINISH, "{'token':'$w','upto':8,'ms':80}", "");
    finish_whole(claim_on("h", "w", warm, "job=aaaaaa0003; phase=report"), 80);
    int passes = 0;
    for (;; passes++) {
        cJSON *answer = claim_on("h", "w", warm, "");
        if (strcmp(text_at(answer, "job"), "aaaaaa0002") != 0)
            break;
        finish_whole(answer, 100);
        assert_true(passes < 200);
    }
    printf("passed %d times by ranges of a second\n", passes);
    assert_in_range(passes, 50, 75);
}

/* --- the same again --------------------------------------------------------------------------------------- */

#define SAME(id, fields) "{'id':'" id "','user':'ada','kind':'sample','images':4,'spec':{'seed':1}" fields "}"

static void the_same_spec_is_the_same_job(void **state)
{
    (void)state;
    say(QUEUE_SUBMIT, SAME("aaaaaa0001", ""), "id=aaaaaa0001; duplicate=false");
    say(QUEUE_SUBMIT, SAME("aaaaaa0002", ""), "id=aaaaaa0001; duplicate=true; folder=ada/aaaaaa0001");
    say(QUEUE_SUBMIT, SAME("aaaaaa0003", ",'new':true"), "id=aaaaaa0003; duplicate=false");
    say(QUEUE_SUBMIT, SAME("aaaaaa0004", ",'name':'x'"), "id=aaaaaa0004; duplicate=false");
    say(QUEUE_SUBMIT, SAME("aaaaaa0005", ",'user':'bob'"), "id=aaaaaa0005; duplicate=false");
    say(QUEUE_SUBMIT, SAME("aaaaaa0006", ",'after':['aaaaaa0001']"), "id=aaaaaa0006; duplicate=false");
    say(QUEUE_SUBMIT, "{'id':'aaaaaa0007','user':'ada','kind':'sample','images':4,'spec':{'seed':2}}",
        "id=aaaaaa0007; duplicate=false");
    say(QUEUE_LIST, "{}", "jobs.#=6");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0003','user':'ada'}", "");
    say(QUEUE_SUBMIT, SAME("aaaaaa0008", ""), "id=aaaaaa0008; duplicate=false"); /* a cancelled job is no duplicate */
    static const char ttl[] = "return redis.call('PTTL', redis.call('KEYS', '{ddq}:same:*')[1])";
    assert_in_range(redis_count(ttl), 86000000, 86400000);
}

/* A heartbeat of a host that offers the model, and tells what its files are. */
static void tell_files_of(int ms_ago, const char *host, const char *student, const char *more)
{
    say_f(
        QUEUE_HEARTBEAT, "",
        "{'host':'%s','boot':'b','pid':1,'ttl_ms':60000,'workers':[],'models':{'digits':{}},'offers':['model:digits'],"
        "'looked_ms':%d,'files':{'model:digits':{'student':'%s','tokenizer':'t'}%s}}",
        host, ms_ago, student, more);
}

static void tell_files(const char *host, const char *student, const char *more)
{
    tell_files_of(0, host, student, more);
}

#define OF_FILES(id, fields)                                                                                           \
    "{'id':'" id "','user':'ada','kind':'sample','images':4,'model':'digits','needs':['model:digits'],"                \
    "'spec':{'seed':1}" fields "}"

static void finish_all(const char *job, const char *files)
{
    claim("a", "phase=images; hi=4");
    say_f(QUEUE_FINISH, "", "{'token':'$a','upto':4,'ms':1%s}", files);
    claim("a", "phase=report; hi=5");
    cJSON *done = say_f(QUEUE_FINISH, "state=done", "{'token':'$a','upto':5,'ms':1%s}", files);
    assert_string_equal(text_at(done, "job"), job);
}

static void a_job_is_the_same_while_its_files_are(void **state)
{
    (void)state;
    tell_files("h", "s1", "");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0001", ""), "id=aaaaaa0001");
    tell_files("h", "s2", ""); /* it has not begun: it will read these */
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0002", ""), "id=aaaaaa0001; duplicate=true");
    finish_all("aaaaaa0001", "");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0002", ""), "id=aaaaaa0001; duplicate=true; state=done");
    tell_files_of(5000, "h", "s2", "");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0002", ",'looks':'ask'"), "status=look; id=aaaaaa0001");
    tell_files("h", "s3", ""); /* overwritten */
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0003", ""),
        "id=aaaaaa0003; duplicate=false; earlier=aaaaaa0001; changed.0=student");
    finish_all("aaaaaa0003", ",'files':{'student':'s4','tokenizer':'t'}"); /* and again, just before it was read */
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0004", ""),
        "id=aaaaaa0004; duplicate=false; earlier=aaaaaa0003; changed.0=student");
    finish_all("aaaaaa0004", ",'files':{'student':'s3','tokenizer':'t'}");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0005", ""), "id=aaaaaa0004; duplicate=true");
    tell_files("b", "s9", ""); /* a host that would make something else */
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0005", ""), "id=aaaaaa0005; duplicate=false; changed.0=student");
    finish_all("aaaaaa0005", ",'files':{'student':'s3'}");
    tell_files("b", "s3", ",'other':7");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0006", ""), "id=aaaaaa0005; duplicate=true");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0006", ",'since':9999999999999"), "id=aaaaaa0006; duplicate=false; changed.#=0");
}

static void files_that_nobody_tells_of_are_not_the_same(void **state)
{
    (void)state;
    say(QUEUE_HEARTBEAT, "{'host':'h','boot':'b','pid':1,'ttl_ms':60000,'workers':[],'models':{'digits':{}}}", "");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0001", ""), "id=aaaaaa0001");
    finish_all("aaaaaa0001", "");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0002", ""), "id=aaaaaa0002; duplicate=false; earlier=aaaaaa0001; changed.#=0");
    say(QUEUE_LOOK, "{}", "fresh=true"); /* no host has to answer */
    finish_all("aaaaaa0002", ",'files':{'student':'s','tokenizer':'t'}");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0003", ""), "id=aaaaaa0003; duplicate=false");
}

/* noise, labels, images: files of users, which the hosts look at when they are asked to. */
static void the_users_own_files_count_too(void **state)
{
    (void)state;
    tell_files("h", "s", ",'path:/n.npy':{'path':'n1'}");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0001", ",'inputs':{'noise':'/n.npy'}"), "id=aaaaaa0001");
    finish_all("aaaaaa0001", ",'files':{'student':'s','tokenizer':'t','noise':'n1'}");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0002", ",'inputs':{'noise':'/n.npy'}"), "id=aaaaaa0001; duplicate=true");
    tell_files("h", "s", "");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0003", ",'inputs':{'noise':'/n.npy'}"), "duplicate=false; changed.#=0");
    tell_files("h", "s", ",'path:/n.npy':{'path':'n2'}");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0004", ",'inputs':{'noise':'/n.npy'}"),
        "id=aaaaaa0003; duplicate=true"); /* not begun */
    finish_all("aaaaaa0003", ",'files':{'student':'s','tokenizer':'t','noise':'n1'}");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0004", ",'inputs':{'noise':'/n.npy'}"), "duplicate=false; changed.0=noise");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0005", ",'inputs':{'Noise':'/n.npy'}"), "status=usage");
    say(QUEUE_SUBMIT, OF_FILES("aaaaaa0005", ",'inputs':7"), "status=usage");
    say(QUEUE_LOOK, "{'paths':[7]}", "status=usage");
    say(QUEUE_LOOK, "{'since':'now'}", "status=usage");
    say(QUEUE_HEARTBEAT,
        "{'host':'h','boot':'b','pid':1,'ttl_ms':60000,'workers':[],'models':{},'offers':[],'looked_ms':5000}", "");
    say(QUEUE_LOOK, "{}", "fresh=false");
    say(QUEUE_LOOK, "{'since':7}", "since=7; fresh=true");
}

/* --- dependencies ----------------------------------------------------------------------------------------- */

static void what_a_failed_parent_means(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    submit("aaaaaa0002", "ada", 8, "");
    submit("kkkkkk0001", "ada", 8, "'after':['aaaaaa0001']");
    submit("kkkkkk0002", "ada", 8, "'after':['aaaaaa0001'],'after_failed':'run'");
    submit("kkkkkk0003", "ada", 8, "'after':['aaaaaa0001','aaaaaa0002'],'after_failed':'hold'");
    submit("kkkkkk0004", "ada", 8, "'after':['aaaaaa0001','aaaaaa0002'],'after_failed':'run'");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "");
    say(QUEUE_SHOW, "{'id':'kkkkkk0001'}", "job.state=failed; job.reason~aaaaaa0001, which is cancelled");
    say(QUEUE_SHOW, "{'id':'kkkkkk0002'}", "job.state=queued");
    say(QUEUE_SHOW, "{'id':'kkkkkk0003'}", "job.state=held; job.reason~aaaaaa0001, which is cancelled");
    say(QUEUE_SHOW, "{'id':'kkkkkk0004'}", "job.state=waiting; job.reason=waits for job aaaaaa0002");
    say(QUEUE_RELEASE, "{'id':'kkkkkk0003','user':'ada'}", "state=waiting");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0002','user':'ada'}", "");
    say(QUEUE_SHOW, "{'id':'kkkkkk0004'}", "job.state=queued");
    say(QUEUE_SHOW, "{'id':'kkkkkk0003'}", "job.state=held");
    say(QUEUE_RELEASE, "{'id':'kkkkkk0003','user':'ada'}", "state=queued");
    submit("kkkkkk0005", "ada", 8, "'after':['aaaaaa0001'],'after_failed':'run'");
    submit("kkkkkk0006", "ada", 8, "'after':['aaaaaa0001'],'after_failed':'hold'");
    say(QUEUE_SHOW, "{'id':'kkkkkk0005'}", "job.state=queued");
    say(QUEUE_SHOW, "{'id':'kkkkkk0006'}", "job.state=held; job.reason~which is cancelled");
    say(QUEUE_SUBMIT, SAME("kkkkkk0007", ",'after':['aaaaaa0001']"), "status=refused; text~never be complete");
    say(QUEUE_SUBMIT, SAME("kkkkkk0007", ",'after_failed':'shrug'"), "status=usage; text~fail, hold, run");
}

/* --- data of schema 1 --------------------------------------------------------------------------------------- */

/* Turns the data of this Redis into those of schema 1. */
static const char to_schema_1[] =
    "local P, call = '{ddq}:', redis.call\n"
    "for _, key in ipairs(call('KEYS', '*')) do\n"
    "  for _, new in ipairs({'queue:', 'lanes:', 'users:', 'owed', 'busy', 'turns', 'aging', 'made', 'rows'}) do\n"
    "    if key:find(P .. new, 1, true) then call('DEL', key) end\n"
    "  end\n"
    "end\n"
    "call('HSET', P .. 'meta', 'schema', 1)\n"
    "for i, id in ipairs(call('ZRANGE', P .. 'jobs', 0, -1)) do\n"
    "  local job = P .. 'job:' .. id\n"
    "  local user, images = unpack(call('HMGET', job, 'user', 'images'))\n"
    "  call('HDEL', job, 'tier', 'rank', 'after_failed')\n"
    "  local about = ('\"id\":\"%s\",\"images\":%s,\"n\":%s,\"user\":\"%s\"'):format(id, images, images, user)\n"
    "  call('HSET', job, 'lane', 'l1', 'about', about, 'report', images == '0' and 1 or 0)\n"
    "  call('ZADD', P .. 'queue:' .. user, i, 'l1')\n"
    "  call('ZADD', P .. 'queue:' .. user .. ':l1', i, id)\n"
    "  call('ZADD', P .. 'users', 1000 * i, user)\n"
    "end\n"
    "call('HSET', P .. 'vtime', 'cyd', 77)\n"
    "local token = call('ZRANGE', P .. 'leases', 0, 0)[1]\n"
    "call('HDEL', P .. 'lease:' .. token, 'user', 'kind', 'rank')\n";

static void data_of_schema_1_goes_on(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    submit("aaaaaa0002", "ada", 8, "");
    submit("bbbbbb0001", "bob", 100, "");
    submit("bbbbbb0002", "bob", 0, "'priority':9");
    claim("a", "job=aaaaaa0001; hi=8");
    freeReplyObject(redis_do(redis, "EVAL %s 0", to_schema_1));
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':80}", "");
    claim("a", "job=aaaaaa0001; phase=report");
    claim("b", "job=aaaaaa0002");
    claim("c", "job=bbbbbb0002; phase=survey"); /* its report, before the survey */
    say(QUEUE_FINISH, "{'token':'$c','upto':1,'ms':80,'images':5}", "");
    say(QUEUE_SHOW, "{'id':'bbbbbb0002'}", "job.images=5; job.n=5; job.user=bob");
    claim("c", "job=bbbbbb0002; phase=images");
    claim("d", "job=bbbbbb0001");
    say(QUEUE_CHECK, "{}", "schema=2");
    static const char left[] =
        "return redis.call('EXISTS', '{ddq}:users', '{ddq}:vtime', '{ddq}:queue:ada', '{ddq}:queue:ada:l1')";
    assert_int_equal(redis_count(left), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(lower_tiers_wait_for_higher_ones),
        T(waiting_gains_a_tier),
        T(interactive_work_has_an_hourly_cap),
        T(settings_and_quotas_are_an_administrators),
        T(an_interactive_job_makes_one_worker_yield),
        T(the_lowest_tier_yields),
        T(nobody_yields_where_a_worker_is_idle),
        T(jobs_that_aged_make_nobody_yield),
        T(at_is_waited_for),
        T(windows_open_and_close),
        T(closed_windows_hide_none),
        T(windows_have_a_zone),
        T(max_gpus_bounds_a_job),
        T(jobs_that_need_more_than_a_worker_has_are_skipped),
        T(quota_of_queued_images_refuses),
        T(quota_of_workers_makes_wait),
        T(quota_of_a_day_makes_wait),
        T(being_ahead_is_forgotten_by_half_lives),
        T(alternating_models_load_each_once),
        T(warm_jobs_pass_others_for_a_while_only),
        T(the_same_spec_is_the_same_job),
        T(a_job_is_the_same_while_its_files_are),
        T(files_that_nobody_tells_of_are_not_the_same),
        T(the_users_own_files_count_too),
        T(what_a_failed_parent_means),
        T(data_of_schema_1_goes_on),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
