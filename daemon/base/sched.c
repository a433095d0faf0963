/* Decisions only. A change of one comes with a row in tests/daemon/test_sched.c that would have failed. */
#include "daemon/base/sched.h"

static bool better(const SchedRow *a, const SchedRow *b)
{
    if (a->warm != b->warm)
        return a->warm;
    return a->last_busy > b->last_busy;
}

int sched_due(const SchedRow *rows, int count, Mono now, int *ret_order)
{
    int due = 0;
    for (int i = 0; i < count; i++) {
        if (rows[i].state != WORKER_IDLE || rows[i].next_claim > now)
            continue;
        int at = due++; /* insertion keeps equal rows in their own order */
        for (; at > 0 && better(&rows[i], &rows[ret_order[at - 1]]); at--)
            ret_order[at] = ret_order[at - 1];
        ret_order[at] = i;
    }
    return due;
}

/* base << times, at most cap. */
static Mono doubled(Mono base, int times, Mono cap)
{
    Mono value = base;
    while (times-- > 0 && value < cap)
        value *= 2;
    return value < cap ? value : cap;
}

Mono sched_poll_ms(int empties, bool hints, double chance)
{
    Mono base = hints ? doubled(1000, empties - 1, 5000) : 1000;
    return base / 2 + (Mono)((double)base * chance);
}

Mono sched_reconnect_ms(int failures, double chance)
{
    Mono bound = doubled(100, failures, 5000);
    return 100 + (Mono)((double)(bound - 100) * chance);
}

Mono sched_restart_ms(int failures, double chance)
{
    Mono bound = doubled(100, failures, 30000);
    return bound / 2 + (Mono)((double)bound / 2 * chance);
}

bool sched_may_reap(Mono connected, Mono next_reap, Mono now, int lease_ms)
{
    return now >= next_reap && now - connected >= lease_ms;
}

Mono sched_renew_ms(int lease_ms, bool moved)
{
    return moved && lease_ms > 3000 ? 1000 : lease_ms / 3;
}
