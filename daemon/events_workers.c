/* What workers report, and what becomes of the specs that are prepared for them. */
#include "core/json.h"
#include "daemon/events.h"
#include "daemon/shutdown.h"
#include "daemon/work/claims.h"
#include "daemon/work/heartbeat.h"
#include "daemon/work/leases.h"
#include "daemon/work/progress.h"
#include "daemon/work/ready.h"

enum { FIRST_DEATHS = 3 }; /* failed starts of a worker before any has sent hello: a permanent fault */

static void on_hello(void *owner, Worker *worker)
{
    (void)worker;
    Daemon *d = owner;
    heartbeat_now(d);
    ready_check(d);
    claims_run(d);
}

static void on_message(void *owner, Worker *worker, ProtoType type, const cJSON *message)
{
    Daemon *d = owner;
    LogLevel level = LOG_INFO;
    if (type == PROTO_LOG) {
        log_level_parse(json_text(message, "level", "info"), &level);
        progress_line(d, worker, level, json_text(message, "text", ""));
    } else if (type == PROTO_LOADED) {
        log_info("job=%s worker=%s loaded seconds=%.2f", json_text(message, "job", ""), worker->device.name,
                 json_number(message, "seconds", 0));
    } else if (leases_message(d, worker, type, message)) {
        claims_run(d);
    }
}

static void on_stderr(void *owner, Worker *worker, const char *line)
{
    progress_line(owner, worker, LOG_INFO, line);
}

static void on_gone(void *owner, Worker *worker, const Err *why)
{
    Daemon *d = owner;
    log_line(worker->stop == STOP_ASKED ? LOG_INFO : LOG_WARNING, "worker=%s gone: %s", worker->device.name, why->text);
    d->counts.workers_ended++;
    leases_gone(d, worker, why);
    if (worker->drained[0] && d->store)
        heartbeat_now(d); /* another process may wait for its device */
    if (!d->ready && !ready_any_worker(d) && worker->failures >= FIRST_DEATHS && d->stage == STAGE_SERVING)
        shutdown_fail(d, EXIT_ERROR, why);
}

static void on_stuck(void *owner, Worker *worker)
{
    leases_stuck(owner, worker);
}

/* Another worker may still start: it has not failed yet. */
static bool others_may_come(const Daemon *d, const Worker *worker)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (&d->workers.rows[i] != worker && d->workers.rows[i].used && d->workers.rows[i].failures == 0)
            return true;
    return false;
}

/* It costs this worker, which is tried again. Before any worker has started, and when no other can, it is an error in
 * the set-up, and waiting would hide it. */
static void on_unfit(void *owner, Worker *worker, const Err *why)
{
    Daemon *d = owner;
    if (d->ready || ready_any_worker(d) || others_may_come(d, worker) || d->stage != STAGE_SERVING)
        log_error("worker=%s %s", worker->device.name, why->text);
    else
        shutdown_fail(d, err_exit_code(why->kind) == EXIT_REFUSED ? EXIT_REFUSED : EXIT_ERROR, why);
}

static void on_resolved(void *owner, uint64_t tag, cJSON *exec, const cJSON *reply, const Err *why)
{
    claims_resolved(owner, tag, exec, reply, why);
}

static void on_input_answers(void *owner)
{
    claims_wake(owner);
}

const WorkersHooks events_workers = {on_hello, on_message, on_stderr, on_gone, on_unfit, on_stuck};
const ResolvingHooks events_resolving = {on_resolved, on_input_answers};
