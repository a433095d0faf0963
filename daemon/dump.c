#include "daemon/dump.h"

#include "daemon/work/leases.h"

void dump_tables(const Daemon *d)
{
    Mono now = mono_ms();
    log_info("dump host=%s phase=%d ready=%d redis=%s store=%s hints=%d unanswered=%d leases=%d", d->conf->host,
             d->stage, d->ready, d->url, store_state_name(d->store), store_hinted(d->store),
             journal_unanswered(d->journal), leases_count(d));
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Worker *worker = &d->workers.rows[i];
        const Lease *lease = &d->leases[i];
        if (!worker->used)
            continue;
        log_info("dump worker=%s row=%d generation=%u state=%s pid=%d stop=%d failures=%d empties=%d heard_ms=%lld",
                 worker->device.name, i, worker->generation, worker_state_name(worker->state), worker->process.pid,
                 worker->stop, worker->failures, worker->empties, (long long)(now - worker->last_message));
        if (lease->held)
            log_info(
                "dump lease worker=%s job=%s user=%s token=%s phase=%s range=%lld-%lld upto=%lld rate=%.2f stage=%s "
                "asked=%s lost=%d",
                worker->device.name, lease->job, lease->user, lease->token, lease->phase, (long long)lease->lo,
                (long long)lease->hi, (long long)lease->upto, lease->rate, lease->stage,
                lease->asked ? lease->asked : "", lease->lost);
    }
}
