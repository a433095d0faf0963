#include "daemon/work/heartbeat.h"

#include <string.h>

#include "core/json.h"
#include "daemon/work/bad_devices.h"
#include "daemon/work/ready.h"

enum { HEARTBEAT_MS = 5000, HEARTBEAT_TTL_MS = 20000 };

static cJSON *workers_list(const Daemon *d)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Worker *worker = &d->workers.rows[i];
        if (!worker->used)
            continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "name", worker->device.name);
        cJSON_AddStringToObject(one, "device", worker->device.uuid[0] ? "cuda" : "cpu");
        cJSON_AddStringToObject(one, "uuid", worker->device.uuid);
        cJSON_AddStringToObject(one, "about", worker->about);
        cJSON_AddStringToObject(one, "state", worker_state_name(worker->state));
        cJSON_AddStringToObject(one, "job", d->leases[i].job);
        cJSON_AddNumberToObject(one, "pid", worker->process.pid);
        cJSON_AddNumberToObject(one, "memory_mib", worker->memory_mib);
        if (worker->free_mib >= 0)
            cJSON_AddNumberToObject(one, "free_mib", worker->free_mib);
        cJSON_AddItemToArray(list, one);
    }
    return list;
}

static cJSON *names_of(const cJSON *object)
{
    cJSON *names = cJSON_CreateArray();
    const cJSON *item;
    cJSON_ArrayForEach(item, object) cJSON_AddItemToArray(names, cJSON_CreateString(item->string));
    return names;
}

/* When the look was asked for that these facts answer, and the faults of users' paths. */
static void add_looked(const Daemon *d, cJSON *args)
{
    const cJSON *path, *paths = cJSON_GetObjectItemCaseSensitive(d->facts.seen, "paths");
    cJSON *faults = cJSON_AddObjectToObject(args, "faults");
    cJSON_AddBoolToObject(args, "looks", facts_answers(&d->facts, mono_ms()));
    if (d->facts.seen_at)
        cJSON_AddNumberToObject(args, "looked_ms", (double)(mono_ms() - d->facts.seen_at));
    cJSON_ArrayForEach(path, paths) json_add_text(faults, path->string, json_text(path, "fault", NULL));
}

static cJSON *heartbeat_args(const Daemon *d)
{
    const Offers offers = daemon_offers(d);
    cJSON *args = cJSON_CreateObject(), *references = offers_library(&offers);
    cJSON_AddStringToObject(args, "host", d->conf->host);
    cJSON_AddStringToObject(args, "boot", d->state.boot);
    cJSON_AddNumberToObject(args, "pid", getpid());
    cJSON_AddStringToObject(args, "version", DDQ_VERSION);
    cJSON_AddItemToObject(args, "workers", workers_list(d));
    cJSON_AddItemToObject(args, "models", offers_models(&offers));
    cJSON_AddItemToObject(args, "references", names_of(references));
    cJSON_AddItemToObject(args, "library", references);
    cJSON_AddItemToObject(args, "offers", offers_names(&offers));
    cJSON_AddItemToObject(args, "files", offers_files(&offers));
    add_looked(d, args);
    json_add_text(args, "references_fault", d->registry.logged[0] ? d->registry.logged : NULL);
    cJSON_AddStringToObject(args, "root", d->conf->output_root);
    cJSON_AddBoolToObject(args, "drain", d->stage != STAGE_SERVING);
    cJSON_AddNumberToObject(args, "ttl_ms", HEARTBEAT_TTL_MS);
    return args;
}

/* The drains of the queue: {worker or "*": why}. */
static void take_drains(Daemon *d, const cJSON *drains)
{
    if (!cJSON_IsObject(drains) || d->stage != STAGE_SERVING)
        return;
    for (int i = 0; i < WORKERS_MAX; i++) {
        Worker *worker = &d->workers.rows[i];
        const cJSON *why = cJSON_GetObjectItemCaseSensitive(drains, "*");
        why = why ? why : cJSON_GetObjectItemCaseSensitive(drains, worker->device.name);
        if (!worker->used || worker->retired || (worker->broken[0] && !why))
            continue;
        worker->broken[0] = 0;
        worker_drain(worker, cJSON_GetStringValue(why));
    }
}

static void on_heartbeat(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)tag;
    Daemon *d = owner;
    if (err && err->kind == ERR_UNREACHABLE)
        return;
    if (err && err->kind == ERR_REFUSED) {
        d->on_host_refused(d, err);
    } else if (err) {
        log_error("host=%s heartbeat failed: %s", d->conf->host, err->text);
    } else {
        d->registered = true;
        take_drains(d, cJSON_GetObjectItemCaseSensitive(reply, "drains"));
        ready_check(d);
    }
}

void heartbeat_now(Daemon *d)
{
    d->next_heartbeat = mono_ms() + HEARTBEAT_MS;
    if (d->stage == STAGE_SERVING)
        registry_look(&d->registry);
    bad_devices_report(d);
    store_call(d->store, QUEUE_HEARTBEAT, heartbeat_args(d), on_heartbeat, d, 0);
}

void heartbeat_tick(Daemon *d, Mono now)
{
    if (now >= d->next_heartbeat && store_ready(d->store))
        heartbeat_now(d);
}

static void on_last_heartbeat(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)tag, (void)reply, (void)err;
    Daemon *d = owner;
    d->last_heartbeat_done = true;
}

void heartbeat_last(Daemon *d)
{
    if (!d->registered) {
        d->last_heartbeat_done = true;
        return;
    }
    cJSON *args = heartbeat_args(d);
    cJSON_AddBoolToObject(args, "gone", true);
    if (!store_call(d->store, QUEUE_HEARTBEAT, args, on_last_heartbeat, d, 0))
        d->last_heartbeat_done = true;
}
