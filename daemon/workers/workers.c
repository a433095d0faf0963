/* The table and its deadlines. The rules:
 *
 *   - a row changes state in worker_apply only, by the table of spec/lifecycle.c;
 *   - every end of a process goes through worker_gone, which is called once, after all of its output was read;
 *   - a death shows in several ways (the exit, the end of its channel, silence), in any order; what is reported is how
 *     the process exited, and another reason only if it lives;
 *   - a stop escalates (STOP_ASKED, STOP_TERM, STOP_KILL), each step with a deadline in the row. */
#include "daemon/workers/workers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "daemon/base/sched.h"

const WorkerLimits worker_limits = {
    .hello_ms = 60000, .alive_ms = 15000, .stall_s = 30, .stop_ms = 120000, .term_ms = 10000, .exit_ms = 10000};

enum { PROVEN_MS = 60000 }; /* a worker that ran this long is no failed start */

/* --- rows ------------------------------------------------------------------------------------------- */

WorkerId worker_id(const Worker *worker)
{
    return (WorkerId){worker->index, worker->generation};
}

Worker *workers_find(Workers *workers, WorkerId id)
{
    if (id.index < 0 || id.index >= WORKERS_MAX)
        return NULL;
    Worker *worker = &workers->rows[id.index];
    return worker->used && worker->generation == id.generation && worker->state != WORKER_GONE ? worker : NULL;
}

bool worker_apply(Worker *worker, WorkerEvent event)
{
    WorkerState from = worker->state;
    if (!worker_next(from, event, &worker->state)) {
        log_error("worker=%s state=%s refuses event=%s", worker->device.name, worker_state_name(from),
                  worker_event_name(event));
        return false;
    }
    if (worker->state != from)
        log_trace("worker=%s pid=%d state=%s->%s event=%s", worker->device.name, worker->process.pid,
                  worker_state_name(from), worker_state_name(worker->state), worker_event_name(event));
    return true;
}

void workers_init(Workers *workers, uv_loop_t *loop, const char *program, const WorkersHooks *hooks, void *owner)
{
    *workers = (Workers){.loop = loop, .limits = worker_limits, .hooks = *hooks, .owner = owner};
    workers->program = xstrdup(program);
    for (int i = 0; i < WORKERS_MAX; i++)
        workers->rows[i] = (Worker){.table = workers, .index = i, .state = WORKER_GONE, .lock = -1};
}

static bool same_device(const Device *a, const Device *b)
{
    return strcmp(a->name, b->name) == 0 && a->threads == b->threads;
}

static void row_add(Workers *workers, const Device *device)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        Worker *worker = &workers->rows[i];
        if (worker->used || worker->process.open)
            continue;
        worker->used = true;
        worker->retired = false;
        worker->drained[0] = worker->broken[0] = 0;
        worker->device = *device;
        worker->failures = 0;
        worker->next_spawn = 0;
        return;
    }
    log_warning("worker=%s has no row yet: the table is full until retired workers have ended", device->name);
}

static void row_unlock(Worker *worker)
{
    if (worker->lock >= 0)
        close(worker->lock);
    worker->lock = -1;
}

static void row_free(Worker *worker)
{
    row_unlock(worker);
    worker->used = false;
}

void workers_configure(Workers *workers, const DeviceList *devices)
{
    bool have[DEVICES_MAX] = {false};
    for (int i = 0; i < WORKERS_MAX; i++) {
        Worker *worker = &workers->rows[i];
        if (!worker->used || worker->retired)
            continue;
        bool wanted = false;
        for (int j = 0; j < devices->count; j++)
            if (!have[j] && same_device(&worker->device, &devices->items[j]))
                wanted = have[j] = true;
        if (wanted)
            continue;
        log_info("worker=%s leaves the configuration", worker->device.name);
        worker->retired = true;
        if (worker->state == WORKER_GONE)
            row_free(worker);
        else
            worker_stop(worker);
    }
    for (int j = 0; j < devices->count; j++)
        if (!have[j])
            row_add(workers, &devices->items[j]);
}

/* --- what arrives ----------------------------------------------------------------------------------- */

static void on_hello(Worker *worker, const cJSON *message)
{
    int version = (int)json_int(message, "version", -1);
    if (version != PROTO_VERSION) {
        Err err = {0};
        err_set(&err, ERR_PROTOCOL,
                "worker program %s uses version %d of the protocol and this ddqd version %d: install both from "
                "one build",
                worker->table->program, version, PROTO_VERSION);
        worker->table->hooks.on_unfit(worker->table->owner, worker, &err);
        worker_end(worker, &err);
        return;
    }
    snprintf(worker->about, sizeof worker->about, "%s", json_text(message, "name", ""));
    worker->memory_mib = json_number(message, "memory_mib", 0);
    if (worker_apply(worker, WORKER_EV_HELLO)) {
        log_info("worker=%s pid=%d ready about=\"%s\" memory_mib=%.0f", worker->device.name, worker->process.pid,
                 worker->about, worker->memory_mib);
        worker->table->hooks.on_hello(worker->table->owner, worker);
    }
}

static void on_message(void *owner, ProtoType type, const cJSON *message)
{
    Worker *worker = owner;
    worker->last_message = mono_ms();
    if (type != PROTO_ALIVE)
        log_trace("worker=%s received=%s", worker->device.name, proto_name(type));
    if (type == PROTO_ALIVE)
        worker->free_mib = json_number(message, "free_mib", worker->free_mib);
    if (type == PROTO_ALIVE || (worker->state == WORKER_STOPPING && worker->stop > STOP_TERM))
        return;
    if (type == PROTO_HELLO && worker->state == WORKER_STARTING) {
        on_hello(worker, message);
    } else if (type == PROTO_HELLO && worker->state == WORKER_STOPPING) {
        worker_apply(worker, WORKER_EV_HELLO);
    } else if (type <= PROTO_HELLO || (worker->state == WORKER_STARTING && type != PROTO_LOG)) {
        Err err = {0};
        err_set(&err, ERR_PROTOCOL, "worker %s sent '%s' while it was %s", worker->device.name, proto_name(type),
                worker_state_name(worker->state));
        worker_end(worker, &err);
    } else {
        if (type == PROTO_LOADED && cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(message, "warm"))) {
            cJSON_Delete(worker->warm);
            worker->warm = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(message, "warm"), true);
        }
        worker->table->hooks.on_message(worker->table->owner, worker, type, message);
    }
}

static void on_malformed(void *owner, const Err *why)
{
    Worker *worker = owner;
    Err err = *why;
    err_wrap(&err, "worker %s sent a malformed message", worker->device.name);
    worker_end(worker, &err);
}

static void on_stderr(void *owner, const char *line)
{
    Worker *worker = owner;
    worker->table->hooks.on_stderr(worker->table->owner, worker, line);
}

/* --- what is sent ----------------------------------------------------------------------------------- */

bool worker_listens(const Worker *worker)
{
    return worker->process.pid && !worker->process.channel_eof;
}

bool worker_send(Worker *worker, ProtoType type, cJSON *fields)
{
    log_trace("worker=%s sent=%s", worker->device.name, proto_name(type));
    return process_send(&worker->process, proto_encode(type, fields));
}

/* --- stop ------------------------------------------------------------------------------------------- */

static void stop_step(Worker *worker, WorkerStop stop, Mono now)
{
    const WorkerLimits *limits = &worker->table->limits;
    worker->stop = stop;
    worker->stop_deadline = now + (stop == STOP_ASKED ? limits->stop_ms : limits->term_ms);
    if (stop == STOP_ASKED)
        worker_send(worker, PROTO_STOP, NULL);
    else
        process_signal(&worker->process, stop == STOP_TERM ? SIGTERM : SIGKILL);
}

void worker_stop(Worker *worker)
{
    if (worker->state == WORKER_GONE || worker->stop != STOP_NOT)
        return;
    worker_apply(worker, WORKER_EV_STOP);
    stop_step(worker, STOP_ASKED, mono_ms());
}

void worker_drain(Worker *worker, const char *why)
{
    bool was = worker->drained[0] != 0;
    snprintf(worker->drained, sizeof worker->drained, "%s", why ? why : "");
    if (why && !was) {
        log_info("worker=%s %s", worker->device.name, why);
        worker_stop(worker);
    } else if (!why && was) {
        log_info("worker=%s may work again", worker->device.name);
        worker->next_spawn = 0;
    }
}

void worker_end(Worker *worker, const Err *why)
{
    if (worker->state == WORKER_GONE || worker->stop == STOP_KILL)
        return;
    if (worker->why.kind == ERR_NONE)
        worker->why = *why;
    if (worker->state != WORKER_STOPPING)
        worker_apply(worker, WORKER_EV_STOP);
    stop_step(worker, STOP_KILL, mono_ms());
}

void workers_stop(Workers *workers)
{
    workers->stopping = true;
    for (int i = 0; i < WORKERS_MAX; i++)
        if (workers->rows[i].used)
            worker_stop(&workers->rows[i]);
}

void workers_kill(Workers *workers)
{
    workers->stopping = true;
    for (int i = 0; i < WORKERS_MAX; i++) {
        Worker *worker = &workers->rows[i];
        if (!worker->used || worker->state == WORKER_GONE)
            continue;
        if (worker->state != WORKER_STOPPING)
            worker_apply(worker, WORKER_EV_STOP);
        stop_step(worker, STOP_KILL, mono_ms());
    }
}

/* --- the end of a process --------------------------------------------------------------------------- */

static void worker_gone(Worker *worker, Mono now)
{
    Err why = worker->why;
    process_close(&worker->process); /* reports the rest of its stderr */
    bool asked = worker->stop == STOP_ASKED || worker->stop == STOP_TERM;
    if (why.kind == ERR_NONE)
        process_explain(&worker->process, worker->device.name, &why);
    worker_apply(worker, WORKER_EV_EXIT);
    cJSON_Delete(worker->warm);
    worker->warm = NULL;
    if (now - worker->started > PROVEN_MS)
        worker->failures = 0;
    worker->next_spawn = now + sched_restart_ms(worker->failures, drand48());
    if (!asked)
        worker->failures++;
    worker->table->hooks.on_gone(worker->table->owner, worker, &why);
    if (worker->retired)
        row_free(worker);
    else if (worker->drained[0])
        row_unlock(worker);
}

static void on_ended(void *owner)
{
    Worker *worker = owner;
    Mono now = mono_ms();
    if (worker->state != WORKER_GONE && process_over(&worker->process, now))
        worker_gone(worker, now);
}

/* --- start ------------------------------------------------------------------------------------------ */

static void start_failed(Worker *worker, const Err *why)
{
    worker->next_spawn = mono_ms() + sched_restart_ms(worker->failures, drand48());
    worker->failures++;
    worker->table->hooks.on_unfit(worker->table->owner, worker, why);
}

static void worker_start(Worker *worker, Mono now)
{
    Err err = {0};
    if (worker->lock < 0 && !device_lock(&worker->device, &worker->lock, &err)) {
        start_failed(worker, &err);
        return;
    }
    worker->generation++;
    worker->last_message = worker->started = now;
    worker->stop = STOP_NOT;
    worker->stuck = false;
    worker->empties = 0;
    worker->next_claim = 0;
    worker->free_mib = -1;
    err_clear(&worker->why);
    static const ProcessHooks hooks = {on_message, on_malformed, on_stderr, on_ended};
    const Workers *table = worker->table;
    ProcessSpec spec = {.loop = table->loop,
                        .program = table->program,
                        .cache = table->cache,
                        .device = &worker->device,
                        .stall_s = table->limits.stall_s};
    if (!process_spawn(&worker->process, &spec, &hooks, worker, &err)) {
        start_failed(worker, &err);
        return;
    }
    worker_apply(worker, WORKER_EV_SPAWN);
    log_info("worker=%s pid=%d started threads=%d", worker->device.name, worker->process.pid, worker->device.threads);
}

/* --- the tick --------------------------------------------------------------------------------------- */

static void check_silence(Worker *worker, Mono now)
{
    const WorkerLimits *limits = &worker->table->limits;
    int limit = worker->state == WORKER_STARTING ? limits->hello_ms : limits->alive_ms;
    if (now - worker->last_message <= limit || worker->stop >= STOP_TERM || process_dead(&worker->process))
        return;
    Err err = {0};
    err_set(&err, ERR_INTERNAL, "worker %s sent no message for %g s", worker->device.name, limit / 1000.0);
    worker_end(worker, &err);
}

/* A worker that exits closes its channel first: the exit may come much later where the kernel has to free a GPU. */
static void check_channel(Worker *worker, Mono now)
{
    const WorkerProcess *process = &worker->process;
    if (!process->channel_eof || worker->stop != STOP_NOT ||
        now - process->channel_closed <= worker->table->limits.exit_ms || process_dead(process))
        return;
    Err err = {0};
    err_set(&err, ERR_PROTOCOL, "worker %s closed its channel", worker->device.name);
    worker_end(worker, &err);
}

static void row_tick(Worker *worker, Mono now)
{
    if (worker->state == WORKER_GONE) {
        bool may = !worker->table->stopping && !worker->drained[0];
        if (may && !worker->process.open && now >= worker->next_spawn)
            worker_start(worker, now);
        return;
    }
    on_ended(worker); /* when a grandchild holds its pipes open, no event comes */
    if (worker->state == WORKER_GONE)
        return;
    check_silence(worker, now);
    check_channel(worker, now);
    if (worker->stop != STOP_NOT && worker->stop != STOP_KILL && now >= worker->stop_deadline)
        stop_step(worker, worker->stop == STOP_ASKED ? STOP_TERM : STOP_KILL, now);
    if (worker->stop == STOP_KILL && now >= worker->stop_deadline && !worker->stuck &&
        !process_dead(&worker->process)) {
        worker->stuck = true;
        log_error("worker=%s pid=%d does not exit after SIGKILL: it hangs in the kernel", worker->device.name,
                  worker->process.pid);
        worker->table->hooks.on_stuck(worker->table->owner, worker);
    }
}

void workers_tick(Workers *workers, Mono now)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (workers->rows[i].used)
            row_tick(&workers->rows[i], now);
}

bool workers_all_gone(const Workers *workers)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        if (workers->rows[i].process.open || (workers->rows[i].used && workers->rows[i].state != WORKER_GONE))
            return false;
    return true;
}

void workers_done(Workers *workers)
{
    for (int i = 0; i < WORKERS_MAX; i++)
        row_free(&workers->rows[i]);
    free(workers->program);
    free(workers->cache);
    workers->program = NULL;
}
