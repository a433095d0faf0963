/* What daemons call: claim, renew, finish, giveback, fail, reap; fencing, losses, the report. */
#include "tests/queue/transcript.h"

#define RENEW(worker, upto)                                                                                            \
    say(QUEUE_RENEW, "{'lease_ms':60000,'leases':[{'token':'$" worker "','upto':" #upto "}]}", "leases~ok")
#define FINISH(worker, upto, expected) say(QUEUE_FINISH, "{'token':'$" worker "','upto':" #upto ",'ms':100}", expected)
#define RETRY(worker, upto, expected)                                                                                  \
    say(QUEUE_FAIL, "{'token':'$" worker "','upto':" #upto ",'crash':true,'policy':'retry','text':'boom'}", expected)

/* Claims everything that can be claimed for one worker and finishes it, up to the end of the job. */
static int work_through(const char *worker, const char *job)
{
    int claims = 0;
    for (;; claims++) {
        cJSON *answer = claim(worker, "status~");
        if (strcmp(text_at(answer, "status"), "empty") == 0)
            return claims;
        assert_string_equal(text_at(answer, "job"), job);
        double hi = number_at(answer, "hi"), lo = number_at(answer, "lo");
        say_f(QUEUE_FINISH, "", "{'token':'%s','upto':%.0f,'ms':%.0f}", text_at(answer, "token"), hi, 100 * (hi - lo));
        assert_true(claims < 1000);
    }
}

static void from_the_first_image_to_the_report(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 20, "");
    cJSON *answer = claim("a", "job=aaaaaa0001; user=ada; kind=sample; phase=images; lo=0; hi=8; n=20; "
                               "folder=ada/aaaaaa0001; again=false; spec.seed=1");
    assert_true(strlen(text_at(answer, "token")) > 0);
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=running; job.reason=; job.output=/out/ada/aaaaaa0001");
    claim("b", "lo=8; hi=16");
    FINISH("a", 8, "job=aaaaaa0001; state=running"); /* 12.5 ms an image: ranges of 80 from now on */
    claim("a", "lo=16; hi=20");
    claim("c", "status=empty"); /* no report while images are under way */
    FINISH("a", 20, "state=running");
    claim("a", "status=empty");
    FINISH("b", 16, "state=queued");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=20; job.state=queued");
    claim("a", "phase=report; lo=20; hi=21");
    claim("b", "status=empty");
    say(QUEUE_FINISH,
        "{'token':'$a','upto':21,'ms':7,'fid':12.25,'metrics':{'fid':12.25,'kid':-0.0625,'tf_fid':3,'No':1,'x':'y','l':"
        "[1]}}",
        "state=done");
    cJSON *job = say(QUEUE_SHOW, "{'id':'aaaa'}",
                     "job.state=done; job.done=20; job.fid=12.25; job.metrics.kid=-0.0625; job.metrics.tf_fid=3; "
                     "job.metrics.No=(absent); job.metrics.x=(absent); job.metrics.l=(absent); job.errors=0; "
                     "job.reason=; leases=[]");
    assert_true(number_at(job, "job.created") <= number_at(job, "job.started"));
    assert_true(number_at(job, "job.started") <= number_at(job, "job.finished"));
    /* events between ranges are not published */
    say(QUEUE_EVENTS, "{}",
        "events.#=3; events.0.event=submit; events.1.event=claim; events.1.to=running;"
        " events.2.event=complete; events.2.from=running; events.2.to=done");
    say(QUEUE_LIST, "{'active':true}", "jobs=[]");
}

static void a_survey_says_how_many_images_there_are(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 0, "");
    claim("a", "phase=survey; lo=0; hi=1; n=0; kind=evaluate");
    claim("b", "status=empty");                                            /* nothing to measure before the survey */
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':1}]}", "leases~ok"); /* a survey is complete or absent */
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=running; job.done=0; job.images=0; leases.0.phase=survey");
    say(QUEUE_FINISH, "{'token':'$a','upto':1,'ms':5,'images':1000000001}", "status=usage; text~images");
    say(QUEUE_FINISH, "{'token':'$a','upto':1,'ms':5,'images':20}", "state=queued");
    say(QUEUE_FINISH, "{'token':'$a','upto':1,'ms':5,'images':30}", "status=already");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=queued; job.done=0; job.images=20; job.n=20");
    say(QUEUE_LIST, "{}", "jobs.0.images=20; jobs.0.n=20");
    claim("a", "phase=images; lo=0; hi=8; n=20");
    claim("b", "phase=images; lo=8; hi=16; n=20");
    FINISH("b", 16, "state=running");
    FINISH("a", 8, "state=queued");
    claim("a", "phase=images; lo=16; hi=20");
    FINISH("a", 20, "state=queued");
    claim("a", "phase=report; lo=20; hi=21; n=20");
    FINISH("a", 21, "state=done");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=done; job.done=20; job.images=20");
}

static void a_survey_that_ends_early_is_made_again(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 0, "");
    claim("a", "phase=survey");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':0}", "state=queued");
    claim("a", "phase=survey; lo=0; hi=1");
    FINISH("a", 1, "state=queued"); /* without a count it was none */
    claim("a", "phase=survey; lo=0; hi=1");
    time_passes();
    say(QUEUE_REAP, "{}", "reaped=1");
    claim("b", "phase=survey; lo=0; hi=1");
    say(QUEUE_HOLD, "{'id':'aaaa','user':'ada'}", "state=held");
    say(QUEUE_FINISH, "{'token':'$b','upto':1,'ms':5,'images':4}", "state=held");
    claim("a", "status=empty");
    say(QUEUE_RELEASE, "{'id':'aaaa','user':'ada'}", "state=queued");
    claim("a", "phase=images; lo=0; hi=4; n=4");
}

static void a_survey_that_always_fails(void **state)
{
    (void)state;
    submit("aaaaaa0002", "ada", 0, "");
    for (int i = 0; i < 3; i++) {
        claim("b", "job=aaaaaa0002; phase=survey");
        RETRY("b", 0, i < 2 ? "state=queued; again=true" : "state=failed; again=false");
        time_passes();
    }
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.state=failed; job.reason~its survey failed repeatedly");
}

static void ranges_follow_the_measured_speed(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100000, "");
    claim("a", "lo=0; hi=8");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':80}", "");
    claim("a", "lo=8; hi=108"); /* 10 ms an image, ranges of 1000 ms */
    say(QUEUE_FINISH, "{'token':'$a','upto':108,'ms':2000}", "");
    claim("a", "lo=108; hi=184"); /* 0.7 * 10 + 0.3 * 20 = 13 ms */
    submit("aaaaaa0002", "ada", 100000, "'priority':9,'pace':'sample digits [0,64]'");
    claim("b", "job=aaaaaa0002; lo=0; hi=8"); /* another sampler, another speed */
    say(QUEUE_CLAIM, "{'host':'h2','worker':'a','device':'cpu','chunk_ms':1000,'offers':['model:digits']}",
        "job=aaaaaa0002; lo=8; hi=16");
}

/* A submit of an older client brings no pace: its jobs share one, whatever their spec. */
static void a_submit_without_a_pace_has_a_coarse_one(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100000, "'spec':{'t_list':[0]}");
    claim("a", "lo=0; hi=8");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':80}", "");
    submit("aaaaaa0002", "ada", 100000, "'priority':9,'spec':{'t_list':[0,64]}");
    claim("b", "job=aaaaaa0002; lo=0; hi=100");
    submit("aaaaaa0003", "ada", 100000, "'priority':10,'pace':'sample digits [0]'");
    claim("c", "job=aaaaaa0003; lo=0; hi=8");
}

static void progress_counts_at_once_and_once(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 100, "");
    claim("a", "lo=0; hi=8");
    RENEW("a", 3);
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=3; leases.0.upto=3");
    RENEW("a", 3);
    RENEW("a", 1); /* an older message that comes late */
    RENEW("a", 99);
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=8; leases.0.upto=8");
    FINISH("a", 8, "state=queued");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=8");
}

static void unfinished_rest_goes_back(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 24, "");
    claim("a", "lo=0; hi=8");
    claim("b", "lo=8; hi=16");
    claim("c", "lo=16; hi=24");
    say(QUEUE_GIVEBACK, "{'token':'$b','upto':10}", "state=running");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':0}", "state=running");
    say(QUEUE_GIVEBACK, "{'token':'$c','upto':16}", "state=queued");
    redisReply *ranges = redis_do(redis, "ZRANGE {ddq}:job:aaaaaa0001:ranges 0 -1"); /* neighbours are merged again */
    assert_int_equal(ranges->elements, 2);
    assert_string_equal(ranges->element[0]->str, "0-8");
    assert_string_equal(ranges->element[1]->str, "10-24");
    freeReplyObject(ranges);
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=2; job.errors=0");
    claim("a", "lo=0; hi=8");
    FINISH("a", 5, "state=queued");
    assert_int_equal(work_through("a", "aaaaaa0001"), 3); /* 5-8, 10-24, the report */
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=done; job.done=24");
}

static void tokens_fence(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "lo=0; hi=8");
    FINISH("a", 4, "state=queued");
    FINISH("a", 8, "status=already");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':8}", "status=already");
    RETRY("a", 8, "status=already");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=4; job.errors=0");
    claim("a", "lo=4; hi=8");
    time_passes();
    say(QUEUE_REAP, "{}", "reaped=1; next_ms=-1");
    FINISH("a", 8, "status=stale; text~expired");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':8},{'token':'17','upto':1}]}", "leases~lost; leases.17=lost");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=4; job.state=queued; job.errors=1");
    claim("b", "lo=4; hi=8");
    RENEW("b", 6);
    FINISH("a", 8, "status=stale"); /* the stalled worker reports while b works */
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=6; leases.#=1; leases.0.worker=b");
}

static void tokens_only_grow(void **state)
{
    (void)state;
    double last = 0;
    submit("aaaaaa0001", "ada", 64, "");
    for (int i = 0; i < 5; i++) {
        double token = atof(text_at(claim("a", "lo=0"), "token"));
        assert_true(token > last);
        last = token;
        say(QUEUE_GIVEBACK, "{'token':'$a','upto':0}", "");
        freeReplyObject(redis_do(redis, "DEL {ddq}:token")); /* a Redis that lost its last second */
        usleep(2000);
    }
}

static void expired_lease_that_nobody_took_lives_on(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "lo=0; hi=8");
    time_passes();
    RENEW("a", 5);
    say(QUEUE_REAP, "{}", "reaped=0");
    FINISH("a", 8, "state=queued");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.done=8; job.errors=0");
}

static void reaped_progress_is_kept(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "lo=0; hi=8");
    RENEW("a", 5);
    time_passes();
    say(QUEUE_REAP, "{}", "reaped=1");
    say(QUEUE_SHOW, "{'id':'aaaa'}",
        "job.state=queued; job.done=5; job.errors=1; job.error~worker a of host h stopped sending heartbeats");
    claim("b", "lo=5; hi=8");
}

static void reap_says_when_to_come_again(void **state)
{
    (void)state;
    say(QUEUE_REAP, "{}", "reaped=0; next_ms=-1");
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "lo=0");
    assert_in_range((int)number_at(say(QUEUE_REAP, "{}", "reaped=0"), "next_ms"), 50000, 60000);
}

static void lost_answer_of_a_claim(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 64, "");
    cJSON *first = claim("a", "lo=0; hi=8; again=false");
    char *token = xstrdup(text_at(first, "token"));
    claim("b", "lo=8; hi=16; again=false");
    cJSON *second = claim("a", "lo=0; hi=8; again=true");
    assert_string_equal(text_at(second, "token"), token);
    RENEW("a", 3);
    claim("a", "lo=3; hi=8; again=true");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "leases.#=2; job.done=3");
    FINISH("a", 8, "state=running");
    claim("a", "lo=16; again=false");
    free(token);
}

static void a_bad_image_is_found_and_put_aside(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    int crashes = 0, images = 0;
    for (;;) { /* image 5 crashes every worker that makes it */
        cJSON *answer = claim("a", "status~");
        if (strcmp(text_at(answer, "status"), "empty") == 0) {
            redisReply *later = redis_do(redis, "ZCARD {ddq}:later");
            bool waits = later->integer > 0;
            freeReplyObject(later);
            if (!waits)
                break;
            time_passes();
            continue;
        }
        int lo = (int)number_at(answer, "lo"), hi = (int)number_at(answer, "hi");
        assert_string_equal(text_at(answer, "phase"), "images");
        if (lo <= 5 && 5 < hi) {
            RETRY("a", 0, "status=ok");
            crashes++;
        } else {
            say_f(QUEUE_FINISH, "", "{'token':'%s','upto':%d,'ms':10}", text_at(answer, "token"), hi);
            images += hi - lo;
        }
        assert_true(crashes < 20);
    }
    assert_int_equal(images, 7);
    assert_int_equal(crashes, 3 + 1 + 1 + 3); /* 8 three times, 4 and 2 once, 1 three times */
    say(QUEUE_SHOW, "{'id':'aaaa'}",
        "job.state=done; job.done=7; job.bad=1; job.missing=[5]; job.reason~image 5 could not be made: boom; "
        "job.reason~the other 7 exist, without a report; job.errors=8");
}

static void a_job_of_bad_images_fails(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1, "");
    for (int i = 0; i < 3; i++) {
        claim("a", "lo=0; hi=1");
        say_f(QUEUE_FAIL, i < 2 ? "again=true; state=queued" : "again=false; state=failed",
              "{'token':'%s','upto':0,'policy':'retry','crash':true,'text':'boom'}",
              text_at(claim("a", "again=true"), "token"));
        time_passes();
    }
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=failed; job.reason=image 0 could not be made: boom");
}

static void a_lost_range_waits_longer_each_time(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1, "");
    claim("a", "lo=0");
    RETRY("a", 0, "again=true; state=queued");
    claim("a", "lo=0"); /* the first time at once: most losses are the worker's fault */
    RETRY("a", 0, "again=true; state=queued");
    claim("a", "status=empty");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=queued");
    redisReply *later = redis_do(redis, "ZRANGE {ddq}:later 0 -1 WITHSCORES"), *time = redis_do(redis, "TIME");
    double wait = atof(later->element[1]->str) - atof(time->element[0]->str) * 1000;
    assert_true(wait > 0 && wait < 3000);
    freeReplyObject(later);
    freeReplyObject(time);
    time_passes();
    claim("a", "lo=0");
    say(QUEUE_CANCEL, "{'id':'aaaa','user':'ada'}", "");
    RETRY("a", 0, "again=false; state=cancelled");
    time_passes();
    claim("a", "status=empty");
}

static void progress_clears_blame(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    for (int upto = 1; upto < 8; upto++) { /* a worker that crashes after every image still finishes */
        cJSON *answer = claim("a", "phase=images");
        assert_int_equal((int)number_at(answer, "lo"), upto - 1);
        say_f(QUEUE_FAIL, "again=true", "{'token':'%s','upto':%d,'policy':'retry','crash':true,'text':'boom'}",
              text_at(answer, "token"), upto);
    }
    assert_int_equal(work_through("a", "aaaaaa0001"), 2);
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=done; job.bad=0; job.errors=7");
}

/* A job of one image, which is made. */
static void to_the_report(const char *id)
{
    submit(id, "ada", 1, "");
    claim("a", "phase=images");
    FINISH("a", 1, "state=queued");
}

static void silence_blames_less_than_failure(void **state)
{
    (void)state;
    to_the_report("aaaaaa0001");
    for (int i = 0; i < 5; i++) {
        claim("a", "phase=report");
        time_passes();
        say(QUEUE_REAP, "{}", "reaped=1");
        time_passes();
    }
    claim("a", "phase=report"); /* five hosts were lost: the sixth may do it */
    FINISH("a", 2, "state=done");
}

static void a_report_that_always_fails(void **state)
{
    (void)state;
    to_the_report("aaaaaa0001");
    for (int i = 0; i < 3; i++) {
        claim("a", "phase=report");
        RETRY("a", 1, i < 2 ? "state=queued; again=true" : "state=failed; again=false");
        time_passes();
    }
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=failed; job.reason~last error: boom");
}

static void policies(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 64, "");
    claim("a", "lo=0");
    claim("b", "lo=8");
    say(QUEUE_FAIL, "{'token':'$a','upto':2,'kind':'disk_full','policy':'hold','text':'no space left on /out'}",
        "state=held; again=true");
    say(QUEUE_SHOW, "{'id':'aaaa'}", "job.state=held; job.reason=no space left on /out; job.done=2");
    say(QUEUE_RENEW, "{'leases':[{'token':'$b','upto':9}]}", "leases~yield");
    say(QUEUE_FAIL, "{'token':'$b','upto':9,'kind':'disk_full','policy':'hold','text':'no space left on /out'}",
        "state=held");
    say(QUEUE_RELEASE, "{'id':'aaaa','user':'ada'}", "state=queued");
    claim("a", "lo=2; hi=8");
    claim("b", "lo=9; hi=17");
    say(QUEUE_FAIL, "{'token':'$a','upto':2,'kind':'format','policy':'fail','text':'student.pt is torn'}",
        "state=failed; again=false");
    say(QUEUE_RENEW, "{'leases':[{'token':'$b','upto':11}]}", "leases~cancel");
    say(QUEUE_GIVEBACK, "{'token':'$b','upto':11}", "state=failed");
    say(QUEUE_SHOW, "{'id':'aaaa'}",
        "job.state=failed; job.reason=student.pt is torn; job.error=student.pt is torn; job.done=5; job.errors=3");
    claim("a", "status=empty");
}

static void report_in_flight_when_held(void **state)
{
    (void)state;
    to_the_report("aaaaaa0001");
    claim("a", "phase=report");
    say(QUEUE_HOLD, "{'id':'aaaa','user':'ada'}", "state=held");
    FINISH("a", 2, "state=done");
}

static void sentences_are_one_line_of_whole_characters(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "lo=0");
    char text[4001];
    for (int i = 0; i + 1 < 4000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2); /* é: the cut at an odd place must not split one */
    text[0] = 'x', text[1] = '\t', text[3999] = 0, text[4000] = 0;
    text[3998] = 0;
    say_f(QUEUE_FAIL, "state=failed", "{'token':'$a','upto':0,'policy':'fail','text':'y%s'}", text);
    const char *reason = text_at(say(QUEUE_SHOW, "{'id':'aaaa'}", ""), "job.reason");
    size_t len = strlen(reason);
    assert_true(len > 1900 && len <= 2003);
    assert_string_equal(reason + len - 5, "\xc3\xa9...");
    assert_null(strpbrk(reason, "\t\n"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(from_the_first_image_to_the_report),
        T(a_survey_says_how_many_images_there_are),
        T(a_survey_that_ends_early_is_made_again),
        T(a_survey_that_always_fails),
        T(ranges_follow_the_measured_speed),
        T(a_submit_without_a_pace_has_a_coarse_one),
        T(progress_counts_at_once_and_once),
        T(unfinished_rest_goes_back),
        T(tokens_fence),
        T(tokens_only_grow),
        T(expired_lease_that_nobody_took_lives_on),
        T(reaped_progress_is_kept),
        T(reap_says_when_to_come_again),
        T(lost_answer_of_a_claim),
        T(a_bad_image_is_found_and_put_aside),
        T(a_job_of_bad_images_fails),
        T(a_lost_range_waits_longer_each_time),
        T(progress_clears_blame),
        T(silence_blames_less_than_failure),
        T(a_report_that_always_fails),
        T(policies),
        T(report_in_flight_when_held),
        T(sentences_are_one_line_of_whole_characters),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
