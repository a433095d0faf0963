/* The daemon: one loop, and everything on it.
 *
 *     daemon_run(&options)  -> the exit status
 *
 * Leaves (store, workers, journal, standalone, notify, resolve, sched) know nothing of each other and call up through
 * hooks. The story modules (claims, leases, reports, progress, beat) see this struct and are called from the hooks and
 * the tick in daemon.c. docs/dev/daemon.md has the rules between them and the order of start and shutdown. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>
#include <unistd.h>
#include <uv.h>

#include "core/conf.h"
#include "core/log.h"
#include "daemon/http.h"
#include "daemon/journal.h"
#include "daemon/leases.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/phases.h"
#include "daemon/registry.h"
#include "daemon/resolving.h"
#include "daemon/standalone.h"
#include "daemon/statedir.h"
#include "daemon/store.h"
#include "daemon/workers.h"

/* How late the tick came, which is how long something held the loop. */
typedef struct Lag {
    uint64_t due_ns; /* of the next tick; 0: none yet */
    double worst_s;  /* since the latest question of /metrics */
} Lag;

struct Daemon {
    const Options *options;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[4];
    Conf *conf;
    StateDir state;
    char *url;       /* of the Redis we use, without its password */
    char *root_word; /* the output root as it was written; conf has its real path */
    Notify notify;
    Journal *journal;
    bool alone; /* the Redis is ours */
    Standalone standalone;
    Store *store;
    Workers workers;
    Registry registry;
    Lease leases[WORKERS_MAX]; /* by worker row */
    Resolving *resolving;      /* paths that are being asked for */

    Http http;
    struct {
        long long images, finished, returned, failed, lost, workers_ended, redis_lost;
    } counts; /* since the start, for /metrics */

    Phase phase;
    bool connected;  /* Redis was good once */
    Err redis_why;   /* why the latest attempt was not */
    bool ready;      /* was said */
    bool registered; /* the queue knows this host */
    bool may_claim;  /* false while draining, and after a reconnect until the leases are renewed */
    bool farewell_done;
    int exit_code;
    Mono started, phase_deadline;

    Mono woken_at; /* the latest hint that work may be claimable */
    bool renewing, renew_again, moved;
    Mono renewed_at, next_reap, next_beat, next_flush, next_watchdog, next_status;
    Lag lag;
};

int daemon_run(const Options *options);

/* For the story modules: */
void daemon_check_ready(Daemon *d);
bool daemon_any_worker(const Daemon *d);     /* one that said hello and does not stop */
const char *daemon_drained(const Daemon *d); /* why no worker may work; NULL when one may */

#endif
