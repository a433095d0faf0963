#include "daemon/work/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/work/state.h"

enum {
    TICK_MS = 500,
    LINES_MAX = 100 /* that wait to be sent for one lease; more are dropped, with a note in the log */
};

void progress_tick(Daemon *d, Lease *lease, Mono now)
{
    if (now < lease->next_tick)
        return;
    lease->next_tick = now + TICK_MS;
    const Worker *worker = &d->workers.rows[lease - d->leases];
    cJSON *tick = cJSON_CreateObject();
    cJSON_AddStringToObject(tick, "type", "progress");
    cJSON_AddStringToObject(tick, "job", lease->job);
    cJSON_AddStringToObject(tick, "token", lease->token);
    cJSON_AddStringToObject(tick, "host", d->conf->host);
    cJSON_AddStringToObject(tick, "worker", worker->device.name);
    cJSON_AddStringToObject(tick, "phase", lease->phase);
    cJSON_AddStringToObject(tick, "stage", lease->stage);
    cJSON_AddNumberToObject(tick, "lo", (double)lease->lo);
    cJSON_AddNumberToObject(tick, "hi", (double)lease->hi);
    cJSON_AddNumberToObject(tick, "upto", (double)lease->upto);
    cJSON_AddNumberToObject(tick, "rate", lease->rate);
    char *text = cJSON_PrintUnformatted(tick), *channel = xasprintf(QUEUE_CHANNEL_JOB, lease->job);
    store_publish(d->store, channel, text);
    free(channel);
    cJSON_free(text);
    cJSON_Delete(tick);
}

void progress_line(Daemon *d, Worker *worker, LogLevel level, const char *text)
{
    Lease *lease = &d->leases[worker->index];
    bool says_job = strncmp(text, "job=", 4) == 0 || !lease->held;
    log_line(level, "worker=%s pid=%d%s%s %s", worker->device.name, worker->process.pid,
             says_job ? "" : " job=", says_job ? "" : lease->job, text);
    if (!lease->held || level == LOG_TRACE)
        return;
    if (!lease->lines)
        lease->lines = cJSON_CreateArray();
    int waiting = cJSON_GetArraySize(lease->lines);
    if (waiting <= LINES_MAX) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "level", log_level_name(level));
        cJSON_AddStringToObject(line, "text",
                                waiting < LINES_MAX ? text : "(further lines are only in the daemon's log)");
        cJSON_AddItemToArray(lease->lines, line);
    }
}

void progress_flush(Daemon *d, Lease *lease)
{
    if (!lease->lines)
        return;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "job", lease->job);
    cJSON_AddItemToObject(args, "lines", lease->lines);
    lease->lines = NULL;
    store_call(d->store, QUEUE_LOG, args, NULL, d, 0);
}

void progress_flush_all(Daemon *d, Mono now)
{
    if (now < d->next_flush)
        return;
    d->next_flush = now + TICK_MS;
    for (int i = 0; i < WORKERS_MAX; i++)
        if (d->leases[i].held)
            progress_flush(d, &d->leases[i]);
}
