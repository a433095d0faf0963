#include "daemon/work/bad_devices.h"

#include <stdio.h>

static void on_drained(void *owner, uint64_t tag, const cJSON *reply, const Err *err)
{
    (void)reply;
    const Daemon *d = owner;
    if (err && err->kind != ERR_UNREACHABLE)
        log_error("worker=%s its drain is not in the queue and is sent again with the next heartbeat: %s",
                  d->workers.rows[tag].device.name, err->text);
}

void bad_devices_report(Daemon *d)
{
    for (int i = 0; i < WORKERS_MAX; i++) {
        const Worker *worker = &d->workers.rows[i];
        if (!worker->used || !worker->broken[0])
            continue;
        cJSON *args = cJSON_CreateObject();
        cJSON_AddStringToObject(args, "host", d->conf->host);
        cJSON_AddStringToObject(args, "worker", worker->device.name);
        cJSON_AddStringToObject(args, "user", "ddqd");
        cJSON_AddStringToObject(args, "reason", worker->broken);
        store_call(d->store, QUEUE_DRAIN, args, on_drained, d, (uint64_t)i);
    }
}

void bad_devices_add(Daemon *d, Worker *worker, const char *why)
{
    snprintf(worker->broken, sizeof worker->broken, "%s", why);
    log_error("worker=%s its device is broken; it gets no work until ddq resume %s:%s: %s", worker->device.name,
              d->conf->host, worker->device.name, why);
    worker_drain(worker, worker->broken);
    bad_devices_report(d);
}
