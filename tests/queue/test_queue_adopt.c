/* The queue after losses: jobs restored from their folders, drains, budgets of losses. */
#include "tests/queue/transcript.h"

#define JOB(id, images)                                                                                                \
    "'submitted':{'id':'" id "','user':'ada','kind':'sample','model':'digits','images':" #images                       \
    ",'name':'mine','priority':7,'needs':['model:digits'],'after':['gone000001']},'spec':{'kind':'sample','seed':3},"  \
    "'folder':'ada/mine'"
#define FAIL(worker, expected)                                                                                         \
    say(QUEUE_FAIL, "{'token':'$" worker "','upto':0,'kind':'memory','policy':'retry','text':'boom'}", expected)

/* --- adopt ---------------------------------------------------------------------------------------------- */

static void what_was_submitted_comes_with_every_claim(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "'priority':3,'name':'mine'");
    claim("a", "asked.id=aaaaaa0001; asked.user=ada; asked.priority=3; asked.name=mine; asked.images=8; "
               "asked.needs=[\"model:digits\"]");
}

static void a_job_comes_back_from_its_folder(void **state)
{
    (void)state;
    say(QUEUE_ADOPT, "{" JOB("aaaaaa0001", 100) ",'by':'ada','have':['0-10','10-20','50-64']}",
        "id=aaaaaa0001; state=queued; done=34; known=false");
    say(QUEUE_SHOW, "{'id':'aaaa'}",
        "job.user=ada; job.name=mine; job.folder=ada/mine; job.priority=7; job.done=34; job.images=100; "
        "job.spec.seed=3");
    say(QUEUE_ADOPT, "{" JOB("aaaaaa0001", 100) ",'by':'ada'}", "state=queued; done=34; known=true");
    claim("a", "lo=20; hi=28; asked.priority=7"); /* it can be lost once more */
    say(QUEUE_FINISH, "{'token':'$a','upto':28,'ms':80}", "");
    claim("a", "lo=28; hi=50");
    claim("b", "lo=64; hi=100");
    say(QUEUE_FINISH, "{'token':'$a','upto':50,'ms':80}", "");
    say(QUEUE_FINISH, "{'token':'$b','upto':100,'ms':80}", "");
    claim("a", "phase=report; lo=100");
    say(QUEUE_FINISH, "{'token':'$a','upto':101,'ms':8}", "state=done");
    submit("aaaaaa0002", "ada", 8, "'name':'mine'"); /* the folder is taken */
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.folder=ada/mine-aaaaaa0002");
}

static void all_images_but_no_report(void **state)
{
    (void)state;
    say(QUEUE_ADOPT, "{" JOB("aaaaaa0001", 100) ",'by':'root','have':['0-100']}", "state=queued; done=100");
    claim("a", "phase=report; lo=100; hi=101");
}

static void no_image_at_all(void **state)
{
    (void)state;
    say(QUEUE_ADOPT, "{" JOB("aaaaaa0001", 100) ",'by':'ada'}", "state=queued; done=0");
    claim("a", "lo=0; hi=8");
}

static void a_finished_job_is_done_with_its_result(void **state)
{
    (void)state;
    say(QUEUE_ADOPT, "{" JOB("aaaaaa0001", 100) ",'by':'ada','have':['0-100'],'finished':true,'fid':3.25}",
        "state=done; done=100; known=false");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=done; job.done=100; job.fid=3.25; leases=[]");
    claim("a", "status=empty");
    say(QUEUE_LIST, "{'active':true}", "jobs=[]");
    submit("aaaaaa0002", "ada", 8, "'after':['aaaaaa0001']"); /* dependents may use it */
    claim("a", "job=aaaaaa0002");
}

static void adoptions_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more, *expected;
    } rows[] = {
        {"'by':'bob'", "status=permission; text~belongs to ada, not to bob"},
        {"'by':'ada','have':['0-101']", "status=usage; text~have 1 is '0-101'"},
        {"'by':'ada','have':['10-20','15-30']", "status=usage; text~have 2 is '15-30'"},
        {"'by':'ada','have':['20-10']", "status=usage; text~have 1"},
        {"'by':'ada','have':[7]", "status=usage; text~have 1"},
        {"'by':'ada','have':['0-99'],'finished':true", "status=usage; text~only 99 of 100"},
        {"'by':'ada','folder':'bob/mine'", "status=permission; text~belongs to bob"},
        {"'by':'ada','folder':'../mine'", "status=usage; text~folder"},
        {"'by':'ada','folder':'ada/../x'", "status=usage; text~folder"},
        {"'by':'ada','submitted':'x'", "status=usage; text~submitted"},
        {"'by':'ada','submitted':{'id':'aaaaaa0001'}", "status=usage; text~user"},
        {"'by':'ada','submitted':{'id':'aaaaaa0001','user':'ada'}", "status=usage; text~kind"},
    };
    for (size_t i = 0; i < countof(rows); i++)
        say_f(QUEUE_ADOPT, rows[i].expected, "{" JOB("aaaaaa0001", 100) ",%s}", rows[i].more);
    say(QUEUE_LIST, "{}", "jobs=[]");
    submit("aaaaaa0002", "ada", 8, "'name':'mine'");
    say(QUEUE_ADOPT, "{" JOB("aaaaaa0001", 100) ",'by':'ada'}", "status=refused; text~belongs to job aaaaaa0002");
}

/* --- budgets of losses ------------------------------------------------------------------------------------ */

static void errors_end_the_job_with_their_sentence(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    for (int i = 1; i <= 5; i++) {
        claim("a", "lo=0; hi=8"); /* whole: an error splits nothing */
        FAIL("a", i < 5 ? "again=true; state=queued" : "again=false; state=failed");
        time_passes();
    }
    say(QUEUE_SHOW, "{'id':'aaaa'}",
        "job.reason=failed 5 times at the same place, last error: boom; job.bad=0; job.errors=5");
}

static void crashes_and_errors_have_a_budget_each(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    for (int i = 0; i < 4; i++) {
        claim("a", "lo=0; hi=8");
        FAIL("a", "again=true");
        time_passes();
    }
    for (int i = 0; i < 2; i++) { /* the third would split it, the fifth error would end it */
        claim("a", "lo=0; hi=8");
        say(QUEUE_FAIL, "{'token':'$a','upto':0,'policy':'retry','crash':true,'text':'bang'}", "again=true");
        time_passes();
    }
    claim("a", "lo=0; hi=8");
    say(QUEUE_FAIL, "{'token':'$a','upto':1,'policy':'retry','text':'boom'}",
        "again=true"); /* progress clears the losses */
    claim("a", "lo=1; hi=8");
    FAIL("a", "again=true");
}

static void an_error_waits_longer_each_time(void **state)
{
    (void)state;
    static const double least[] = {0, 0, 900, 2900, 6900};
    submit("aaaaaa0001", "ada", 8, "");
    for (int i = 1; i < 5; i++) {
        claim("a", "lo=0");
        FAIL("a", "again=true");
        redisReply *later = redis_do(redis, "ZRANGE {ddq}:later 0 -1 WITHSCORES"), *time = redis_do(redis, "TIME");
        double wait = later->elements ? atof(later->element[1]->str) - atof(time->element[0]->str) * 1000 : 0;
        assert_true(wait >= least[i] && wait <= least[i] + 1200);
        freeReplyObject(later);
        freeReplyObject(time);
        time_passes();
    }
}

static void nobody_builds_on_a_job_that_lacks_images(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 2, "");
    submit("aaaaaa0002", "ada", 0, "'after':['aaaaaa0001']");
    claim("a", "lo=0; hi=2");
    say(QUEUE_FINISH, "{'token':'$a','upto':1,'ms':1}", "");
    for (int i = 0; i < 3; i++) {
        claim("a", "lo=1; hi=2");
        say(QUEUE_FAIL, "{'token':'$a','upto':0,'policy':'retry','crash':true,'text':'bang'}", "");
        time_passes();
    }
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.state=done; job.bad=1; job.missing=[1]");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}",
        "job.state=failed; job.reason=it waited for job aaaaaa0001, which is done, but lacks 1 image");
    say(QUEUE_SUBMIT, "{'id':'aaaaaa0003','user':'ada','kind':'evaluate','spec':{},'after':['aaaaaa0001']}",
        "status=refused; text~lacks 1 image");
}

/* --- drains ----------------------------------------------------------------------------------------------- */

#define HEARTBEAT(expected)                                                                                            \
    say(QUEUE_HEARTBEAT, "{'host':'h','boot':'b','workers':[{'name':'a'},{'name':'b'}],'models':{},'references':[]}",  \
        expected)

static void a_drained_host_takes_nothing(void **state)
{
    (void)state;
    HEARTBEAT("drains={}");
    submit("aaaaaa0001", "ada", 64, "");
    claim("a", "lo=0");
    say(QUEUE_DRAIN, "{'host':'h','user':'bob','reason':'a new fan'}", "reason=drained by bob: a new fan");
    claim("b", "status=empty; text=drained by bob: a new fan");
    submit("aaaaaa0002", "cyd", 8, "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}",
        "job.reason~all suitable workers are drained (drained by bob: a new fan); ddq resume");
    claim("a", "lo=0; again=true"); /* it gives back its lease itself */
    HEARTBEAT("drains.*=drained by bob: a new fan");
    say(QUEUE_HOSTS, "{}", "hosts.0.drains.*=drained by bob: a new fan");
    say(QUEUE_RESUME, "{'host':'h','worker':'a','user':'bob'}", "status=refused; text~ddq resume h");
    say(QUEUE_RESUME, "{'host':'h','user':'bob'}", "changed=true");
    say(QUEUE_RESUME, "{'host':'h','user':'bob'}", "changed=false");
    HEARTBEAT("drains={}");
    claim("b", "job=aaaaaa0002");
}

static void a_drained_worker_leaves_the_others_alone(void **state)
{
    (void)state;
    HEARTBEAT("");
    submit("aaaaaa0001", "ada", 64, "");
    say(QUEUE_DRAIN, "{'host':'h','worker':'a','user':'bob'}", "worker=a; reason=drained by bob");
    claim("a", "status=empty; text=drained by bob");
    claim("b", "lo=0");
    HEARTBEAT("drains.a=drained by bob");
    say(QUEUE_DRAIN, "{'host':'h','worker':'c','user':'bob'}", "status=not_found; text~its workers: a, b");
    say(QUEUE_DRAIN, "{'host':'i','user':'bob'}", "status=not_found; text~known hosts: h");
    freeReplyObject(redis_do(redis, "DEL {ddq}:host:h")); /* it was offline for a day, and only its drain is kept */
    say(QUEUE_RESUME, "{'host':'h','worker':'a','user':'bob'}", "changed=true");
    say(QUEUE_RESUME, "{'host':'h','worker':'a','user':'bob'}", "status=not_found");
    HEARTBEAT("");
    say(QUEUE_DRAIN, "{'host':'h','worker':'a','user':'bob'}", "");
    say(QUEUE_RESUME, "{'host':'h','user':'bob'}", "changed=true"); /* resuming the host resumes its workers */
    claim("a", "lo=8");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(what_was_submitted_comes_with_every_claim),
        T(a_job_comes_back_from_its_folder),
        T(all_images_but_no_report),
        T(no_image_at_all),
        T(a_finished_job_is_done_with_its_result),
        T(adoptions_that_are_refused),
        T(errors_end_the_job_with_their_sentence),
        T(crashes_and_errors_have_a_budget_each),
        T(an_error_waits_longer_each_time),
        T(nobody_builds_on_a_job_that_lacks_images),
        T(a_drained_host_takes_nothing),
        T(a_drained_worker_leaves_the_others_alone),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
