#include "daemon/resolving.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "daemon/claims.h"
#include "daemon/daemon.h"
#include "daemon/resolve.h"

struct Resolving {
    uv_work_t work;
    Resolving *next;
    Daemon *d;
    WorkerId worker;
    Mono deadline;
    bool given_up;
    cJSON *reply;
    /* the thread's until its callback */
    ResolvePaths paths;
    cJSON *exec;
    Err err;
    bool ok;
};

void resolving_init(void)
{
    char count[16];
    snprintf(count, sizeof count, "%d", RESOLVING_MAX);
    setenv("UV_THREADPOOL_SIZE", count, 0);
}

static void in_thread(uv_work_t *work)
{
    Resolving *resolving = work->data;
    resolving->ok = resolve_paths(&resolving->paths, &resolving->exec, &resolving->err);
}

static void forget(Resolving *resolving)
{
    for (Resolving **at = &resolving->d->resolving; *at; at = &(*at)->next)
        if (*at == resolving) {
            *at = resolving->next;
            break;
        }
    resolve_paths_done(&resolving->paths);
    cJSON_Delete(resolving->reply);
    cJSON_Delete(resolving->exec);
    free(resolving);
}

static void on_resolved(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels */
    Resolving *resolving = work->data;
    Worker *worker = workers_find(&resolving->d->workers, resolving->worker);
    if (resolving->given_up) {
        log_warning("output folder %s answers again", resolving->paths.folder);
        claims_wake(resolving->d);
    } else if (worker) {
        claims_resolved(resolving->d, worker, resolving->ok ? resolving->exec : NULL, resolving->reply,
                        &resolving->err);
        resolving->exec = resolving->ok ? NULL : resolving->exec;
    }
    forget(resolving);
}

bool resolving_start(Daemon *d, Worker *worker, const cJSON *reply, Err *err)
{
    Resolve resolve = {
        .conf = d->conf,
        .registry = d->registry.entries,
        .user = d->leases[worker->index].user,
        .folder = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "folder")),
        .device = worker->device.uuid[0] ? "cuda" : "cpu",
    };
    ResolvePaths paths;
    if (!resolve_names(&resolve, cJSON_GetObjectItemCaseSensitive(reply, "spec"), &paths, err))
        return false;
    Resolving *resolving = xcalloc(1, sizeof *resolving);
    *resolving = (Resolving){.next = d->resolving, .d = d, .worker = worker_id(worker), .paths = paths};
    resolving->deadline = mono_ms() + (Mono)d->options->stall_s * 1000;
    resolving->reply = cJSON_Duplicate(reply, true);
    resolving->work.data = resolving;
    d->resolving = resolving;
    uv_queue_work(&d->loop, &resolving->work, in_thread, on_resolved);
    return true;
}

void resolving_tick(Daemon *d, Mono now)
{
    for (Resolving *one = d->resolving; one; one = one->next) {
        Worker *worker = workers_find(&d->workers, one->worker);
        if (one->given_up || now < one->deadline)
            continue;
        one->given_up = true;
        Err err = {0};
        err_set(&err, ERR_IO,
                "output folder %s/%s: the file system has not answered for %d s; release the job when it does",
                one->paths.output_root, one->paths.folder, d->options->stall_s);
        if (worker)
            claims_resolved(d, worker, NULL, one->reply, &err);
    }
}

bool resolving_stalled(const Daemon *d)
{
    int stuck = 0;
    for (const Resolving *one = d->resolving; one; one = one->next)
        stuck += one->given_up;
    return stuck > 1;
}
