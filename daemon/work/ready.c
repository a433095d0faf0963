#include "daemon/work/ready.h"

#include <stdio.h>

bool ready_any_worker(const Daemon *d)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        WorkerState state = d->workers.rows[i].state;
        if (state == WORKER_IDLE || state == WORKER_CLAIMING || state == WORKER_BUSY)
            return true;
    }
    return false;
}

bool ready_without_workers(const Daemon *d)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (d->workers.rows[i].used)
            return false;
    return true;
}

const char *ready_drained(const Daemon *d)
{
    const char *why = NULL;
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Worker *worker = &d->workers.rows[i];
        if (worker->used && !worker->drained[0])
            return NULL;
        why = worker->used ? worker->drained : why;
    }
    return why;
}

void ready_check(Daemon *d)
{
    if (d->ready || d->stage != STAGE_SERVING || !d->registered || !store_ready(d->store) ||
        !(ready_any_worker(d) || ready_drained(d) || ready_without_workers(d)))
        return;
    d->ready = true;
    printf("ready %s\n", d->url);
    fflush(stdout);
    log_info("host=%s ready redis=%s output_root=%s", d->conf->host, d->url, d->conf->output_root);
    notify_send(&d->notify, "READY=1\nSTATUS=serving");
}
