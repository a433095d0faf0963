#include "daemon/specs/resolving.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"

struct ResolvingTask {
    uv_work_t work;
    ResolvingTask *next;
    Resolving *resolving;
    uint64_t tag;
    Mono deadline;
    bool given_up;
    cJSON *reply;
    /* used by the thread alone until on_resolved */
    ResolvePaths paths;
    cJSON *exec;
    Err err;
    bool ok;
};

void resolving_size_pool(void)
{
    char count[16];
    snprintf(count, sizeof count, "%d", RESOLVING_MAX);
    setenv("UV_THREADPOOL_SIZE", count, 0);
}

void resolving_init(Resolving *resolving, uv_loop_t *loop, int stall_s, const ResolvingHooks *hooks, void *owner)
{
    *resolving = (Resolving){.loop = loop, .stall_s = stall_s, .hooks = *hooks, .owner = owner};
}

static void in_thread(uv_work_t *work)
{
    ResolvingTask *task = work->data;
    task->ok = resolve_paths(&task->paths, &task->exec, &task->err);
}

static void task_free(ResolvingTask *task)
{
    ResolvingTask **at = &task->resolving->tasks;
    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    resolve_paths_done(&task->paths);
    cJSON_Delete(task->reply);
    cJSON_Delete(task->exec);
    free(task);
}

static void on_resolved(uv_work_t *work, int status)
{
    (void)status; /* it cannot be cancelled */
    ResolvingTask *task = work->data;
    const Resolving *resolving = task->resolving;
    if (task->given_up) {
        log_warning("output folder %s answers again", task->paths.folder);
        resolving->hooks.on_answers_again(resolving->owner);
    } else {
        cJSON *exec = task->ok ? task->exec : NULL;
        task->exec = task->ok ? NULL : task->exec;
        resolving->hooks.on_resolved(resolving->owner, task->tag, exec, task->reply, &task->err);
    }
    task_free(task);
}

/* The spec comes as a text of its own, so that one that is no JSON spoils no more than its job. Makes it an object. */
static bool read_spec(cJSON *reply, Err *err)
{
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(reply, "spec");
    if (!cJSON_IsString(spec))
        return true;
    cJSON *object = cJSON_Parse(spec->valuestring);
    if (!cJSON_IsObject(object)) {
        err_set(err, ERR_USAGE, "the job's spec is %.100s, wanted a JSON object; submit the job again",
                spec->valuestring);
        cJSON_Delete(object);
        return false;
    }
    return cJSON_ReplaceItemInObjectCaseSensitive(reply, "spec", object);
}

bool resolving_start(Resolving *resolving, const Resolve *resolve, const cJSON *reply, uint64_t tag, Err *err)
{
    ResolvePaths paths;
    cJSON *copy = cJSON_Duplicate(reply, true);
    if (!read_spec(copy, err) || !resolve_names(resolve, cJSON_GetObjectItemCaseSensitive(copy, "spec"), &paths, err)) {
        cJSON_Delete(copy);
        return false;
    }
    ResolvingTask *task = xcalloc(1, sizeof *task);
    *task = (ResolvingTask){.next = resolving->tasks, .resolving = resolving, .tag = tag, .paths = paths};
    task->deadline = mono_ms() + (Mono)resolving->stall_s * 1000;
    task->reply = copy;
    task->work.data = task;
    resolving->tasks = task;
    uv_queue_work(resolving->loop, &task->work, in_thread, on_resolved);
    return true;
}

void resolving_tick(Resolving *resolving, Mono now)
{
    for (ResolvingTask *task = resolving->tasks; task; task = task->next) {
        if (task->given_up || now < task->deadline)
            continue;
        task->given_up = true;
        Err err = {0};
        err_set(&err, ERR_IO,
                "output folder %s/%s: the file system has not answered for %d s; release the job when it does",
                task->paths.output_root, task->paths.folder, resolving->stall_s);
        resolving->hooks.on_resolved(resolving->owner, task->tag, NULL, task->reply, &err);
    }
}

bool resolving_busy(const Resolving *resolving)
{
    return resolving->tasks != NULL;
}

bool resolving_stalled(const Resolving *resolving)
{
    int stuck = 0;
    for (const ResolvingTask *task = resolving->tasks; task; task = task->next)
        stuck += task->given_up;
    return stuck > 1;
}
