/* The state tables of jobs and workers and the table of job kinds: all pairs, the same tables in Lua, the printed page.
 */
#include "spec/lifecycle.h"

#include "spec/jobkind.h"
#include "tests/queue/transcript.h"

/* A table of constants as it stands in queue.lua, and an expression of it to evaluate inside Redis. Caller frees. */
static char *table_script(const char *name, const char *expression)
{
    char *head = xasprintf("local %s = ", name);
    const char *start = strstr(queue_lua, head);
    assert_non_null(start);
    const char *end = strstr(start, "\n}\n");
    assert_non_null(end);
    free(head);
    return xasprintf("%.*s\n}\nreturn %s", (int)(end - start), start, expression);
}

static void check_kind(const char *script, const char *kind, const char *wanted)
{
    redisReply *reply = redis_do(redis, "EVAL %s 0 %s", script, kind);
    if (strcmp(reply->str, wanted) != 0)
        fail_msg("kind %s: jobkind.c has %s, queue.lua %s", kind, wanted, reply->str);
    freeReplyObject(reply);
}

static void job_kinds_agree_with_the_queue(void **unused)
{
    (void)unused;
    char *script = table_script("KINDS", "(function() local row, count = KINDS[ARGV[1]], 0 "
                                         "for _ in pairs(KINDS) do count = count + 1 end "
                                         "return row and tostring(row.reads_source) .. ' ' .. "
                                         "tostring(row.counts_against_quota) .. ' of ' .. count or 'none' end)()");
    for (int kind = 0; kind < JOB_KINDS; kind++) {
        const JobKindRow *row = jobkind_of((JobKind)kind);
        assert_ptr_equal(jobkind_named(jobkind_words[kind]), row);
        char *wanted = xasprintf("%s %s of %d", row->reads_source ? "true" : "false",
                                 row->counts_against_quota ? "true" : "false", JOB_KINDS);
        check_kind(script, jobkind_words[kind], wanted);
        free(wanted);
    }
    check_kind(script, "no_such_kind", "none");
    assert_null(jobkind_named("no_such_kind"));
    assert_null(jobkind_named(NULL));
    free(script);
}

static void job_pairs_agree_with_the_queue(void **unused)
{
    (void)unused;
    char *script = table_script("TRANSITIONS", "TRANSITIONS[ARGV[1]][ARGV[2]] or 'none'");
    int rows = 0;
    for (int state = 0; state < JOB_STATES; state++)
        for (int event = 0; event < JOB_EVENTS; event++) {
            JobState next = JOB_STATES;
            bool has = job_next((JobState)state, (JobEvent)event, &next);
            redisReply *reply = redis_do(redis, "EVAL %s 0 %s %s", script, job_state_name((JobState)state),
                                         job_event_name((JobEvent)event));
            const char *here = has ? job_state_name(next) : "none";
            if (strcmp(reply->str, here) != 0)
                fail_msg("%s + %s: lifecycle.c has %s, queue.lua %s", job_state_name((JobState)state),
                         job_event_name((JobEvent)event), here, reply->str);
            freeReplyObject(reply);
            assert_true(has || next == JOB_STATES); /* untouched without a row */
            assert_false(has && job_state_final((JobState)state));
            rows += has;
        }
    assert_int_equal(rows, 18);
    free(script);
}

static void every_job_state_can_be_reached_and_left(void **unused)
{
    (void)unused;
    bool reached[JOB_STATES] = {[JOB_QUEUED] = true, [JOB_WAITING] = true}; /* a job begins as one of these */
    for (int round = 0; round < JOB_STATES; round++)
        for (int state = 0; state < JOB_STATES; state++)
            for (int event = 0; event < JOB_EVENTS; event++) {
                JobState next;
                if (reached[state] && job_next((JobState)state, (JobEvent)event, &next))
                    reached[next] = true;
            }
    for (int state = 0; state < JOB_STATES; state++) {
        JobState next;
        assert_true(reached[state]);
        assert_int_equal(job_next((JobState)state, JOB_EV_CANCEL, &next), !job_state_final((JobState)state));
    }
}

static void worker_pairs(void **unused)
{
    (void)unused;
    int rows = 0;
    for (int state = 0; state < WORKER_STATES; state++)
        for (int event = 0; event < WORKER_EVENTS; event++) {
            WorkerState next;
            rows += worker_next((WorkerState)state, (WorkerEvent)event, &next);
        }
    for (int state = 0; state < WORKER_STATES; state++) {
        WorkerState next = WORKER_STATES;
        bool lives = state != WORKER_GONE;
        assert_int_equal(worker_next((WorkerState)state, WORKER_EV_EXIT, &next),
                         lives); /* a process may end at any time */
        assert_true(!lives || next == WORKER_GONE);
        assert_int_equal(worker_next((WorkerState)state, WORKER_EV_STOP, &next), lives && state != WORKER_STOPPING);
        assert_int_equal(worker_next((WorkerState)state, WORKER_EV_SPAWN, &next), !lives);
        assert_int_equal(worker_next((WorkerState)state, WORKER_EV_WORK, &next), state == WORKER_CLAIMING);
    }
    assert_true(rows >= 15);
}

static void names(void **unused)
{
    (void)unused;
    for (int state = 0; state < JOB_STATES; state++) {
        JobState parsed = JOB_STATES;
        assert_true(job_state_parse(job_state_name((JobState)state), &parsed));
        assert_int_equal(parsed, state);
    }
    JobState parsed = JOB_HELD;
    assert_false(job_state_parse("lost", &parsed));
    assert_false(job_state_parse(NULL, &parsed));
    assert_int_equal(parsed, JOB_HELD);
    for (int state = 0; state < WORKER_STATES; state++)
        assert_true(*worker_state_name((WorkerState)state));
    for (int event = 0; event < WORKER_EVENTS; event++)
        assert_true(*worker_event_name((WorkerEvent)event));
}

static void pages_are_what_is_printed(void **unused)
{
    (void)unused;
    char *printed = lifecycle_print(), *page = xcalloc(1, 65536);
    FILE *file = fopen(SOURCE_DIR "/docs/lifecycle.md", "r");
    assert_non_null(file);
    assert_true(fread(page, 1, 65535, file) > 0);
    fclose(file);
    if (strcmp(page, printed) != 0)
        fail_msg("docs/lifecycle.md is not what spec/lifecycle.c prints; run: scripts/docs");
    free(printed);
    free(page);
    assert_int_equal(system("cd " SOURCE_DIR " && DDQ_BIN=" BIN_DIR " scripts/docs --check"),
                     0); /* and docs/dev/queue.md */
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) { /* scripts/docs */
        char *page = lifecycle_print();
        fputs(page, stdout);
        free(page);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_pairs_agree_with_the_queue),
        cmocka_unit_test(job_kinds_agree_with_the_queue),
        cmocka_unit_test(every_job_state_can_be_reached_and_left),
        cmocka_unit_test(worker_pairs),
        cmocka_unit_test(names),
        cmocka_unit_test(pages_are_what_is_printed),
    };
    return cmocka_run_group_tests(tests, transcript_start, transcript_stop);
}
