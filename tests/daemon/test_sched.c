/* The daemon's decisions, as tables. */
#include "tests/test.h"

#include "daemon/base/sched.h"

#define IDLE(...)                                                                                                      \
    {                                                                                                                  \
        .state = WORKER_IDLE, __VA_ARGS__                                                                              \
    }

static void check_due(const SchedRow *rows, int count, Mono now, const int *wanted, int wanted_count)
{
    int order[8];
    int due = sched_due(rows, count, now, order);
    assert_int_equal(due, wanted_count);
    for (int i = 0; i < due; i++)
        assert_int_equal(order[i], wanted[i]);
}

static void due_takes_idle_rows_whose_time_has_come(void **state)
{
    (void)state;
    const SchedRow rows[] = {{.state = WORKER_BUSY},     IDLE(.next_claim = 100),    IDLE(.next_claim = 101),
                             {.state = WORKER_STARTING}, {.state = WORKER_STOPPING}, {.state = WORKER_CLAIMING}};
    check_due(rows, 6, 100, (const int[]){1}, 1);
    check_due(rows, 6, 99, NULL, 0);
    check_due(rows, 6, 200, (const int[]){1, 2}, 2);
    check_due(rows, 0, 200, NULL, 0);
}

static void due_prefers_warm_then_latest(void **state)
{
    (void)state;
    const SchedRow rows[] = {IDLE(.last_busy = 50),
                             IDLE(.last_busy = 0),
                             IDLE(.warm = true, .last_busy = 10),
                             IDLE(.last_busy = 70),
                             IDLE(.warm = true, .last_busy = 20),
                             IDLE(.last_busy = 0)};
    check_due(rows, 6, 1000, (const int[]){4, 2, 3, 0, 1, 5}, 6);
}

static void polling_backs_off_only_while_hints_arrive(void **state)
{
    (void)state;
    static const struct {
        int empties;
        bool hints;
        double chance;
        Mono wanted;
    } rows[] = {
        {1, true, 0.0, 500},    {1, true, 0.5, 1000},  {1, true, 0.999, 1499}, {2, true, 0.5, 2000},
        {3, true, 0.5, 4000},   {4, true, 0.5, 5000},  {99, true, 0.5, 5000},  {1, false, 0.5, 1000},
        {99, false, 0.5, 1000}, {99, false, 0.0, 500},
    };
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(sched_poll_ms(rows[i].empties, rows[i].hints, rows[i].chance), rows[i].wanted);
}

static void reconnects_are_spread_and_bounded(void **state)
{
    (void)state;
    for (int failures = 0; failures < 100; failures++) {
        assert_int_equal(sched_reconnect_ms(failures, 0.0), 100);
        assert_true(sched_reconnect_ms(failures, 0.999999) <= 5000);
        assert_true(sched_reconnect_ms(failures + 1, 0.9) >= sched_reconnect_ms(failures, 0.9));
    }
    assert_in_range(sched_reconnect_ms(50, 0.5), 2500, 2600);
}

static void restarts_back_off_to_half_a_minute(void **state)
{
    (void)state;
    assert_int_equal(sched_restart_ms(0, 0.0), 50);
    assert_int_equal(sched_restart_ms(0, 0.999999), 99);
    assert_int_equal(sched_restart_ms(3, 0.5), 600);
    assert_in_range(sched_restart_ms(60, 0.999), 29000, 30000);
}

static void nobody_reaps_within_a_lease_of_a_reconnect(void **state)
{
    (void)state;
    assert_false(sched_may_reap(1000, 0, 1000, 15000));
    assert_false(sched_may_reap(1000, 0, 15999, 15000));
    assert_true(sched_may_reap(1000, 0, 16000, 15000));
    assert_false(sched_may_reap(1000, 17000, 16000, 15000));
}

static void renewals_come_three_to_a_lease_or_every_second(void **state)
{
    (void)state;
    assert_int_equal(sched_renew_ms(15000, false), 5000);
    assert_int_equal(sched_renew_ms(15000, true), 1000);
    assert_int_equal(sched_renew_ms(1500, true), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_takes_idle_rows_whose_time_has_come),
        cmocka_unit_test(due_prefers_warm_then_latest),
        cmocka_unit_test(polling_backs_off_only_while_hints_arrive),
        cmocka_unit_test(reconnects_are_spread_and_bounded),
        cmocka_unit_test(restarts_back_off_to_half_a_minute),
        cmocka_unit_test(nobody_reaps_within_a_lease_of_a_reconnect),
        cmocka_unit_test(renewals_come_three_to_a_lease_or_every_second),
    };
    return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
