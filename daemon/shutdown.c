#include "daemon/shutdown.h"

#include "daemon/work/heartbeat.h"
#include "daemon/work/state.h"

enum { LEAVE_MS = 5000, CLOSE_MS = 2000 };

static void enter(Daemon *d, Stage stage, Mono deadline)
{
    static const char *const names[] = {"serving", "draining", "leaving", "closing"};
    log_info("stage=%s->%s", names[d->stage], names[stage]);
    d->stage = stage;
    d->stage_deadline = deadline;
}

void shutdown_drain(Daemon *d)
{
    d->may_claim = false;
    enter(d, STAGE_DRAINING, mono_ms() + (Mono)d->options->drain_s * 1000);
    notify_send(&d->notify, "STOPPING=1\nSTATUS=draining: workers finish their batch");
    d->workers.limits.stop_ms = d->options->drain_s * 1000;
    workers_stop(&d->workers);
    heartbeat_now(d);
}

void shutdown_kill(Daemon *d)
{
    d->stage_deadline = 0;
    workers_kill(&d->workers);
}

void shutdown_fail(Daemon *d, int exit_code, const Err *why)
{
    log_error("%s", why->text);
    if (d->exit_code == EXIT_OK)
        d->exit_code = exit_code;
    if (d->stage == STAGE_SERVING)
        shutdown_drain(d);
    workers_kill(&d->workers);
}

/* --- one function per stage: true when it is over ------------------------------------------------------- */

static bool drained(Daemon *d, bool late)
{
    if (late)
        workers_kill(&d->workers);
    return workers_all_gone(&d->workers);
}

/* Reports that stay unanswered are in the journal, for the next ddqd. */
static bool left(Daemon *d, bool late)
{
    return late || !store_ready(d->store) || (journal_unanswered(d->journal) == 0 && d->last_heartbeat_done);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void shutdown_tick(Daemon *d, Mono now)
{
    bool late = now >= d->stage_deadline;
    if (d->stage == STAGE_DRAINING && drained(d, late)) {
        enter(d, STAGE_LEAVING, now + LEAVE_MS);
        heartbeat_last(d);
    } else if (d->stage == STAGE_LEAVING && left(d, late)) {
        store_close(d->store);
        d->store = NULL;
        if (d->alone)
            standalone_stop(&d->standalone);
        http_close(&d->http);
        gate_close(d->gate);
        facts_stop(&d->facts);
        enter(d, STAGE_CLOSING, now + CLOSE_MS);
    } else if (d->stage == STAGE_CLOSING && (resolving_busy(&d->resolving) || d->registry.busy ||
                                             !gate_gone(d->gate) || !facts_gone(&d->facts))) {
        if (late && (!d->alone || standalone_gone(&d->standalone))) {
            log_warning("a file system still does not answer; exiting anyway, status=%d", d->exit_code);
            _exit(d->exit_code); /* its threads cannot be waited for; the journal is on disk */
        }
    } else if (d->stage == STAGE_CLOSING && (!d->alone || standalone_gone(&d->standalone))) {
        uv_walk(&d->loop, close_handle, NULL); /* the tick and the signals; all others are closed */
    }
}
