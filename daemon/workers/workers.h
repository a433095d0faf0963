/* The workers of this host: a fixed table of rows, and the process behind each.
 *
 *     workers_init(&workers, loop, program, &hooks, owner);
 *     workers_configure(&workers, &devices);      rows for these devices, now and at every reload
 *     workers_tick(&workers, mono_ms());          spawns, restarts, deadlines
 *     worker_send(worker, PROTO_WORK, fields);    sends one line; lines from it arrive through on_message
 *     worker_apply(worker, WORKER_EV_WORK);       the only way to change a worker's state
 *     workers_stop(&workers); ... workers_all_gone(&workers)
 *
 * A row is named by index and generation: the generation changes with every process, so workers_find returns NULL for a
 * late callback. Leases are in work/leases.h. */
#ifndef DAEMON_WORKERS_WORKERS_H
#define DAEMON_WORKERS_WORKERS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "daemon/workers/devices.h"
#include "daemon/workers/process.h"
#include "spec/lifecycle.h"
#include "spec/proto.h"

enum { WORKERS_MAX = DEVICES_MAX };

typedef struct WorkerId {
    int index;
    unsigned generation;
} WorkerId;

/* How far a stop has gone. */
typedef enum WorkerStop { STOP_NOT, STOP_ASKED, STOP_TERM, STOP_KILL } WorkerStop;

typedef struct Workers Workers;

typedef struct Worker {
    Workers *table;
    int index;
    unsigned generation;
    bool used;         /* the row has a device */
    bool retired;      /* its device left the configuration: it ends and the row goes free */
    char drained[320]; /* why it is drained: it exits and is not started until the resume; "" otherwise */
    char broken[240];  /* its device broke, and the queue has not acknowledged the drain; "" otherwise */
    Device device;
    int lock; /* fd, -1 */
    WorkerState state;
    char about[128]; /* the device as in hello */
    double memory_mib;
    double free_mib; /* what it could use, what it holds itself included; -1: not reported yet */
    cJSON *warm;     /* array of the model files it has in memory */
    WorkerStop stop;
    bool stuck; /* on_stuck was called */
    Mono last_message, stop_deadline, started;
    Mono claimed_at, next_claim, last_busy, next_spawn;
    int empties;  /* claims in a row that gave nothing */
    int failures; /* failures in a row without work done */
    Err why;      /* why the daemon ended it, if it did */
    WorkerProcess process;
} Worker;

typedef struct WorkersHooks {
    void (*on_hello)(void *owner, Worker *worker);
    void (*on_message)(void *owner, Worker *worker, ProtoType type, const cJSON *message); /* but hello and alive */
    void (*on_stderr)(void *owner, Worker *worker, const char *line);                      /* a line of its stderr */
    void (*on_gone)(void *owner, Worker *worker, const Err *why);                          /* the process is over */
    void (*on_unfit)(void *owner, Worker *worker, const Err *why); /* cannot be started, or is of another version */
    void (*on_stuck)(void *owner, Worker *worker); /* was killed and does not exit; once, on_gone may follow or not */
} WorkersHooks;

typedef struct WorkerLimits {
    int hello_ms, alive_ms; /* silence that ends it, before and after its hello */
    int stall_s;            /* how long its file systems may not answer, by its own watch */
    int stop_ms, term_ms;   /* from the stop message to TERM, from TERM to KILL */
    int exit_ms;            /* from the end of its channel to its exit, whose status is then the reason */
} WorkerLimits;

struct Workers {
    uv_loop_t *loop;
    char *program;
    char *cache; /* where workers keep measured references; NULL: their default */
    WorkerLimits limits;
    WorkersHooks hooks;
    void *owner;
    bool stopping; /* no worker is started any more */
    Worker rows[WORKERS_MAX];
};

extern const WorkerLimits worker_limits;

void workers_init(Workers *workers, uv_loop_t *loop, const char *program, const WorkersHooks *hooks, void *owner);
void workers_configure(Workers *workers, const DeviceList *devices);
void workers_tick(Workers *workers, Mono now);
void workers_stop(Workers *workers); /* finish the batch, then exit; TERM and KILL follow by the limits */
void workers_kill(Workers *workers); /* at once */
bool workers_all_gone(const Workers *workers);
void workers_done(Workers *workers); /* after workers_all_gone */

Worker *workers_find(Workers *workers, WorkerId id); /* NULL when that process is gone */
WorkerId worker_id(const Worker *worker);
/* Every change of state goes through this function and is traced. False, and logged, where the table has no row. */
bool worker_apply(Worker *worker, WorkerEvent event);
bool worker_listens(const Worker *worker);                       /* its channel is open: it can be given work */
bool worker_send(Worker *worker, ProtoType type, cJSON *fields); /* consumes fields; false when it is not there */
void worker_stop(Worker *worker);
/* why: the worker finishes its batch and exits, its device is free, and it is not started again; NULL: it may work
 * again. */
void worker_drain(Worker *worker, const char *why);
/* Ends a faulty worker; on_gone gets this reason. */
void worker_end(Worker *worker, const Err *why);

#endif
