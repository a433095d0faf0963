/* Redis is killed and restarts from its append-only file; and the C interface. */
#include "tests/queue/transcript.h"

static void jobs_leases_and_functions_survive(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 24, "");
    submit("aaaaaa0002", "ada", 0, "'after':['aaaaaa0001']");
    claim("a", "lo=0; hi=8");
    claim("b", "lo=8; hi=16");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':5}]}", "leases~ok");
    redis_kill(redis);
    redis_again(redis); /* no FUNCTION LOAD: it is in the file */
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.state=running; job.done=5; leases.#=2");
    say(QUEUE_SHOW, "{'id':'aaaaaa0002'}", "job.state=waiting");
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':6},{'token':'$b','upto':9}]}", "leases~ok");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':10}", "state=running");
    claim("a", "lo=16; again=false");
    claim("b", "lo=9; hi=16; again=true"); /* the answer was lost with the server */
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.done=9; job.errors=0");
}

static void leases_that_ran_out_meanwhile_get_one_more_period(void **state)
{
    (void)state;
    submit("aaaaaa0001", "ada", 8, "");
    claim("a", "lo=0; hi=8");
    time_passes();
    redis_kill(redis);
    redis_again(redis);
    say(QUEUE_REAP, "{}", "reaped=0"); /* another daemon is quicker than the one that holds it */
    say(QUEUE_RENEW, "{'leases':[{'token':'$a','upto':5}]}", "leases~ok");
    say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':10}", "state=queued");
    say(QUEUE_SHOW, "{'id':'aaaaaa0001'}", "job.done=8; job.errors=0");
    claim("a", "phase=report");
    time_passes();
    say(QUEUE_REAP, "{}", "reaped=1"); /* once only */
}

/* Kills the server at random moments while workers work; nothing is lost and nothing counted twice. */
static void killed_again_and_again(void **state)
{
    (void)state;
    enum { JOBS = 4, IMAGES = 2000, KILLS = 6 };
    char id[16];
    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof id, "aaaaaa000%d", i);
        submit(id, i % 2 ? "ada" : "bob", IMAGES, "");
    }
    int kills = 0, reports = 0;
    for (int step = 0; number_at(say(QUEUE_LIST, "{'active':true}", ""), "jobs.#") > 0; step++) {
        snprintf(id, sizeof id, "w%d", step % 3);
        cJSON *answer = claim(id, "status~");
        if (strcmp(text_at(answer, "status"), "ok") == 0) {
            char *token = xstrdup(text_at(answer, "token"));
            double lo = number_at(answer, "lo"), hi = number_at(answer, "hi");
            reports += strcmp(text_at(answer, "phase"), "report") == 0;
            if (step % 5 == 0)
                say_f(QUEUE_RENEW, "leases~ok", "{'leases':[{'token':'%s','upto':%.0f}]}", token, lo + (hi - lo) / 2);
            if (step % 11 == 3 && kills < KILLS) {
                redis_kill(redis);
                redis_again(redis);
                kills++;
            }
            if (step % 7) { /* else the worker stops, and claims again on its next turn */
                say_f(QUEUE_FINISH, "status=ok", "{'token':'%s','upto':%.0f,'ms':%.0f}", token, hi, 20 * (hi - lo));
                say_f(QUEUE_FINISH, "status=already", "{'token':'%s','upto':%.0f,'ms':1}", token, hi);
            }
            free(token);
        }
        assert_true(step < 2000);
    }
    assert_int_equal(kills, KILLS);
    assert_true(reports >= JOBS);
    cJSON *list = say(QUEUE_LIST, "{}", "");
    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof id, "jobs.%d.done", i);
        assert_int_equal((int)number_at(list, id), IMAGES);
    }
}

/* --- the C interface ----------------------------------------------------------------------------------------- */

static void statuses_become_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ErrKind kind;
        const char *words;
    } rows[] = {
        {"{\"status\":\"ok\"}", ERR_NONE, ""},
        {"{\"status\":\"empty\"}", ERR_NONE, ""},
        {"{\"status\":\"already\",\"text\":\"t\"}", ERR_NONE, ""},
        {"{\"status\":\"stale\",\"text\":\"t\"}", ERR_NONE, ""},
        {"{\"status\":\"usage\",\"text\":\"no id\"}", ERR_USAGE, "no id"},
        {"{\"status\":\"not_found\",\"text\":\"job x not found\"}", ERR_NOT_FOUND, "job x not found"},
        {"{\"status\":\"permission\",\"text\":\"not yours\"}", ERR_PERMISSION, "not yours"},
        {"{\"status\":\"refused\",\"text\":\"it is held\"}", ERR_REFUSED, "it is held"},
        {"{\"status\":\"taken\",\"text\":\"another one\"}", ERR_REFUSED, "another one"},
        {"{\"status\":\"refused\"}", ERR_REFUSED, "refused"},
        {"{\"status\":\"odd\"}", ERR_PROTOCOL, "odd"},
        {"{\"status\":7}", ERR_PROTOCOL, "known status"},
        {"[]", ERR_PROTOCOL, "known status"},
        {"PONG", ERR_PROTOCOL, "PONG"},
        {"", ERR_PROTOCOL, "known status"},
        {NULL, ERR_PROTOCOL, "nothing"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Err err = {0};
        cJSON *reply = NULL;
        bool ok = queue_reply_parse(rows[i].text, &reply, &err);
        assert_int_equal(err.kind, rows[i].kind);
        assert_int_equal(ok, rows[i].kind == ERR_NONE);
        assert_int_equal(reply != NULL, ok);
        assert_non_null(strstr(err.text, rows[i].words));
        cJSON_Delete(reply);
    }
}

static void calls_are_five_words(void **state)
{
    (void)state;
    QueueCall call;
    for (int fn = 0; fn < QUEUE_FNS; fn++) {
        queue_call_build(&call, (QueueFn)fn, NULL);
        assert_string_equal(call.argv[0], "FCALL");
        assert_string_equal(call.argv[1], queue_fn_name((QueueFn)fn));
        assert_string_equal(call.argv[3], QUEUE_TAG);
        assert_int_equal(call.argvlen[4], strlen(call.argv[4]));
        freeReplyObject(redis_do(redis, "FCALL %s 1 {ddq} %s", call.argv[1], "{}")); /* every name is a function */
        queue_call_free(&call);
    }
}

static void ids_are_random_letters(void **state)
{
    (void)state;
    char ids[200][11];
    for (size_t i = 0; i < countof(ids); i++) {
        queue_new_id(ids[i]);
        assert_int_equal(strspn(ids[i], "0123456789abcdefghjkmnpqrstvwxyz"), 10);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[i], ids[k]);
    }
}

static void version_of_c_and_lua_agree(void **state)
{
    (void)state;
    assert_int_equal((int)number_at(say(QUEUE_CHECK, "{}", ""), "version"), QUEUE_VERSION);
}

static int start_durable(void **state)
{
    int failed = transcript_start(state);
    freeReplyObject(redis_do(redis, "CONFIG SET appendfsync always"));
    redis->fsync = "always";
    return failed;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, transcript_clear)
    const struct CMUnitTest tests[] = {
        T(jobs_leases_and_functions_survive),
        T(leases_that_ran_out_meanwhile_get_one_more_period),
        T(killed_again_and_again),
        T(statuses_become_errors),
        T(calls_are_five_words),
        T(ids_are_random_letters),
        T(version_of_c_and_lua_agree),
    };
    return cmocka_run_group_tests(tests, start_durable, transcript_stop);
}
