/* Walks every (state, event) of both tables, compares the job's with queue.lua's, and the page with the table. */
#include "core/lifecycle.h"
#include "core/queue.h"
#include "tests/test.h"

/* "to" of queue.lua's TRANSITIONS for a state and an event, "" where there is none. */
static void lua_next(const char *state, const char *event, char ret_to[32])
{
    char wanted[64], row[2048];
    ret_to[0] = 0;
    const char *table = strstr(queue_lua, "local TRANSITIONS = {");
    assert_non_null(table);
    snprintf(wanted, sizeof wanted, " %s = {", state);
    const char *start = strstr(table, wanted);
    assert_non_null(start);
    start += strlen(wanted);
    const char *end = strchr(start, '}');
    assert_true(end && (size_t)(end - start) < sizeof row - 2);
    snprintf(row, sizeof row, " %.*s", (int)(end - start), start);
    snprintf(wanted, sizeof wanted, " %s = '", event);
    const char *found = strstr(row, wanted);
    if (found)
        sscanf(found + strlen(wanted), "%31[a-z]", ret_to);
}

static void test_lua_agrees(void **state)
{
    (void)state;
    for (JobState from = 0; from < JOB_STATES; from++)
        for (JobEvent event = 0; event < JOB_EVENTS; event++) {
            char lua[32];
            JobState to = JOB_STATES;
            bool row = job_next(from, event, &to);
            lua_next(job_state_name(from), job_event_name(event), lua);
            if (strcmp(lua, row ? job_state_name(to) : "") != 0)
                fail_msg("%s + %s: lifecycle.c says '%s', queue.lua says '%s'", job_state_name(from), job_event_name(event),
                         row ? job_state_name(to) : "", lua);
            assert_true(row || to == JOB_STATES); /* a refused event leaves the output untouched */
        }
}

static void test_ends(void **state)
{
    (void)state;
    JobState to, parsed;
    for (JobState from = 0; from < JOB_STATES; from++) {
        int rows = 0;
        for (JobEvent event = 0; event < JOB_EVENTS; event++)
            rows += job_next(from, event, &to);
        if (job_state_final(from)) {
            assert_int_equal(rows, 0);
        } else { /* whatever lives can be cancelled */
            assert_true(job_next(from, JOB_EV_CANCEL, &to));
            assert_int_equal(to, JOB_CANCELLED);
        }
        assert_true(job_state_parse(job_state_name(from), &parsed));
        assert_int_equal(parsed, from);
    }
    assert_false(job_state_parse("walking", &to));
    assert_false(job_state_parse(NULL, &to));
}

static void test_worker(void **state)
{
    (void)state;
    WorkerState to;
    for (WorkerState from = 0; from < WORKER_STATES; from++)
        if (from == WORKER_GONE) {
            assert_true(worker_next(from, WORKER_EV_SPAWN, &to));
            assert_int_equal(to, WORKER_STARTING);
        } else { /* death is possible anywhere, and only spawning leads back */
            assert_true(worker_next(from, WORKER_EV_EXIT, &to));
            assert_int_equal(to, WORKER_GONE);
        }
    assert_false(worker_next(WORKER_IDLE, WORKER_EV_WORK, &to));  /* work only after a claim */
    assert_false(worker_next(WORKER_BUSY, WORKER_EV_CLAIM, &to)); /* one range at a time */
    assert_false(worker_next(WORKER_GONE, WORKER_EV_WORK, &to));
}

static void test_page(void **state)
{
    (void)state;
    char *page = lifecycle_print(), *text = xcalloc(1, 65536);
    FILE *file = fopen(SOURCE_DIR "/docs/lifecycle.md", "r");
    assert_non_null(file);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    if (strcmp(page, text) != 0)
        fail_msg("docs/lifecycle.md differs from the table; print it with: ddqd --print-lifecycle > docs/lifecycle.md");
    free(page);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lua_agrees), cmocka_unit_test(test_ends),
                                       cmocka_unit_test(test_worker), cmocka_unit_test(test_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
