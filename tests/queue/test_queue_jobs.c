/* What clients call: submit, cancel, hold, release, list, show, events, logs, hosts. */
#include "tests/queue/transcript.h"

static void submit_once_and_again(void **state)
{
    (void)state;
    submit("k3f9x2m7qa", "ada", 64, "");
    say(QUEUE_SHOW, "{'id':'k3f9x2m7qa'}",
        "job.id=k3f9x2m7qa; job.state=queued; job.user=ada; job.images=64; job.n=64; job.done=0; "
        "job.folder=ada/k3f9x2m7qa;"
        " job.output=; job.kind=sample; job.model=digits; job.device=any; job.priority=0; job.missing=[]; leases=[]");
    cJSON *again = submit("k3f9x2m7qa", "ada", 64, "");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(again, "duplicate")));
    say(QUEUE_LIST, "{}", "jobs.#=1; more=false");
    say(QUEUE_EVENTS, "{}", "events.#=1; events.0.event=submit; events.0.to=queued; events.0.user=ada");
}

static void spec_is_kept_to_the_letter(void **state)
{
    (void)state;
    /* 2^53 + 2, a list of one and an empty list: what a JSON library in between would change */
    submit("specspec00", "ada", 4,
           "'name':'x','spec':{'seed':9007199254740994,'classes':[],'save':['png'],'cfg_scale':0.1}");
    say(QUEUE_SHOW, "{'id':'specspec00'}", "job.spec.classes=[]; job.spec.save=[\"png\"]; job.spec.cfg_scale=0.1");
    redisReply *reply = redis_do(redis, "HGET {ddq}:job:specspec00 spec");
    assert_non_null(strstr(reply->str, "9007199254740994"));
    freeReplyObject(reply);
    /* and an object that redis-cli sent */
    freeReplyObject(redis_do(redis, "FCALL ddq_submit 1 {ddq} %s",
                             "{\"id\":\"specspec11\",\"user\":\"ada\",\"kind\":\"sample\",\"images\":1,"
                             "\"spec\":{\"seed\":9007199254740994,\"classes\":[],\"cfg_scale\":0.1}}"));
    reply = redis_do(redis, "HGET {ddq}:job:specspec11 spec");
    assert_non_null(strstr(reply->str, "\"seed\":9007199254740994"));
    assert_non_null(strstr(reply->str, "\"classes\":[]"));
    assert_non_null(strstr(reply->str, "\"cfg_scale\":0.1"));
    freeReplyObject(reply);
}

/* the last of two fields of one name counts */
#define JOB(fields) "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','images':4,'spec':{}," fields "}"

static void bad_arguments(void **state)
{
    (void)state;
    submit("k3f9x2m7qa", "ada", 4, "");
    static const struct {
        QueueFn fn;
        const char *args, *expected;
    } rows[] = {
        {QUEUE_SUBMIT, "{}", "status=usage; text~id is absent"},
        {QUEUE_SUBMIT, "{'id':'ilou123456'}", "status=usage; text~small letters without i, l, o, u"},
        {QUEUE_SUBMIT, "{'id':'abc','user':'ada','kind':'sample'}", "status=usage; text~at least 6"},
        {QUEUE_SUBMIT, JOB("'user':'a:b'"), "status=usage; text~user is 'a:b'"},
        {QUEUE_SUBMIT, JOB("'user':'../etc'"), "status=usage; text~user"},
        {QUEUE_SUBMIT, JOB("'user':17"), "status=usage; text~user is '17'"},
        {QUEUE_SUBMIT, JOB("'name':'..'"), "status=usage; text~name is '..'"},
        {QUEUE_SUBMIT, JOB("'name':'a/b'"), "status=usage; text~name"},
        {QUEUE_SUBMIT, JOB("'kind':'paint'"), "status=usage; text~wanted evaluate, sample, statistics"},
        {QUEUE_SUBMIT, JOB("'images':0"), "status=usage; text~images is '0'"},
        {QUEUE_SUBMIT, JOB("'images':1e12"), "status=usage; text~1000000000"},
        {QUEUE_SUBMIT, JOB("'images':1.5"), "status=usage; text~whole number"},
        {QUEUE_SUBMIT, JOB("'kind':'evaluate'"), "status=usage; text~images is '4'"},
        {QUEUE_SUBMIT, JOB("'priority':101"), "status=usage; text~priority"},
        {QUEUE_SUBMIT, JOB("'needs':'model:digits'"), "status=usage; text~needs"},
        {QUEUE_SUBMIT, JOB("'needs':['two words']"), "status=usage; text~needs 1"},
        {QUEUE_SUBMIT, JOB("'needs':{'a':1}"), "status=usage; text~needs is a list or an object"},
        {QUEUE_SUBMIT, JOB("'device':'a\\nb'"), "status=usage; text~device"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','images':4,'spec':[1,2]}",
         "status=usage; text~spec"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','images':4,'spec':'{'}",
         "status=usage; text~spec"},
        {QUEUE_SUBMIT, "{'id':'aaaaaaaaaa','user':'ada','kind':'sample','images':4}",
         "status=usage; text~spec is absent"},
        {QUEUE_SUBMIT, JOB("'after':['zzzzzz']"), "status=not_found; text~job zzzzzz not found"},
        {QUEUE_CANCEL, "{'id':'k3f9x2m7qa'}", "status=usage; text~user is absent"},
        {QUEUE_CANCEL, "{'id':'zzzz','user':'ada'}", "status=not_found; text~ddq ls"},
        {QUEUE_CANCEL, "{'id':'k3f','user':'bob'}", "status=permission; text~belongs to ada, not to bob"},
        {QUEUE_HOLD, "{'id':'k3f','user':'bob'}", "status=permission"},
        {QUEUE_RELEASE, "{'id':'k3f','user':'ada'}", "status=refused; text~queued, not held"},
        {QUEUE_PRIO, "{'id':'k3f','user':'ada','priority':-101}", "status=usage; text~-100"},
        {QUEUE_SHARE, "{'user':'ada','weight':0}", "status=usage; text~0.01"},
        {QUEUE_LIST, "{'state':'lost'}", "status=usage; text~not a state of jobs"},
        {QUEUE_LIST, "{'limit':0}", "status=usage; text~limit"},
        {QUEUE_SHOW, "{'id':'*'}", "status=usage; text~id is '*'"},
        {QUEUE_EVENTS, "{'after':'-'}", "status=usage; text~stream"},
        {QUEUE_LOGS, "{'id':'zzzz'}", "status=not_found"},
        {QUEUE_LOG, "{'job':'zzzz','lines':['x']}", "status=not_found"},
        {QUEUE_CLAIM, "{'host':'h h','worker':'a','device':'cpu'}", "status=usage; text~host"},
        {QUEUE_CLAIM, "{'host':'h','worker':'a','device':'cpu','lease_ms':1}", "status=usage; text~lease_ms"},
        {QUEUE_CLAIM, "{'host':'h','worker':'a','device':'cpu','offers':[1]}", "status=usage; text~offers 1"},
        {QUEUE_RENEW, "{'leases':[{'token':'x','upto':1}]}", "status=usage; text~token"},
        {QUEUE_RENEW, "{'leases':[3]}", "status=usage; text~leases 1"},
        {QUEUE_FINISH, "{'token':'1'}", "status=usage; text~upto is absent"},
        {QUEUE_FINISH, "{'token':'1','upto':-1}", "status=usage; text~upto"},
        {QUEUE_FAIL, "{'token':'1','upto':0,'policy':'shrug'}", "status=usage; text~fail, retry or hold"},
        {QUEUE_HEARTBEAT, "{'host':'h'}", "status=usage; text~boot"},
    };
    for (size_t i = 0; i < countof(rows); i++)
        say(rows[i].fn, rows[i].args, rows[i].expected);
    say(QUEUE_LIST, "{}", "jobs.#=1"); /* none of them wrote anything */
    say(QUEUE_EVENTS, "{}", "events.#=1");
    redisReply *reply = redis_do(redis, "FCALL ddq_list 1 {other} {}");
    assert_non_null(strstr(reply->str, "takes the key {ddq}"));
    freeReplyObject(reply);
    reply = redis_do(redis, "FCALL ddq_list 1 {ddq} [1");
    assert_non_null(strstr(reply->str, "one JSON object"));
    freeReplyObject(reply);
}

static void prefixes(void **state)
{
    (void)state;
    submit("abcdef0000", "ada", 1, "");
    submit("abcdef1111", "ada", 1, "");
    submit("abd0000000", "ada", 1, "");
    say(QUEUE_SHOW, "{'id':'ABD'}", "job.id=abd0000000");
    say(QUEUE_SHOW, "{'id':'abcdef0'}", "job.id=abcdef0000");
    say(QUEUE_SHOW, "{'id':'abc'}", "status=not_found; text~abcdef0000, abcdef1111; text~more characters");
    say(QUEUE_SHOW, "{'id':'abcdef00001'}", "status=not_found; text~not found");
}

static void names_and_folders(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 1, "'name':'trial'");
    submit("aaaaaa0002", "ada", 1, "'name':'trial'");
    submit("aaaaaa0003", "bob", 1, "'name':'trial'");
    submit("aaaaaa0004", "ada", 1, "'name':'aaaaaa0005'"); /* the folder that another job's id would have */
    submit("aaaaaa0005", "ada", 1, "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.folder=ada/trial; job.name=trial");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.folder=ada/trial-aaaaaa0002; job.name=trial");
    say(QUEUE_SHOW, "{'id':'aaaaaa0003'}", "job.folder=bob/trial");
    say(QUEUE_SHOW, "{'id':'aaaaaa0005'}", "job.folder=ada/aaaaaa0005-aaaaaa0005");
}

static void cancel_at_every_stage(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 64, "");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "state=cancelled");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "status=refused; text~cancelled already");
    claim("a", "status=empty");
    submit("aaaaaa0002", "ada", 64, "");
    claim("a", "job=aaaaaa0002; hi=8");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0002','user':'root'}", "state=cancelled");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.state=cancelled; job.reason=cancelled by root");
    claim("b", "status=empty");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':3}]}", "leases~cancel");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':4}", "state=cancelled");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.state=cancelled; job.done=4");
    claim("a", "status=empty");
    submit("aaaaaa0003", "ada", 0, "");
    do_evaluation("a", "aaaaaa0003");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0003','user':'ada'}", "status=refused; text~done already");
    say(QUEUE_HOLD, "{'id':'aaaaaa0003','user':'ada'}", "status=refused; text~done already");
}

static void hold_and_release(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 64, "");
    say(QUEUE_HOLD, "{'id':'aaaaaa0001','user':'ada','reason':'the disk is full'}", "state=held");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.state=held; job.reason=the disk is full");
    say(QUEUE_HOLD, "{'id':'aaaaaa0001','user':'ada'}", "state=held");
    claim("a", "status=empty");
    say(QUEUE_RELEASE, "{'id':'aaaaaa0001','user':'ada'}", "state=queued");
    claim("a", "lo=0; hi=8");
    say(QUEUE_HOLD, "{'id':'aaaaaa0001','user':'ada'}", "state=held");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':2}]}", "leases~yield");
    say(QUEUE_RELEASE, "{'id':'aaaaaa0001','user':'ada'}", "state=running"); /* its worker had not stopped yet */
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':2}]}", "leases~ok");
    say(QUEUE_HOLD, "{'id':'aaaaaa0001','user':'ada'}", "state=held");
    say(QUEUE_GIVEBACK, "{'token':'$a','upto':3}", "state=held");
    claim("a", "status=empty");
    say(QUEUE_RELEASE, "{'id':'aaaaaa0001','user':'ada'}", "state=queued");
    claim("a", "lo=3; hi=11");
}

static void jobs_that_wait_for_others(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 0, "");
    submit("aaaaaa0002", "ada", 0, "");
    submit("kkkkkk0001", "ada", 0, "'after':['aaaaaa0001','aaaaaa0002','aaaaaa0001']");
    submit("kkkkkk0002", "ada", 0, "'after':['aaaaaa0002']");
    submit("kkkkkk0003", "ada", 0, "'after':['kkkkkk0002']");
    say(QUEUE_SHOW, "{'id':'kkkkkk0001'}", "job.state=waiting; job.reason=waits for job aaaaaa0001, aaaaaa0002");
    say(QUEUE_HOLD, "{'id':'kkkkkk0001','user':'ada'}", "state=held");
    say(QUEUE_RELEASE, "{'id':'kkkkkk0001','user':'ada'}", "state=waiting"); /* not past the jobs it waits for */
    do_evaluation("a", "aaaaaa0001");
    say(QUEUE_SHOW, "{'id':'kkkkkk0001'}", "job.state=waiting; job.reason=waits for job aaaaaa0002");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0002','user':'ada'}", "state=cancelled");
    say(QUEUE_SHOW, "{'id':'kkkkkk0001'}", "job.state=failed; job.reason~aaaaaa0002, which is cancelled");
    say(QUEUE_SHOW, "{'id':'kkkkkk0003'}", "job.state=failed; job.reason~kkkkkk0002, which is failed");
    say(QUEUE_SUBMIT, JOB("'after':['kkkkkk0003']"), "status=refused; text~never be complete");
    submit("kkkkkk0004", "ada", 0, "'after':['aaaaaa0001']"); /* done already: nothing to wait for */
    submit("kkkkkk0005", "ada", 0, "'after':['kkkkkk0004']");
    do_evaluation("a", "kkkkkk0004");
    claim("a", "job=kkkkkk0005");
}

static void long_chain_is_updated_in_parts(void **state)
{
    (void)state;
    enum { CHAIN = 300 };
    char id[16], rest[64] = "";
    for (int i = 0; i < CHAIN; i++) {
        snprintf(id, sizeof id, "cha%05d", i);
        submit(id, "ada", 0, rest);
        snprintf(rest, sizeof rest, "'after':['%s']", id);
    }
    say(QUEUE_CANCEL, "{'id':'cha00000','user':'ada'}", "state=cancelled");
    int calls = 0;
    while (number_at(say(QUEUE_LIST, "{'state':'failed','limit':1000}", ""), "jobs.#") < CHAIN - 1 && calls++ < 10)
        say(QUEUE_REAP, "{}", "");
    assert_in_range(calls, 1, 5);
}

static void list_filters(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 4, "");
    submit("aaaaaa0002", "bob", 4, "");
    submit("aaaaaa0003", "ada", 4, "");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0003','user':'ada'}", "");
    say(QUEUE_LIST, "{}", "jobs.#=3; jobs.0.id=aaaaaa0003; jobs.2.id=aaaaaa0001");
    say(QUEUE_LIST, "{'limit':1}", "jobs.#=1; jobs.0.id=aaaaaa0003; more=true");
    say(QUEUE_LIST, "{'limit':3}", "jobs.#=3; more=false");
    say(QUEUE_LIST, "{'user':'ada'}", "jobs.#=2; jobs.0.id=aaaaaa0003");
    say(QUEUE_LIST, "{'user':'ada','active':true}", "jobs.#=1; jobs.0.id=aaaaaa0001; jobs.0.state=queued");
    say(QUEUE_LIST, "{'active':true}", "jobs.#=2; jobs.0.id=aaaaaa0002");
    say(QUEUE_LIST, "{'state':'cancelled'}", "jobs.#=1; jobs.0.id=aaaaaa0003; jobs.0.reason=cancelled by ada");
    say(QUEUE_LIST, "{'state':'running'}", "jobs=[]");
    say(QUEUE_LIST, "{'user':'eve'}", "jobs=[]");
    claim("a", "job=aaaaaa0001");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':1,'rate':2.5,'stage':'decoding'}]}", "");
    say(QUEUE_LIST, "{'state':'running'}",
        "jobs.#=1; jobs.0.done=1; jobs.0.rate=2.5; jobs.0.workers=1; jobs.0.output=/out/ada/aaaaaa0001");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}",
        "job.rate=2.5; leases.#=1; leases.0.host=h; leases.0.worker=a; leases.0.pid=7; leases.0.lo=0; leases.0.hi=4;"
        " leases.0.upto=1; leases.0.stage=decoding; leases.0.phase=images; leases.0.rate=2.5");
}

static void why_a_job_is_queued(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 64, "'needs':['model:digits','reference:faces']");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.reason~no daemon is alive");
    say(QUEUE_HEARTBEAT,
        "{'host':'n1','boot':'b','pid':1,'models':{'digits':{}},'references':[],'workers':[{'name':'a'}]}", "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.reason~has reference faces");
    say(QUEUE_HEARTBEAT,
        "{'host':'n2','boot':'c','pid':1,'models':{'digits':{}},'references':['faces'],'workers':[{'name':'b'}]}", "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.reason~next in turn");
    submit("aaaaaa0002", "ada", 64, "");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.reason~1 job before yours");
    say(QUEUE_PRIO, "{'id':'aaaaaa0002','user':'ada','priority':5}", "priority=5; state=queued");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.reason~next in turn; job.priority=5");
    claim("a", "job=aaaaaa0002");
}

static void rows_are_what_a_table_shows(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 4, "");
    submit("aaaaaa0002", "bob", 4, "'name':'trial','tier':'scavenger','priority':-3");
    say(QUEUE_LIST, "{'rows':true}",
        "rows.#=2; columns.0=id; columns.5=reason; rows.0.0=aaaaaa0002; rows.0.1=queued; rows.0.4=trial; "
        "rows.0.10=scavenger; rows.1.2=ada; rows.1.6=0; rows.1.7=4; more=false");
    say(QUEUE_HOLD, "{'id':'aaaaaa0002','user':'bob','reason':'a \\'quoted\\' reason'}", "");
    say(QUEUE_LIST, "{'rows':true,'state':'held'}", "rows.#=1; rows.0.5~quoted");
    claim("a", "job=aaaaaa0001");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':1,'rate':2.5}]}", "");
    say(QUEUE_LIST, "{'rows':true,'active':true,'user':'ada'}", "rows.#=1; rows.0.1=running; rows.0.6=1; rows.0.8=2.5");
    say(QUEUE_LIST, "{'rows':true,'limit':1}", "rows.#=1; more=true");
    submit("aaaaaa0003", "ada", 4, "'needs':['model:digits','reference:faces']");
    say(QUEUE_LIST, "{'needs':'reference:faces'}", "jobs.#=1; jobs.0.id=aaaaaa0003");
    say(QUEUE_LIST, "{'needs':'model:digits','rows':true,'limit':2}", "rows.#=2; rows.1.0=aaaaaa0002");
}

static void hosts_and_their_names(void **state)
{
    (void)state;
    const char *heartbeat =
        "{'host':'node1','boot':'b1','pid':41,'version':'1','workers':[{'name':'cpu0','state':'busy','job':'x'}],"
        "'models':{},'references':[],'root':'/out','drain':false,'ttl_ms':60000}";
    say(QUEUE_HEARTBEAT, heartbeat, "");
    say(QUEUE_HEARTBEAT, heartbeat, "");
    say(QUEUE_HOSTS, "{}",
        "hosts.#=1; hosts.0.host=node1; hosts.0.alive=true; hosts.0.pid=41; hosts.0.workers.0.state=busy;"
        " hosts.0.models={}; hosts.0.references=[]; hosts.0.root=/out");
    say(QUEUE_HEARTBEAT, "{'host':'node1','boot':'b2','pid':42,'workers':[]}",
        "status=taken; text~pid 41; text~0 s ago; text~--host");
    freeReplyObject(redis_do(redis, "ZINCRBY {ddq}:hosts -60001 node1"));
    say(QUEUE_HOSTS, "{}", "hosts.0.alive=false");
    say(QUEUE_HEARTBEAT, "{'host':'node1','boot':'b2','pid':42,'workers':[]}",
        ""); /* the other one has stopped sending heartbeats */
    say(QUEUE_HOSTS, "{}", "hosts.#=1; hosts.0.alive=true; hosts.0.pid=42; hosts.0.workers=[]");
    say(QUEUE_HEARTBEAT, "{'host':'node1','boot':'b2','pid':42,'workers':[],'gone':true}", "");
    say(QUEUE_HOSTS, "{}", "hosts=[]");
}

static void logs_and_events_go_on(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 4, "");
    say(QUEUE_LOG, "{'job':'aaaaaa0001','lines':['one',{'level':'warning','text':'two'}]}", "");
    cJSON *first = say(QUEUE_LOGS, "{'id':'aaaa','count':1}", "lines.#=1; lines.0.text=one; lines.0.level=info");
    char *last = xstrdup(text_at(first, "last"));
    say_f(QUEUE_LOGS, "lines.#=1; lines.0.text=two; lines.0.level=warning", "{'id':'aaaa','after':'%s'}", last);
    free(last);
    cJSON *events = say(QUEUE_EVENTS, "{'count':1}", "events.#=1; events.0.job=aaaaaa0001");
    last = xstrdup(text_at(events, "last"));
    say(QUEUE_HOLD, "{'id':'aaaa','user':'ada','reason':'because'}", "");
    say_f(QUEUE_EVENTS,
          "events.#=1; events.0.event=hold; events.0.from=queued; events.0.to=held; events.0.reason=because",
          "{'after':'%s'}", last);
    free(last);
    say(QUEUE_EVENTS, "{'after':'99999999999999-0'}", "events=[]; last=99999999999999-0");
}

static void check_says_what_it_knows(void **state)
{
    (void)state;
    say(QUEUE_CHECK, "{}", "version=2; schema=0; maxmemory_policy=noeviction; appendonly=true; redis_version~.");
    submit("aaaaaa0001", "ada", 4, "");
    say(QUEUE_CHECK, "{}", "schema=2");
    freeReplyObject(redis_do(redis, "HSET {ddq}:meta schema 3")); /* a newer ddq's data is left alone */
    say(QUEUE_LIST, "{}", "status=refused; text~newer ddq");
    freeReplyObject(redis_do(redis, "HSET {ddq}:meta schema 2"));
}

static void ended_jobs_are_forgotten_in_the_end(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 4, "'name':'trial'");
    submit("aaaaaa0002", "ada", 4, "");
    say(QUEUE_CANCEL, "{'id':'aaaaaa0001','user':'ada'}", "");
    say(QUEUE_REAP, "{}", "");
    say(QUEUE_LIST, "{}", "jobs.#=2");
    freeReplyObject(redis_do(redis, "HSET {ddq}:job:aaaaaa0001 finished 1000"));
    say(QUEUE_REAP, "{}", "");
    say(QUEUE_LIST, "{}", "jobs.#=1; jobs.0.id=aaaaaa0002");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "status=not_found");
    submit("aaaaaa0003", "ada", 4, "'name':'trial'"); /* the images of the removed job are still in ada/trial */
    say(QUEUE_SHOW, "{'id':'aaaaaa0003'}", "job.folder=ada/trial-aaaaaa0003");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(submit_once_and_again),
        T(spec_is_kept_to_the_letter),
        T(bad_arguments),
        T(prefixes),
        T(names_and_folders),
        T(cancel_at_every_stage),
        T(hold_and_release),
        T(jobs_that_wait_for_others),
        T(long_chain_is_updated_in_parts),
        T(list_filters),
        T(why_a_job_is_queued),
        T(rows_are_what_a_table_shows),
        T(hosts_and_their_names),
        T(logs_and_events_go_on),
        T(check_says_what_it_knows),
        T(ended_jobs_are_forgotten_in_the_end),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
