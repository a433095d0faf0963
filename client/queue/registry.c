#include "client/queue/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"
#include "spec/model.h"
#include "spec/references.h"

enum { NAMES_MAX = 512 };

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

/* Names of one kind, of all hosts, each once. They belong to `hosts`. */
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
    char meant[MEANT_TEXT];
    err_set(err, ERR_USAGE,
            "no running daemon knows the %s '%.60s'%s They know: %s. A new one is named in the daemon's ddq.conf, [%s "
            "NAME]",
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

/* A file that this job needs and that the model of one host lacks; MODEL_ROLES when the host has all. Hosts of an
 * earlier version announce no family and only some roles: what is not announced is there. */
static ModelRole lacks(const cJSON *model, const JobSpec *spec)
{
    const ModelFamily *family = model_family(json_text(model, "family", ""));
    ModelRole role = 0;
    while (family && role < MODEL_ROLES &&
           !(family->use(spec, role) == FILE_REQUIRED &&
             cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(model, model_role_name(role)))))
        role++;
    return family ? role : MODEL_ROLES;
}

/* Some host has all files of the model that the job needs. */
static bool check_files(const cJSON *hosts, const cJSON *job, Err *err)
{
    JobSpec *spec;
    const cJSON *host;
    const char *name = json_text(job, "model", "");
    ModelRole role = MODEL_ROLES;
    if (!*name || !jobspec_parse(job, FORM_QUEUED, &spec, NULL)) /* plan.c says what is wrong with it */
        return true;
    cJSON_ArrayForEach(host, hosts)
    {
        const cJSON *model = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(host, "models"), name);
        if (model && (role = lacks(model, spec)) == MODEL_ROLES)
            break;
    }
    jobspec_free(spec);
    if (role == MODEL_ROLES)
        return true;
    return err_set(err, ERR_USAGE,
                   "the model '%.60s' has no %s, and this job needs it. Its checkpoint is named in the daemon's "
                   "ddq.conf, [model %.60s]",
                   name, model_role_name(role), name);
}

bool registry_check_hosts(const cJSON *hosts, const cJSON *jobs, Err *err)
{
    bool ok = true;
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs) ok = ok && check_name(hosts, "model", "models", json_text(job, "model", ""), err) &&
                                       check_reference(hosts, json_text(job, "reference", ""), err) &&
                                       check_files(hosts, job, err);
    return ok;
}

bool registry_check(Cmd *cmd, const cJSON *jobs, Err *err)
{
    cJSON *hosts;
    if (!registry_hosts(cmd, &hosts, err))
        return false;
    bool ok = true;
    if (!hosts->child)
        cmd_say(cmd,
                "ddq: no daemon is alive, so nobody could check the names in the job; it will wait for one (ddqd)");
    else
        ok = registry_check_hosts(hosts, jobs, err);
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
