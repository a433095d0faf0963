/* Worker processes from start to end, with shell scripts as workers. Limits are long but where a test is about one:
 * none of them may pass on a slow machine by accident. */
#include "tests/test.h"

#include <signal.h>
#include <sys/stat.h>

#include "daemon/workers/workers.h"

#define HELLO                                                                                                          \
    "printf '{\"type\":\"hello\",\"version\":4,\"pid\":1,\"device\":\"cpu\",\"name\":\"sh\",\"memory_mib\":1}\\n' "    \
    ">&3\n"

enum { LONG_MS = 300000, SHORT_MS = 200 };

typedef struct Stage {
    char *folder;
    uv_loop_t loop;
    uv_timer_t tick;
    Workers workers;
    int hellos, gones, unfits;
    Err why;
    char words[256];
} Stage;

static void on_hello(void *owner, Worker *worker)
{
    Stage *stage = owner;
    assert_int_equal(worker->state, WORKER_IDLE);
    stage->hellos++;
}

static void on_message(void *owner, Worker *worker, ProtoType type, const cJSON *message)
{
    (void)owner, (void)worker, (void)type, (void)message;
}

static void on_stderr(void *owner, Worker *worker, const char *line)
{
    (void)worker;
    Stage *stage = owner;
    snprintf(stage->words, sizeof stage->words, "%s", line);
}

static void on_gone(void *owner, Worker *worker, const Err *why)
{
    Stage *stage = owner;
    assert_int_equal(worker->state, WORKER_GONE);
    assert_null(workers_find(&stage->workers, worker_id(worker)));
    stage->gones++;
    stage->why = *why;
}

static void on_unfit(void *owner, Worker *worker, const Err *why)
{
    (void)worker;
    Stage *stage = owner;
    stage->unfits++;
    stage->why = *why;
}

static void on_stuck(void *owner, Worker *worker)
{
    (void)owner, (void)worker; /* with these limits any moment between the kill and the exit is too long */
}

static void on_tick(uv_timer_t *timer)
{
    Stage *stage = timer->data;
    workers_tick(&stage->workers, mono_ms());
}

static void stage_open(Stage *stage, const char *script)
{
    static const WorkersHooks hooks = {on_hello, on_message, on_stderr, on_gone, on_unfit, on_stuck};
    *stage = (Stage){.folder = test_folder()};
    char *program = xasprintf("%s/worker", stage->folder);
    FILE *file = fopen(program, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s", script);
    fclose(file);
    chmod(program, 0755);
    uv_loop_init(&stage->loop);
    uv_timer_init(&stage->loop, &stage->tick);
    stage->tick.data = stage;
    uv_timer_start(&stage->tick, on_tick, 0, 10);
    workers_init(&stage->workers, &stage->loop, program, &hooks, stage);
    stage->workers.limits = (WorkerLimits){
        .hello_ms = LONG_MS, .alive_ms = LONG_MS, .stop_ms = LONG_MS, .term_ms = LONG_MS, .exit_ms = LONG_MS};
    DeviceList devices = {.count = 1, .items = {{.name = "cpu:0", .threads = 1}}};
    workers_configure(&stage->workers, &devices);
    free(program);
}

static void stage_close(Stage *stage)
{
    workers_kill(&stage->workers);
    while (!workers_all_gone(&stage->workers))
        uv_run(&stage->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&stage->tick, NULL);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    workers_done(&stage->workers);
    test_folder_remove(stage->folder);
}

/* Runs until *count reaches `wanted`; returns the milliseconds it took. */
static int until(Stage *stage, const int *count, int wanted)
{
    Mono start = mono_ms();
    while (*count < wanted && mono_ms() - start < LONG_MS)
        uv_run(&stage->loop, UV_RUN_ONCE);
    assert_int_equal(*count, wanted);
    return (int)(mono_ms() - start);
}

static void check_why(const Stage *stage, const char *word)
{
    if (!strstr(stage->why.text, word))
        fail_msg("the reason is \"%s\", wanted \"%s\" in it", stage->why.text, word);
}

static void a_mute_worker_is_replaced(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, "exec sleep 300\n");
    stage.workers.limits.hello_ms = SHORT_MS;
    assert_true(until(&stage, &stage.gones, 1) >= SHORT_MS);
    check_why(&stage, "no message for");
    unsigned generation = stage.workers.rows[0].generation;
    until(&stage, &stage.gones, 2);
    assert_int_equal(stage.workers.rows[0].generation, generation + 1);
    stage_close(&stage);
}

static void a_silent_worker_is_replaced(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, HELLO "exec sleep 300\n");
    until(&stage, &stage.hellos, 1);
    stage.workers.limits.alive_ms = SHORT_MS;
    until(&stage, &stage.gones, 1);
    check_why(&stage, "no message for");
    stage_close(&stage);
}

static void the_last_words_stand_in_the_reason(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, HELLO "echo the card fell out >&2\nexit 7\n");
    until(&stage, &stage.gones, 1);
    check_why(&stage, "ended with status 7; its last line on stderr: the card fell out");
    assert_string_equal(stage.words, "the card fell out");
    stage_close(&stage);
}

/* All signs of a death are there before the loop looks, whatever it looks at first and whichever deadlines have passed.
 */
static void a_death_has_one_reason(void **state)
{
    (void)state;
    static const struct {
        const char *script, *word;
    } rows[] = {
        {HELLO "exit 7\n", "status 7"},
        {HELLO "echo last words >&2\nkill -9 $$\n", "signal 9"},
        {HELLO "exec 3>&-\nsleep 0.2\nexit 8\n", "status 8"}, /* the channel closes long before the exit */
        {HELLO "exec 2>&-\nsleep 0.2\nexit 9\n", "status 9"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Stage stage;
        stage_open(&stage, rows[i].script);
        until(&stage, &stage.hellos, 1);
        const WorkerProcess *process = &stage.workers.rows[0].process;
        while (i < 2 && !process_dead(process)) /* the loop sees nothing of it */
            usleep(1000);
        stage.workers.limits.alive_ms = i < 2 ? 0 : LONG_MS;
        workers_tick(&stage.workers, mono_ms() + 1000);
        until(&stage, &stage.gones, 1);
        check_why(&stage, rows[i].word);
        stage_close(&stage);
    }
}

static void a_grandchild_that_holds_the_pipes_does_not_hide_the_end(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, HELLO "sleep 600 &\necho $! >&2\nkill -9 $$\n");
    assert_true(until(&stage, &stage.gones, 1) < LONG_MS);
    check_why(&stage, "signal 9");
    kill(atoi(stage.words), SIGKILL);
    stage_close(&stage);
}

static void a_closed_line_ends_the_worker(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, HELLO "exec 3>&-\nexec sleep 300 3>&-\n");
    stage.workers.limits.exit_ms = SHORT_MS;
    until(&stage, &stage.gones, 1);
    check_why(&stage, "closed its channel");
    stage_close(&stage);
}

static void stop_asks_then_terms_then_kills(void **state)
{
    (void)state;
    static const struct {
        const char *script, *word;
        int stop_ms, least;
    } rows[] = {
        {HELLO "read line <&3\nexit 0\n", "status 0", LONG_MS, 0},
        {HELLO "exec sleep 300\n", "signal 15", SHORT_MS, SHORT_MS},
        {"trap '' TERM\n" HELLO "while :; do sleep 1; done\n", "signal 9", SHORT_MS, 2 * SHORT_MS},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Stage stage;
        stage_open(&stage, rows[i].script);
        stage.workers.limits.stop_ms = rows[i].stop_ms;
        until(&stage, &stage.hellos, 1);
        stage.workers.limits.term_ms = strstr(rows[i].script, "trap") ? SHORT_MS : LONG_MS;
        workers_stop(&stage.workers);
        assert_int_equal(stage.workers.rows[0].state, WORKER_STOPPING);
        int ms = until(&stage, &stage.gones, 1);
        assert_true(ms >= rows[i].least);
        check_why(&stage, rows[i].word);
        for (Mono end = mono_ms() + 150; mono_ms() < end;)
            uv_run(&stage.loop, UV_RUN_ONCE);
        assert_int_equal(stage.hellos, 1); /* no worker is started any more */
        stage_close(&stage);
    }
}

static void what_cannot_start_is_told_and_tried_again(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, "exit 0\n");
    free(stage.workers.program);
    stage.workers.program = xstrdup("/nonexistent/ddq-worker");
    until(&stage, &stage.unfits, 3);
    check_why(&stage, "/nonexistent/ddq-worker");
    assert_int_equal(stage.gones, 0);
    stage_close(&stage);
}

static void another_version_is_unfit(void **state)
{
    (void)state;
    Stage stage;
    stage_open(
        &stage,
        "printf '{\"type\":\"hello\",\"version\":5,\"pid\":1,\"device\":\"cpu\",\"name\":\"\",\"memory_mib\":1}\\n' "
        ">&3\n"
        "exec sleep 30\n");
    until(&stage, &stage.unfits, 1);
    check_why(&stage, "uses version 5");
    until(&stage, &stage.gones, 1);
    assert_int_equal(stage.hellos, 0);
    stage_close(&stage);
}

static void rows_follow_the_configuration(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage, HELLO "read line <&3\nexit 0\n");
    until(&stage, &stage.hellos, 1);
    DeviceList two = {.count = 2, .items = {{.name = "cpu:0", .threads = 1}, {.name = "cpu:1", .threads = 1}}};
    workers_configure(&stage.workers, &two);
    until(&stage, &stage.hellos, 2);
    assert_int_equal(stage.gones, 0); /* the first one was not disturbed */
    DeviceList other = {.count = 1, .items = {{.name = "cpu:1", .threads = 1}}};
    workers_configure(&stage.workers, &other);
    until(&stage, &stage.gones, 1);
    assert_false(stage.workers.rows[0].used);
    assert_true(stage.workers.rows[1].used);
    stage_close(&stage);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_level_set(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mute_worker_is_replaced),
        cmocka_unit_test(a_silent_worker_is_replaced),
        cmocka_unit_test(the_last_words_stand_in_the_reason),
        cmocka_unit_test(a_death_has_one_reason),
        cmocka_unit_test(a_grandchild_that_holds_the_pipes_does_not_hide_the_end),
        cmocka_unit_test(a_closed_line_ends_the_worker),
        cmocka_unit_test(stop_asks_then_terms_then_kills),
        cmocka_unit_test(what_cannot_start_is_told_and_tried_again),
        cmocka_unit_test(another_version_is_unfit),
        cmocka_unit_test(rows_follow_the_configuration),
    };
    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
