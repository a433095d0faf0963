/* Decisions of the daemon, as pure functions: no clock, no handles, no random numbers of their own.
 * tests/daemon/test_sched.c is their table.
 *
 * Time is Mono milliseconds; `chance` is a number in [0, 1) that the caller draws. */
#ifndef DAEMON_BASE_SCHED_H
#define DAEMON_BASE_SCHED_H

#include <stdbool.h>

#include "core/clock.h"
#include "spec/lifecycle.h"

/* What a decision needs to know about a worker. */
typedef struct SchedRow {
    WorkerState state;
    bool warm;       /* has a model in memory */
    Mono next_claim; /* not before this, unless woken */
    Mono last_busy;  /* 0: never */
} SchedRow;

/* Rows that should claim now, best first: warm before cold, then the one that worked last (its caches and clocks are
 * the warmest), then by row. Returns how many; ret_order has room for `count`. */
int sched_due(const SchedRow *rows, int count, Mono now, int *ret_order);

/* How long an idle worker waits after its `empties`-th fruitless claim in a row. While wake hints arrive the interval
 * grows up to 5 s; without them it is a second. */
Mono sched_poll_ms(int empties, bool hints, double chance);

/* Full jitter between 0.1 s and a bound that doubles up to 5 s: many daemons do not reconnect at the same time. */
Mono sched_reconnect_ms(int failures, double chance);

/* A worker that died `failures` times without doing any work restarts after 0.1 s, doubling up to 30 s. */
Mono sched_restart_ms(int failures, double chance);

/* When to look for expired leases of all hosts: not before a whole lease period has passed since the connection came
 * up, so that after an outage all daemons can renew first. */
bool sched_may_reap(Mono connected, Mono next_reap, Mono now, int lease_ms);

/* When to renew next: three times a lease, and every second while there is progress, because the queue's state is what
 * `ddq show` reads. */
Mono sched_renew_ms(int lease_ms, bool moved);

#endif
