/* An idle worker asks Redis; the answer is a lease, or nothing for now.
 *
 * A wake hint may arrive while a claim is under way that Redis answered before the hint's cause; so a fruitless claim
 * that was sent before the latest hint is repeated at once. */
#include "daemon/work/claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "daemon/base/sched.h"
#include "daemon/work/leases.h"
#include "daemon/work/reports.h"
#include "daemon/work/state.h"

/* --- 1 asking --------------------------------------------------------------------------------------- */

/* A reply's tag: the worker it was asked for. */
static uint64_t tag_of(const Worker *worker)
{
    return (uint64_t)(unsigned)worker->index << 32 | worker->generation;
}

static WorkerId id_of(uint64_t tag)
{
    return (WorkerId){(int)(tag >> 32), (unsigned)tag};
}

static bool in_list(const cJSON *list, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach(item,
                       list) if (text && cJSON_IsString(item) && strcmp(item->valuestring, text) == 0) return true;
    return false;
}

/* Workers use paths, the queue uses names. */
static cJSON *warm_names(const Conf *conf, const Worker *worker)
{
    cJSON *names = cJSON_CreateArray();
    for (int i = 0; i < conf->model_count; i++) {
        const ConfModel *model = &conf->models[i];
        if (in_list(worker->warm, model_main_file(model->files)))
            cJSON_AddItemToArray(names, cJSON_CreateString(model->name));
    }
    return names;
}

static cJSON *claim_args(const Daemon *d, const Worker *worker)
{
    const Offers offers = daemon_offers(d);
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "host", d->conf->host);
    cJSON_AddStringToObject(args, "worker", worker->device.name);
    cJSON_AddNumberToObject(args, "pid", worker->process.pid);
    cJSON_AddStringToObject(args, "device", worker->device.uuid[0] ? "cuda" : "cpu");
    cJSON_AddStringToObject(args, "uuid", worker->device.uuid);
    cJSON_AddStringToObject(args, "root", d->conf->output_root);
    if (worker->free_mib >= 0)
        cJSON_AddNumberToObject(args, "free_mib", worker->free_mib);
    cJSON_AddNumberToObject(args, "lease_ms", d->conf->lease_ms);
    cJSON_AddNumberToObject(args, "chunk_ms", d->conf->chunk_ms);
    cJSON_AddBoolToObject(args, "spec_as_text", true);
    cJSON_AddItemToObject(args, "offers", offers_names(&offers));
    cJSON_AddItemToObject(args, "warm", warm_names(d->conf, worker));
    return args;
}

static void on_claimed(void *owner, uint64_t tag, const cJSON *reply, const Err *err);

static void claim(Daemon *d, Worker *worker)
{
    worker->claimed_at = mono_ms();
    if (worker_apply(worker, WORKER_EV_CLAIM) &&
        !store_call(d->store, QUEUE_CLAIM, claim_args(d, worker), on_claimed, d, tag_of(worker)))
        worker_apply(worker, WORKER_EV_EMPTY);
}

void claims_run(Daemon *d)
{
    SchedRow rows[WORKERS_MAX];
    int order[WORKERS_MAX];
    if (!d->may_claim || !store_ready(d->store) || resolving_stalled(&d->resolving))
        return;
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Worker *worker = &d->workers.rows[i];
        bool may = worker->used && !worker->retired && !worker->drained[0] && worker_listens(worker);
        rows[i] = (SchedRow){.state = may ? worker->state : WORKER_GONE,
                             .warm = cJSON_GetArraySize(worker->warm) > 0,
                             .next_claim = worker->next_claim,
                             .last_busy = worker->last_busy};
    }
    int due = sched_due(rows, WORKERS_MAX, mono_ms(), order);
    for (int i = 0; i < due; i++)
        claim(d, &d->workers.rows[order[i]]);
}

void claims_wake(Daemon *d)
{
    d->woken_at = mono_ms();
    for (int i = 0; i < WORKERS_MAX; i++) {
        d->workers.rows[i].next_claim = 0;
        d->workers.rows[i].empties = 0;
    }
    claims_run(d);
}

/* --- 2 the answer ----------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t size, const cJSON *reply, const char *field)
{
    snprintf(to, size, "%s", json_text(reply, field, ""));
}

bool claims_lease(const cJSON *reply, Lease *lease, Err *err)
{
    *lease = (Lease){.held = true};
    copy_text(lease->token, sizeof lease->token, reply, "token");
    copy_text(lease->job, sizeof lease->job, reply, "job");
    copy_text(lease->user, sizeof lease->user, reply, "user");
    copy_text(lease->phase, sizeof lease->phase, reply, "phase");
    lease->lo = lease->upto = json_int(reply, "lo", -1);
    lease->hi = json_int(reply, "hi", -1);
    lease->n = json_int(reply, "n", 0);
    if (!lease->token[0] || !lease->job[0] || !lease->phase[0] || lease->lo < 0 || lease->hi < lease->lo)
        return err_set(err, ERR_INTERNAL,
                       "the queue answered a claim with a lease that lacks token, job, phase or range");
    return true;
}

/* What the job is in the queue, for the folder's job.json: from there ddq_adopt submits it again. Left out when the
 * spec is so long that it does not fit into the message twice. */
static void add_submitted(cJSON *work, const cJSON *reply)
{
    cJSON *submitted = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(reply, "asked"), true);
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(reply, "spec");
    char *text = cJSON_PrintUnformatted(spec);
    if (cJSON_IsObject(submitted) && submitted->child && text && strlen(text) < PROTO_LINE_MAX / 4) {
        cJSON_AddItemToObject(submitted, "spec", cJSON_Duplicate(spec, true));
        cJSON_AddItemToObject(work, "submitted", submitted);
    } else {
        cJSON_Delete(submitted);
    }
    cJSON_free(text);
}

static cJSON *work_message(const Lease *lease, cJSON *exec, const cJSON *reply)
{
    cJSON *work = cJSON_CreateObject();
    cJSON_AddStringToObject(work, "token", lease->token);
    cJSON_AddStringToObject(work, "job", lease->job);
    cJSON_AddStringToObject(work, "phase", lease->phase);
    cJSON_AddNumberToObject(work, "lo", (double)lease->lo);
    cJSON_AddNumberToObject(work, "hi", (double)lease->hi);
    cJSON_AddNumberToObject(work, "n", (double)lease->n);
    cJSON_AddItemToObject(work, "spec", exec);
    add_submitted(work, reply);
    return work;
}

/* Refuses the job with a reason: gives its range back and frees the worker. */
static void refuse(Daemon *d, Worker *worker, Lease *lease, const Err *why)
{
    log_warning("job=%s refused: %s", lease->job, why->text);
    if (!lease->lost)
        reports_fail(d, lease, err_name(why->kind), err_policy_name(err_policy(why->kind)), why->text, false);
    leases_free(d, worker);
    claims_run(d);
}

void claims_resolved(Daemon *d, uint64_t tag, cJSON *exec, const cJSON *reply, const Err *why)
{
    Worker *worker = workers_find(&d->workers, id_of(tag));
    if (!worker) { /* it died meanwhile, and its range was given back */
        cJSON_Delete(exec);
        return;
    }
    Lease *lease = &d->leases[worker->index];
    if (!lease->held || strcmp(lease->token, json_text(reply, "token", "")) != 0) {
        cJSON_Delete(exec); /* its worker died meanwhile, and its range was given back */
    } else if (!exec) {
        refuse(d, worker, lease, why);
    } else if (lease->asked || lease->lost || worker->state != WORKER_BUSY) { /* it need not begin */
        cJSON_Delete(exec);
        if (!lease->lost)
            reports_giveback(d, lease);
        leases_free(d, worker);
        claims_run(d);
    } else {
        worker_send(worker, PROTO_WORK, work_message(lease, exec, reply)); /* the end of a worker is a separate event */
    }
}

/* Sends the range to the worker, or gives it back with the reason. */
static void take(Daemon *d, Worker *worker, const Lease *lease, const cJSON *reply)
{
    Err err = {0};
    if (!journal_hold(d->journal, lease->token, lease->lo, &err))
        log_warning("job=%s token=%s continues without the journal: %s", lease->job, lease->token, err.text);
    log_info("job=%s worker=%s pid=%d token=%s claimed phase=%s range=%lld-%lld", lease->job, worker->device.name,
             worker->process.pid, lease->token, lease->phase, (long long)lease->lo, (long long)lease->hi);
    d->leases[worker->index] = *lease;
    d->leases[worker->index].last_message = mono_ms();
    worker->empties = 0;
    worker->last_busy = mono_ms();
    worker_apply(worker, WORKER_EV_WORK);
    Resolve resolve = {
        .conf = d->conf,
        .registry = d->registry.entries,
        .facts = &d->facts,
        .user = lease->user,
        .folder = json_text(reply, "folder", NULL),
        .device = worker->device.uuid[0] ? "cuda" : "cpu",
    };
    if (!resolving_start(&d->resolving, &resolve, reply, tag_of(worker), &err))
        refuse(d, worker, &d->leases[worker->index], &err);
}

static void nothing(Daemon *d, Worker *worker)
{
    worker_apply(worker, WORKER_EV_EMPTY);
    worker->empties++;
    if (d->woken_at >= worker->claimed_at && worker->empties == 1) {
        worker->next_claim = 0;
        claims_run(d);
    } else {
        worker->next_claim = mono_ms() + sched_poll_ms(worker->empties, store_hinted(d->store), drand48());
    }
}

/* An answer that is not JSON, because Redis holds what no version of ours should have taken. Its lease must not be
 * given to this worker again and again: it is an error of the job, which after five of them fails with this sentence.
 */
static void fail_unread(Daemon *d, const cJSON *found, const Err *err)
{
    Lease lease = {.held = true};
    copy_text(lease.token, sizeof lease.token, found, "token");
    if (lease.token[0])
        reports_fail(d, &lease, err_name(err->kind), "retry", err->text, false);
}

static void on_claimed(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    Daemon *d = owner;
    Worker *worker = workers_find(&d->workers, id_of(tag));
    bool waiting = worker && worker->state == WORKER_CLAIMING;
    bool got = !err && reply && strcmp(json_text(reply, "status", ""), "ok") == 0;
    Lease lease;
    Err bad = {0};
    if (err && err->kind != ERR_UNREACHABLE)
        log_error("claim failed: %s", err->text);
    if (err && err->kind == ERR_PROTOCOL)
        fail_unread(d, reply, err);
    if (got && !claims_lease(reply, &lease, &bad)) {
        log_error("claim failed: %s", bad.text);
        got = false;
    }
    if (got && waiting && d->may_claim && !worker->drained[0] && worker_listens(worker))
        take(d, worker, &lease, reply);
    else if (got)
        reports_giveback(d, &lease); /* the worker died, or was drained, meanwhile */
    if (waiting && worker->state == WORKER_CLAIMING)
        nothing(d, worker);
}
