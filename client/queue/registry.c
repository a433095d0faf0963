#include "client/queue/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/fits.h"
#include "client/queue/job.h"
#include "client/terminal/interrupt.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"
#include "spec/references.h"

enum { NAMES_MAX = 512, PATHS_MAX = 32 /* that ddq_look takes */ };

static void set_text(cJSON *object, const char *field, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, field);
    cJSON_AddStringToObject(object, field, text);
}

/* What a worker does: its heartbeat is up to some seconds old, the queue knows its lease at once. */
static void correct_workers(cJSON *host)
{
    const cJSON *busy = cJSON_GetObjectItemCaseSensitive(host, "busy");
    cJSON *worker;
    if (!busy) /* the queue's library is an older one */
        return;
    cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
    {
        const char *job = json_text(busy, json_text(worker, "name", ""), ""), *state = json_text(worker, "state", "");
        bool says_busy = strcmp(state, "busy") == 0;
        if (*job && (strcmp(state, "idle") == 0 || strcmp(state, "claiming") == 0))
            set_text(worker, "state", "busy");
        else if (!*job && says_busy)
            set_text(worker, "state", "idle");
        if (*job || says_busy)
            set_text(worker, "job", job);
    }
}

bool registry_hosts(Cmd *cmd, cJSON **ret_hosts, Err *err)
{
    cJSON *reply;
    if (!cmd_call(cmd, QUEUE_HOSTS, NULL, &reply, err))
        return false;
    cJSON *hosts = cJSON_GetObjectItemCaseSensitive(reply, "hosts"), *next;
    *ret_hosts = cJSON_CreateArray();
    for (cJSON *host = hosts ? hosts->child : NULL; host; host = next) {
        next = host->next;
        correct_workers(host);
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(host, "alive")))
            cJSON_AddItemToArray(*ret_hosts, cJSON_DetachItemViaPointer(hosts, host));
    }
    cJSON_Delete(reply);
    return true;
}

/* Names of one kind, of all hosts, each once. `hosts` owns them. */
static int collect(const cJSON *hosts, const char *field, const char **names)
{
    int count = 0;
    const cJSON *host, *item;
    cJSON_ArrayForEach(host, hosts) cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(host, field))
    {
        const char *name =
            item->string ? item->string : cJSON_GetStringValue(item); /* an object's key, a list's text */
        int i = 0;
        while (i < count && strcmp(names[i], name ? name : "") != 0)
            i++;
        if (name && i == count && count < NAMES_MAX)
            names[count++] = name;
    }
    return count;
}

static bool check_name(const cJSON *hosts, const char *what, const char *field, const char *name, Err *err)
{
    const char *names[NAMES_MAX];
    int count = collect(hosts, field, names);
    Buf all = {0};
    if (!*name)
        return true;
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            buf_free(&all);
            return true;
        }
        if (i < 20)
            buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    const cJSON *host;
    const char *fault = "";
    cJSON_ArrayForEach(host, hosts) if (!*fault && strcmp(what, "reference") == 0) fault =
        json_text(host, "references_fault", "");
    char meant[MEANT_TEXT];
    if (*fault) {
        err_set(err, ERR_USAGE,
                "no running daemon offers the reference '%.60s', and one cannot read all references: %s", name, fault);
        buf_free(&all);
        return false;
    }
    err_set(err, ERR_USAGE,
            "no running daemon offers the %s '%.60s'%s Offered: %s. To add one, write a section [%s NAME] in the "
            "daemon's ddq.conf",
            what, name, nearest_meant(nearest_name(name, names, count), meant), all.data ? all.data : "none", what);
    buf_free(&all);
    return false;
}

/* A reference that was registered since the last heartbeats: it lies in the folder of some host, seen from here. */
static bool registered(const cJSON *hosts, const char *name)
{
    const cJSON *host;
    bool found = false;
    cJSON_ArrayForEach(host, hosts)
    {
        Err unread = {0};
        cJSON *entry = NULL;
        char *folder = references_folder(json_text(host, "root", ""));
        found = found || (*json_text(host, "root", "") && references_read(folder, name, &entry, &unread));
        cJSON_Delete(entry);
        free(folder);
    }
    return found;
}

static bool check_reference(const cJSON *hosts, const char *name, Err *err)
{
    if (check_name(hosts, "reference", "references", name, err))
        return true;
    if (!registered(hosts, name))
        return false;
    err_clear(err);
    return true;
}

/* --- looking ------------------------------------------------------------------------------------------------ */

enum { LOOK_MS = 10000, POLL_MS = 30 };

static bool ask_look(Cmd *cmd, cJSON *args, double *ret_since, bool *ret_fresh)
{
    cJSON *reply;
    Err none = {0};
    if (!cmd_call(cmd, QUEUE_LOOK, args, &reply, &none))
        return false;
    *ret_since = json_number(reply, "since", 0);
    *ret_fresh = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "fresh"));
    cJSON_Delete(reply);
    return true;
}

bool registry_look(Cmd *cmd, const cJSON *paths, double *ret_since)
{
    Mono deadline = mono_ms() + LOOK_MS;
    bool fresh = false;
    cJSON *args = cJSON_CreateObject();
    if (paths && paths->child)
        cJSON_AddItemToObject(args, "paths", cJSON_Duplicate(paths, true));
    if (!ask_look(cmd, args, ret_since, &fresh))
        return false;
    while (!fresh && mono_ms() < deadline && interrupt_sleep(POLL_MS)) {
        args = cJSON_CreateObject();
        cJSON_AddNumberToObject(args, "since", *ret_since);
        if (!ask_look(cmd, args, ret_since, &fresh))
            return false;
    }
    return true;
}

/* --- checking ----------------------------------------------------------------------------------------------- */

static bool check_names(const cJSON *hosts, const cJSON *jobs, Err *err)
{
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs) if (!check_name(hosts, "model", "models", json_text(job, "model", ""), err) ||
                                      !check_reference(hosts, json_text(job, "reference", ""), err)) return false;
    return true;
}

static cJSON *paths_of(const cJSON *jobs)
{
    cJSON *paths = cJSON_CreateArray();
    const cJSON *job, *path;
    cJSON_ArrayForEach(job, jobs)
    {
        cJSON *inputs = jobspec_inputs(job);
        cJSON_ArrayForEach(path, inputs)
        {
            const cJSON *known;
            bool have = cJSON_GetArraySize(paths) >= PATHS_MAX;
            cJSON_ArrayForEach(known, paths) have |= strcmp(known->valuestring, path->valuestring) == 0;
            if (!have)
                cJSON_AddItemToArray(paths, cJSON_CreateString(path->valuestring));
        }
        cJSON_Delete(inputs);
    }
    return paths;
}

static bool check_all(const cJSON *hosts, const cJSON *jobs, bool later, Err *err)
{
    return check_names(hosts, jobs, err) && fits_all(hosts, jobs, later, err);
}

bool registry_check_hosts(const cJSON *hosts, const cJSON *jobs, Err *err)
{
    return check_all(hosts, jobs, false, err);
}

/* Some host has just started, and will soon tell of its files. */
static bool not_yet_told(const cJSON *hosts)
{
    const cJSON *host;
    cJSON_ArrayForEach(host, hosts) if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(host, "looks")) &&
                                        !cJSON_HasObjectItem(host, "looked_ms")) return true;
    return false;
}

/* A refusal is founded on what the hosts see now: they are asked to look before it. */
static bool check_fresh(Cmd *cmd, cJSON **hosts, const cJSON *jobs, bool later, Err *err)
{
    cJSON *paths = later ? cJSON_CreateArray() : paths_of(jobs), *fresh;
    Err why = {0};
    double since;
    bool look = paths->child != NULL || not_yet_told(*hosts), good = !look && check_all(*hosts, jobs, later, &why);
    if (!good && registry_look(cmd, paths, &since) && registry_hosts(cmd, &fresh, &why)) {
        cJSON_Delete(*hosts);
        *hosts = fresh;
    }
    cJSON_Delete(paths);
    return good || check_all(*hosts, jobs, later, err);
}

bool registry_check(Cmd *cmd, const cJSON *jobs, bool later, Err *err)
{
    cJSON *hosts;
    if (!registry_hosts(cmd, &hosts, err))
        return false;
    bool ok = true;
    if (!hosts->child)
        cmd_say(cmd, "ddq: no daemon is alive: the names in the job are not checked, and it waits until a ddqd runs");
    else
        ok = check_fresh(cmd, &hosts, jobs, later, err);
    cJSON_Delete(hosts);
    return ok;
}

const char *registry_memory(const cJSON *worker, const char *field, char text[REGISTRY_TEXT])
{
    double mib = json_number(worker, field, -1);
    snprintf(text, REGISTRY_TEXT, mib > 0 || (mib == 0 && strcmp(field, "free_mib") == 0) ? "%.1f GiB" : "",
             mib / 1024);
    return text;
}

const char *registry_drain(const cJSON *host, const char *worker)
{
    const cJSON *drains = cJSON_GetObjectItemCaseSensitive(host, "drains");
    const cJSON *why = cJSON_GetObjectItemCaseSensitive(drains, "*");
    return cJSON_GetStringValue(why ? why : cJSON_GetObjectItemCaseSensitive(drains, worker));
}
