/* Steps 3 to 5 in leases.h. A message must fit the worker's own range: another token, an index outside the range or a
 * phase that ends early ends the worker, and its range is given back to be done again. */
#include "daemon/work/leases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "daemon/base/sched.h"
#include "daemon/work/bad_devices.h"
#include "daemon/work/progress.h"
#include "daemon/work/reports.h"
#include "daemon/work/state.h"

int leases_count(const Daemon *d)
{
    int count = 0;
    for (int i = 0; i < WORKERS_MAX; i++)
        count += d->leases[i].held;
    return count;
}

/* --- the end of a lease ----------------------------------------------------------------------------- */

/* Empties the row. Its report, if there is one, was made before. */
static void lease_over(Daemon *d, Worker *worker)
{
    Lease *lease = &d->leases[worker->index];
    Err err = {0};
    progress_flush(d, lease);
    if (lease->lost && !journal_drop(d->journal, lease->token, &err))
        log_warning("token=%s not dropped from the journal: %s", lease->token, err.text);
    cJSON_Delete(lease->lines);
    *lease = (Lease){0};
    worker->last_busy = mono_ms();
}

/* Frees the worker for the next range, unless it stops or is faulty. */
void leases_free(Daemon *d, Worker *worker)
{
    lease_over(d, worker);
    worker_apply(worker, WORKER_EV_FREE);
    worker->next_claim = 0;
}

/* --- 3 and 5: what the worker reports ------------------------------------------------------------------ */

static void end_inconsistent(Worker *worker, const Lease *lease, const char *what)
{
    Err err = {0};
    err_set(&err, ERR_PROTOCOL, "worker %s %s (range %lld-%lld, phase %s)", worker->device.name, what,
            (long long)lease->lo, (long long)lease->hi, lease->phase);
    worker_end(worker, &err); /* leases_gone gives the range back */
}

static void on_progress(Daemon *d, Worker *worker, Lease *lease, const cJSON *message)
{
    (void)worker;
    d->moved = true;
    lease->rate = json_number(message, "rate", 0);
    snprintf(lease->stage, sizeof lease->stage, "%s", json_text(message, "stage", ""));
    progress_tick(d, lease, mono_ms());
}

static void on_finished(Daemon *d, Worker *worker, Lease *lease, const cJSON *message)
{
    if (lease->upto != lease->hi) {
        end_inconsistent(worker, lease, "reported the end of its range before all of it was done");
        return;
    }
    int64_t images = json_int(message, "images", 0);
    if (strcmp(lease->phase, "survey") == 0 && images < 1) {
        end_inconsistent(worker, lease, "finished a survey without an image count");
        return;
    }
    if (!lease->lost)
        reports_finish(d, lease, message);
    worker->failures = 0;
    leases_free(d, worker);
}

static void on_yielded(Daemon *d, Worker *worker, Lease *lease, const cJSON *message)
{
    (void)message;
    if (!lease->lost)
        reports_giveback(d, lease);
    leases_free(d, worker);
}

/* The text goes to the job; the kind decides what happens to the range and to the worker. */
static void on_failed(Daemon *d, Worker *worker, Lease *lease, const cJSON *message)
{
    const char *name = json_text(message, "kind", ""), *text = json_text(message, "text", "");
    ErrKind kind = ERR_INTERNAL;
    err_kind_parse(name, &kind);
    log_warning("job=%s worker=%s token=%s failed kind=%s: %s", lease->job, worker->device.name, lease->token,
                err_name(kind), text);
    if (!lease->lost && err_is_device_failure(kind))
        reports_giveback(d, lease);
    else if (!lease->lost)
        reports_fail(d, lease, err_name(kind), err_policy_name(err_policy(kind)), text, false);
    bool ends = err_ends_worker(kind) || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(message, "ends"));
    if (ends && worker->state == WORKER_BUSY) {
        worker_stop(worker); /* a new process is safer, but with back-off */
        worker->failures++;
    }
    if (err_is_device_failure(kind))
        bad_devices_add(d, worker, text);
    leases_free(d, worker);
}

static void (*const handlers[PROTO_TYPES])(Daemon *, Worker *, Lease *, const cJSON *) = {
    [PROTO_PROGRESS] = on_progress,
    [PROTO_FINISHED] = on_finished,
    [PROTO_YIELDED] = on_yielded,
    [PROTO_FAILED] = on_failed,
};

bool leases_message(Daemon *d, Worker *worker, ProtoType type, const cJSON *message)
{
    Lease *lease = &d->leases[worker->index];
    if (!handlers[type])
        return false;
    int64_t upto = json_int(message, "upto", -1);
    if (!lease->held || strcmp(json_text(message, "token", ""), lease->token) != 0) {
        end_inconsistent(worker, lease, "reported a token that it does not hold");
    } else if (upto < lease->upto || upto > lease->hi) {
        end_inconsistent(worker, lease, "reported progress outside its range");
    } else {
        d->counts.images += strcmp(lease->phase, "images") == 0 ? upto - lease->upto : 0;
        lease->upto = upto;
        lease->last_message = mono_ms();
        handlers[type](d, worker, lease, message);
        return !lease->held;
    }
    return false;
}

void leases_gone(Daemon *d, Worker *worker, const Err *why)
{
    Lease *lease = &d->leases[worker->index];
    if (!lease->held)
        return;
    char text[sizeof why->text + 128];
    snprintf(text, sizeof text, "%s, at image %lld of %lld-%lld", why->text, (long long)lease->upto,
             (long long)lease->lo, (long long)lease->hi);
    bool blameless = lease->asked || d->stage != STAGE_SERVING || worker->retired || worker->drained[0];
    if (!lease->lost && blameless)
        reports_giveback(d, lease);
    else if (!lease->lost)
        reports_fail(d, lease, err_name(why->kind), "retry", text, true);
    lease_over(d, worker);
}

/* It hangs in a file system or a device, and the next worker would too: a person must fix it. */
void leases_stuck(Daemon *d, Worker *worker)
{
    Lease *lease = &d->leases[worker->index];
    if (!lease->held)
        return;
    char text[sizeof worker->why.text + 128];
    snprintf(text, sizeof text,
             "%s; it was killed and does not exit, because a file system or a device does not answer",
             worker->why.kind ? worker->why.text : "the worker had to end");
    if (!lease->lost)
        reports_fail(d, lease, err_name(ERR_IO), err_policy_name(err_policy(ERR_IO)), text, false);
    lease_over(d, worker);
}

void leases_orphans(Daemon *d)
{
    const JournalOrphan *orphan;
    while ((orphan = journal_orphan(d->journal, 0))) {
        Lease lease = {.upto = orphan->upto};
        snprintf(lease.token, sizeof lease.token, "%s", orphan->token);
        log_info("token=%s was held when the last ddqd ended and is given back", lease.token);
        reports_fail(d, &lease, err_name(ERR_INTERNAL), "retry",
                     "the daemon of this host died while it worked on the range", true);
    }
}

/* --- 4 renewing ------------------------------------------------------------------------------------- */

static cJSON *renew_args(Daemon *d)
{
    cJSON *args = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(args, "leases");
    cJSON_AddNumberToObject(args, "lease_ms", d->conf->lease_ms);
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Lease *lease = &d->leases[i];
        if (!lease->held || lease->lost)
            continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "token", lease->token);
        cJSON_AddNumberToObject(one, "upto", (double)lease->upto);
        cJSON_AddNumberToObject(one, "rate", lease->rate);
        cJSON_AddStringToObject(one, "stage", lease->stage);
        cJSON_AddNumberToObject(one, "pid", d->workers.rows[i].process.pid);
        cJSON_AddItemToArray(list, one);
    }
    return args;
}

static void on_verdict(Daemon *d, Worker *worker, Lease *lease, const char *verdict)
{
    bool lost = strcmp(verdict, "lost") == 0;
    bool cancel = lost || strcmp(verdict, "cancel") == 0;
    if (!cancel && strcmp(verdict, "yield") != 0)
        return;
    if (lost && !lease->lost)
        log_warning("job=%s token=%s lost: the lease expired and the range was reassigned; the worker is stopped",
                    lease->job, lease->token);
    d->counts.lost += lost && !lease->lost;
    lease->lost = lease->lost || lost;
    if (lease->asked && (!cancel || strcmp(lease->asked, "cancel") == 0))
        return;
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "token", lease->token);
    log_info("job=%s worker=%s token=%s asked to %s", lease->job, worker->device.name, lease->token,
             cancel ? "cancel" : "yield");
    worker_send(worker, cancel ? PROTO_CANCEL : PROTO_YIELD, fields);
    lease->asked = cancel ? "cancel" : "yield";
    lease->asked_deadline = mono_ms() + d->workers.limits.stop_ms;
}

void leases_verdicts(Daemon *d, const cJSON *reply)
{
    const cJSON *verdicts = cJSON_GetObjectItemCaseSensitive(reply, "leases"), *verdict;
    if (!cJSON_IsObject(verdicts))
        verdicts = NULL;
    cJSON_ArrayForEach(verdict, verdicts) for (int i = 0; i < WORKERS_MAX;
                                               i++) if (d->leases[i].held &&
                                                        strcmp(d->leases[i].token, verdict->string) == 0 &&
                                                        cJSON_IsString(verdict))
        on_verdict(d, &d->workers.rows[i], &d->leases[i], verdict->valuestring);
}

static void on_renewed(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)tag;
    Daemon *d = owner;
    d->renewing = false;
    if (err && err->kind != ERR_UNREACHABLE)
        log_error("renew failed: %s", err->text);
    leases_verdicts(d, reply);
    if (d->renew_again)
        leases_renew(d);
}

void leases_renew(Daemon *d)
{
    d->renew_again = d->renewing; /* the pending answer may be older than the hint */
    if (d->renewing || leases_count(d) == 0)
        return;
    d->renewed_at = mono_ms();
    d->renewing = store_call(d->store, QUEUE_RENEW, renew_args(d), on_renewed, d, 0);
    if (!d->moved)
        return;
    d->moved = false;
    for (int i = 0; i < WORKERS_MAX; i++) {
        Err err = {0};
        const Lease *lease = &d->leases[i];
        if (lease->held && !journal_hold(d->journal, lease->token, lease->upto, &err))
            log_warning("token=%s progress was not written to the journal: %s", lease->token, err.text);
    }
}

/* --- the tick --------------------------------------------------------------------------------------- */

static void check_asked(Daemon *d, Mono now)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        Lease *lease = &d->leases[i];
        if (!lease->held || !lease->asked || now <= lease->asked_deadline || process_dead(&d->workers.rows[i].process))
            continue;
        Err err = {0};
        err_set(&err, ERR_INTERNAL, "worker %s did not %s within %d s", d->workers.rows[i].device.name, lease->asked,
                d->workers.limits.stop_ms / 1000);
        worker_end(&d->workers.rows[i], &err);
    }
}

static void on_reaped(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)owner, (void)tag;
    double reaped = json_number(reply, "reaped", 0);
    if (err && err->kind != ERR_UNREACHABLE)
        log_error("reap failed: %s", err->text);
    if (reaped > 0)
        log_warning("reaped=%.0f expired leases of other daemons; their ranges are queued again", reaped);
}

static void reap(Daemon *d, Mono now)
{
    if (!store_ready(d->store) || !sched_may_reap(store_ready_since(d->store), d->next_reap, now, d->conf->lease_ms))
        return;
    d->next_reap = now + d->conf->lease_ms / 4 + (Mono)(d->conf->lease_ms / 4 * drand48());
    store_call(d->store, QUEUE_REAP, NULL, on_reaped, d, 0);
}

/* Its `alive` thread runs but its work does not advance: a deadlock, or a device that does not return. */
static void check_work(Daemon *d, Mono now)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Lease *lease = &d->leases[i];
        if (!lease->held || now - lease->last_message <= (Mono)d->options->work_s * 1000 ||
            process_dead(&d->workers.rows[i].process))
            continue;
        Err err = {0};
        err_set(&err, ERR_INTERNAL, "worker %s showed no progress for %d s", d->workers.rows[i].device.name,
                d->options->work_s);
        worker_end(&d->workers.rows[i], &err);
    }
}

void leases_tick(Daemon *d, Mono now)
{
    if (now - d->renewed_at >= sched_renew_ms(d->conf->lease_ms, d->moved) && store_ready(d->store))
        leases_renew(d);
    check_asked(d, now);
    check_work(d, now);
    reap(d, now);
}
