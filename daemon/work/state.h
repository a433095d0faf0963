/* The state of a daemon, in one struct. The modules of daemon/work use it; the modules below them (store, workers,
 * journal, standalone, notify, resolving) do not, and report to their owner through hooks. docs/dev/daemon.md has the
 * rules between them. */
#ifndef DAEMON_WORK_STATE_H
#define DAEMON_WORK_STATE_H

#include <stdbool.h>
#include <unistd.h>
#include <uv.h>

#include "core/log.h"
#include "daemon/base/http.h"
#include "daemon/base/journal.h"
#include "daemon/base/notify.h"
#include "daemon/base/options.h"
#include "daemon/base/statedir.h"
#include "daemon/gate/gate.h"
#include "daemon/redis/standalone.h"
#include "daemon/redis/store.h"
#include "daemon/specs/facts.h"
#include "daemon/specs/offers.h"
#include "daemon/specs/registry.h"
#include "daemon/specs/resolving.h"
#include "daemon/work/lease.h"
#include "daemon/workers/workers.h"
#include "spec/conf/conf.h"

/* How late the tick came: how long something blocked the loop. */
typedef struct Lag {
    uint64_t due_ns; /* of the next tick; 0: none yet */
    double worst_s;  /* since the latest request of /metrics */
} Lag;

/* How far the stop has gone; shutdown.h has the order. */
typedef enum Stage { STAGE_SERVING, STAGE_DRAINING, STAGE_LEAVING, STAGE_CLOSING } Stage;

typedef struct Daemon Daemon;
struct Daemon {
    const Options *options;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[4];
    Conf *conf;
    StateDir state;
    char *url;       /* of the Redis in use, without its password */
    char *root_word; /* the output root as it was written; conf has its real path */
    Notify notify;
    Journal *journal;
    bool alone; /* this daemon started the Redis */
    Standalone standalone;
    Store *store;
    Workers workers;
    Registry registry;
    Facts facts;
    bool look_asked;           /* by a client: when the registry has been scanned */
    Lease leases[WORKERS_MAX]; /* by worker row */
    Resolving resolving;

    Http http;
    Gate *gate; /* the socket of this host's users */
    struct {
        long long images, finished, returned, failed, lost, workers_ended, redis_lost;
    } counts; /* since the start, for /metrics */

    Stage stage;
    bool connected;                                     /* Redis was ready once */
    Err redis_why;                                      /* why the latest attempt was not */
    Err trouble;                                        /* of Redis, as it was logged; ERR_NONE: none */
    Mono next_trouble;                                  /* when to log it again though it is the same */
    bool ready;                                         /* READY was announced */
    bool registered;                                    /* the queue's register has this host */
    void (*on_host_refused)(Daemon *d, const Err *why); /* another daemon has this host's name */
    bool may_claim; /* false while draining, and after a reconnect until the leases are renewed */
    bool last_heartbeat_done;
    int exit_code;
    Mono started, stage_deadline;

    Mono woken_at; /* the latest hint that work may be claimable */
    bool renewing, renew_again, moved;
    Mono renewed_at, next_reap, next_heartbeat, next_report, next_flush, next_watchdog, next_status;
    Lag lag;
};

static inline Offers daemon_offers(const Daemon *d)
{
    return (Offers){d->conf, d->registry.entries, &d->facts};
}

#endif
