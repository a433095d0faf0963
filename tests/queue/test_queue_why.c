/* Why a job is in its state: one sentence with numbers, for every state. And sweeps, as one group. */
#include "tests/queue/transcript.h"

/* A host with workers cuda0.. of one kind of GPU. */
static void heartbeat(const char *host, int workers, const char *more)
{
    char list[2048] = "";
    for (int i = 0; i < workers; i++)
        sprintf(list + strlen(list), "%s{'name':'cuda:%d','device':'cuda','uuid':'GPU-%s-%d','state':'busy'}",
                i ? "," : "", i, host, i);
    say_f(QUEUE_HEARTBEAT, "",
          "{'host':'%s','boot':'b','pid':1,'models':{'digits':{}},'workers':[%s]%s,'ttl_ms':60000}", host, list, more);
}

static cJSON *claim_gpu(int worker, const char *expected)
{
    return say_f(QUEUE_CLAIM, expected,
                 "{'host':'n1','worker':'cuda:%d','pid':7,'device':'cuda','uuid':'GPU-n1-%d','root':'/out',"
                 "'lease_ms':60000,'chunk_ms':60000,'offers':['model:digits'],'warm':[]}",
                 worker, worker);
}

static void finish_at(const cJSON *answer, double ms_per_image)
{
    double lo = number_at(answer, "lo"), hi = number_at(answer, "hi");
    say_f(QUEUE_FINISH, "", "{'token':'%s','upto':%.0f,'ms':%.0f}", text_at(answer, "token"), hi,
          (hi - lo) * ms_per_image);
}

static void numbers_add_up(void **state)
{
    (void)state;
    heartbeat("n1", 1, "");
    submit("aaaaaa0001", "ada", 1208, "");
    submit("aaaaaa0002", "ada", 600, "");
    submit("aaaaaa0003", "ada", 600, "");
    finish_at(claim_gpu(0, "hi=8"), 100);
    cJSON *lease = claim_gpu(0, "job=aaaaaa0001; lo=8; hi=608");
    char *token = xstrdup(text_at(lease, "token"));
    say_f(QUEUE_RENEW, "leases~ok", "{'leases':[{'token':'%s','upto':308,'rate':10}]}", token);
    /* 300 images at 10 a second are left of the lease; 600 of the first job wait, and 600 of the second */
    cJSON *why = say(QUEUE_WHY, "{'id':'aaaaaa0003'}",
                     "state=queued; text~2 jobs before yours; text~next free GPU in about 30 s; before=2; "
                     "users_before=0; next_free_ms=30000; workers_fit=1; workers_all=1; ahead_ms=0");
    assert_float_equal(number_at(why, "eta_ms"), 30000 + 90000 + 60000, 1000);
    assert_float_equal(number_at(why, "left_ms"), 30000 + 90000 + 60000 + 60000, 1000);
    assert_non_null(strstr(text_at(why, "text"), "starts in about 3 min"));
    submit("bbbbbb0001", "bob", 6000, "");
    why = say(QUEUE_WHY, "{'id':'aaaaaa0003'}", "text~you are 60 GPU-seconds ahead of the next user; next_user=bob");
    assert_float_equal(number_at(why, "ahead_ms"), 60000, 1000);
    say(QUEUE_SHOW, "{'id':'aaaaaa0003'}", "job.reason~2 jobs before yours; you are"); /* and ddq_show has the same */
    submit("cccccc0001", "cyd", 600, "'tier':'interactive'");
    say(QUEUE_WHY, "{'id':'bbbbbb0001'}", "before=1; text~1 job before yours");
    say(QUEUE_WHY, "{'id':'cccccc0001'}", "before=0; text~next in turn; text~n1:cuda:0 yields");
    free(token);
}

/* A user whose interactive hour is used up is among the normal ones, and the text states it. */
static void interactive_work_that_counts_as_normal(void **state)
{
    (void)state;
    heartbeat("n1", 1, "");
    say(QUEUE_SETTINGS, "{'interactive_ms':1000,'by':'root'}", "");
    submit("aaaaaa0001", "ada", 1000, "'tier':'interactive'");
    finish_at(claim_gpu(0, "hi=8"), 1000);
    submit("bbbbbb0001", "bob", 1000, "");
    submit("cccccc0001", "cyd", 1000, "'tier':'interactive'");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}",
        "text~1 job before yours; text~8 GPU-seconds ahead of the next user; text~you used 8 s of "
        "interactive time this hour; before=1; next_user=bob");
    say(QUEUE_WHY, "{'id':'bbbbbb0001'}", "before=1"); /* cyd's, not ada's */
}

static void nobody_can(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'device':'GPU-77'");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "text~no daemon is alive; workers_all=0; workers_fit=0");
    heartbeat("n1", 0, "");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "text~no worker is available");
    heartbeat("n1", 2, ",'drain':true");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "text~no worker is available");
    heartbeat("n1", 2, "");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "code=device; text~needs device GPU-77");
    submit("aaaaaa0002", "ada", 8, "'needs':['model:faces']");
    say(QUEUE_WHY, "{'id':'aaaaaa0002'}", "code=offer; text~has model faces; text~add [model faces]");
}

static void every_state_has_a_sentence(void **state)
{
    (void)state;
    heartbeat("n1", 4, "");
    submit("aaaaaa0001", "ada", 100008, "");
    submit("kkkkkk0001", "ada", 8, "'after':['aaaaaa0001']");
    finish_at(claim_gpu(0, "hi=8"), 1000);
    cJSON *lease = claim_gpu(0, "");
    char *token = xstrdup(text_at(lease, "token"));
    claim_gpu(1, "");
    say_f(QUEUE_RENEW, "leases~ok", "{'leases':[{'token':'%s','upto':8,'rate':100}]}", token);
    cJSON *why =
        say(QUEUE_WHY, "{'id':'aaaaaa0001'}",
            "state=running; text~runs on 2 of 4 workers, 8 of 100008 images done, about 17 min left; workers=2");
    assert_float_equal(number_at(why, "left_ms"), 1000000, 1000);
    say(QUEUE_WHY, "{'id':'kkkkkk0001'}",
        "state=waiting; text~waits for job aaaaaa0001, which is running, 0% done, about 17 min left");
    say(QUEUE_HOLD, "{'id':'aaaaaa0001','user':'ada','reason':'disk is full'}", "");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}",
        "state=held; text~held: disk is full; text~ddq release aaaaaa0001 continues it");
    say(QUEUE_WHY, "{'id':'kkkkkk0001'}", "text=waits for job aaaaaa0001, which is held");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "");
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "state=cancelled; text=cancelled 0 s ago: cancelled by ada");
    say(QUEUE_WHY, "{'id':'zzzz'}", "status=not_found");
    free(token);
}

static void a_lost_range_waits_a_little(void **state)
{
    (void)state;
    heartbeat("n1", 1, "");
    submit("aaaaaa0001", "ada", 8, "");
    for (int i = 0; i < 2; i++)
        say_f(QUEUE_FAIL, "state=queued", "{'token':'%s','upto':0,'policy':'retry','text':'boom'}",
              text_at(claim_gpu(0, ""), "token"));
    say(QUEUE_WHY, "{'id':'aaaaaa0001'}", "text~boom; lost ranges are retried within seconds");
}

/* --- sweeps ----------------------------------------------------------------------------------------------- */

static void a_sweep_is_one(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'group':'splits','point':{'split_t':80}");
    submit("aaaaaa0002", "ada", 8, "'group':'splits','point':{'split_t':130,'t_list':[]}");
    submit("aaaaaa0003", "ada", 8, "'group':'splits','point':{'split_t':180}");
    submit("aaaaaa0004", "ada", 8, "'group':'seeds'");
    submit("bbbbbb0001", "bob", 8, "'group':'splits'"); /* names are per user */
    say(QUEUE_GROUP, "{'group':'splits','user':'ada'}",
        "group=splits; user=ada; jobs=3; states.queued=3; ended=false; images=24; done=0; points.#=3; "
        "points.0.id=aaaaaa0001; points.0.point.split_t=80; points.1.point.t_list=[]");
    say(QUEUE_GROUPS, "{}", "groups.#=3; groups.0.user=bob; groups.1.group=seeds; groups.2.jobs=3");
    say(QUEUE_GROUPS, "{'user':'ada','limit':1}", "groups.#=1; groups.0.group=seeds; groups.0.states={\"queued\":1}");
    claim("a", "job=aaaaaa0001");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':4,'rate':2}]}", "");
    say(QUEUE_GROUP, "{'group':'ada/splits','user':'bob'}",
        "states.running=1; states.queued=2; done=4; rate=2; left_ms=10000; points.0.state=running");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':80}", "");
    claim("a", "job=bbbbbb0001");
    claim("b", "job=aaaaaa0001; phase=report");
    say(QUEUE_FINISH, "{'token':'$b','upto':9,'ms':80,'fid':12.5,'metrics':{'fid':12.5,'kid':0.25}}", "state=done");
    say(QUEUE_GROUP, "{'group':'splits','user':'ada'}",
        "points.0.fid=12.5; points.0.metrics.kid=0.25; points.0.state=done; states.done=1");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.group=splits; job.point.split_t=130");
    say(QUEUE_GROUP_CANCEL, "{'group':'ada/splits','user':'bob'}", "status=permission; text~belongs to ada");
    say(QUEUE_GROUP_CANCEL, "{'group':'splits','user':'ada'}", "cancelled=2; ended=true; states.cancelled=2; jobs=3");
    say(QUEUE_GROUP_CANCEL, "{'group':'splits','user':'ada'}", "cancelled=0");
    say(QUEUE_SHOW, "{'id':'aaaaaa0003'}", "job.reason=cancelled by ada, with its group splits");
    say(QUEUE_GROUP, "{'group':'split','user':'ada'}", "status=not_found; text~group split of ada");
    say(QUEUE_SUBMIT, "{'id':'aaaaaa0009','user':'ada','kind':'sample','images':1,'spec':{},'group':'x','point':[1]}",
        "status=usage; text~point");
}

static void forgotten_jobs_leave_their_group(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'group':'splits'");
    submit("aaaaaa0002", "ada", 8, "'group':'splits'");
    say(QUEUE_GROUP_CANCEL, "{'group':'splits','user':'ada'}", "cancelled=2");
    freeReplyObject(redis_do(redis, "HSET {ddq}:job:aaaaaa0001 finished 1000"));
    say(QUEUE_REAP, "{}", "");
    say(QUEUE_GROUP, "{'group':'splits','user':'ada'}", "jobs=1; points.#=1; points.0.id=aaaaaa0002");
    freeReplyObject(redis_do(redis, "HSET {ddq}:job:aaaaaa0002 finished 1000"));
    say(QUEUE_REAP, "{}", "");
    say(QUEUE_GROUPS, "{}", "groups=[]");
    redisReply *keys = redis_do(redis, "KEYS {ddq}:group*");
    assert_int_equal(keys->elements, 0);
    freeReplyObject(keys);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(numbers_add_up),
        T(interactive_work_that_counts_as_normal),
        T(nobody_can),
        T(every_state_has_a_sentence),
        T(a_lost_range_waits_a_little),
        T(a_sweep_is_one),
        T(forgotten_jobs_leave_their_group),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
