#include "daemon/metrics.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/work/leases.h"
#include "daemon/work/ready.h"
#include "daemon/work/state.h"

/* Healthy: able to take work. A daemon without Redis or without a worker is alive but cannot work. */
static char *health(const Daemon *d, int *ret_status)
{
    const Err *redis = store_ready(d->store) ? store_trouble(d->store) : NULL;
    char why[sizeof redis->text + 16];
    snprintf(why, sizeof why, "redis: %s", redis ? redis->text : "");
    const char *trouble = d->stage != STAGE_SERVING          ? "draining"
                          : !store_ready(d->store)           ? "redis is unreachable"
                          : redis                            ? why
                          : resolving_stalled(&d->resolving) ? "the output root does not answer"
                          : ready_drained(d)                 ? ready_drained(d)
                          : ready_without_workers(d)         ? NULL /* a host for users alone */
                          : !ready_any_worker(d)             ? "no worker is running"
                                                             : NULL;
    *ret_status = trouble ? 503 : 200;
    return xasprintf("%s\n", trouble ? trouble : "ok");
}

static void value(Buf *text, const char *name, const char *type, const char *help, double number)
{
    buf_printf(text, "# HELP ddq_%s %s\n# TYPE ddq_%s %s\nddq_%s %.15g\n", name, help, name, type, name, number);
}

static char *metrics(Daemon *d)
{
    Buf text = {0};
    int states[WORKER_STATES] = {0};
    double rate = 0;
    for (int i = 0; i < WORKERS_MAX; i++) {
        states[d->workers.rows[i].state] += d->workers.rows[i].used;
        rate += d->leases[i].held ? d->leases[i].rate : 0;
    }
    buf_printf(&text, "# HELP ddq_workers workers of this host by state\n# TYPE ddq_workers gauge\n");
    for (int state = 0; state < WORKER_STATES; state++)
        buf_printf(&text, "ddq_workers{state=\"%s\"} %d\n", worker_state_name((WorkerState)state), states[state]);
    value(&text, "redis_ready", "gauge", "1 while the connection is good", store_ready(d->store));
    value(&text, "leases", "gauge", "ranges under way", leases_count(d));
    value(&text, "images_per_second", "gauge", "sum of what the workers measure", rate);
    value(&text, "reports_unanswered", "gauge", "reports that Redis has not acknowledged",
          journal_unanswered(d->journal));
    value(&text, "loop_lag_seconds", "gauge", "largest delay of the tick since the previous scrape", d->lag.worst_s);
    d->lag.worst_s = 0;
    value(&text, "images_total", "counter", "images made since the start", (double)d->counts.images);
    value(&text, "ranges_finished_total", "counter", "ranges finished", (double)d->counts.finished);
    value(&text, "ranges_returned_total", "counter", "ranges given back without counting as a failure",
          (double)d->counts.returned);
    value(&text, "ranges_failed_total", "counter", "ranges that failed", (double)d->counts.failed);
    value(&text, "ranges_lost_total", "counter", "leases that expired", (double)d->counts.lost);
    value(&text, "workers_ended_total", "counter", "worker processes that ended", (double)d->counts.workers_ended);
    GateCounts gate = gate_counts(d->gate);
    value(&text, "gate_connections", "gauge", "connections of users", gate.connections);
    value(&text, "gate_calls_total", "counter", "calls of users that Redis answered", (double)gate.calls);
    value(&text, "gate_refused_total", "counter", "commands and connections of users that were refused",
          (double)gate.refused);
    value(&text, "gate_lost_total", "counter", "calls of users without an answer of Redis", (double)gate.lost);
    value(&text, "redis_lost_total", "counter", "times that the connection was lost", (double)d->counts.redis_lost);
    return text.data;
}

char *metrics_answer(void *owner, const char *path, int *ret_status)
{
    Daemon *d = owner;
    if (strcmp(path, "/healthz") == 0)
        return health(d, ret_status);
    if (strcmp(path, "/metrics") == 0)
        return metrics(d);
    return NULL;
}
