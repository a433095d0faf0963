/* The list: each host announces its own with its heartbeat, as "library". What was registered or removed since then
 * lies in the folder, or no longer does, and the folder is read where it can be seen from here. */
#include "client/jobs/refs_known.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/references.h"

const cJSON *refs_find(const cJSON *references, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, references) if (strcmp(json_text(item, "name", ""), name) == 0) return item;
    return NULL;
}

/* Adds an entry of a host's library (NULL: only its name is known) to the list; host NULL: of no host. */
static void merge(cJSON *list, const cJSON *entry, const char *name, const char *host)
{
    cJSON *row = (cJSON *)refs_find(list, name);
    if (!row) {
        const cJSON *fact;
        row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", name);
        cJSON_ArrayForEach(fact, entry) if (!cJSON_HasObjectItem(row, fact->string))
            cJSON_AddItemToObject(row, fact->string, cJSON_Duplicate(fact, true));
        cJSON_DeleteItemFromObjectCaseSensitive(row, "hosts");
        cJSON_AddArrayToObject(row, "hosts");
        cJSON_AddItemToArray(list, row);
    }
    if (host)
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(row, "hosts"), cJSON_CreateString(host));
}

/* What lies in the folder of registered references of a host; NULL where that cannot be seen from here. */
static cJSON *folder_of(const cJSON *host)
{
    const char *root = json_text(host, "root", "");
    if (!*root || access(root, R_OK | X_OK) != 0)
        return NULL;
    char *folder = references_folder(root);
    Err bad = {0};
    cJSON *entries = references_scan(folder, &bad);
    free(folder);
    if (bad.kind == ERR_PERMISSION) {
        cJSON_Delete(entries);
        return NULL;
    }
    return entries;
}

static void merge_host(cJSON *list, const cJSON *host)
{
    const cJSON *library = cJSON_GetObjectItemCaseSensitive(host, "library"), *name, *entry;
    cJSON *folder = folder_of(host);
    cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(host, "references"))
    {
        entry = cJSON_GetObjectItemCaseSensitive(library, cJSON_IsString(name) ? name->valuestring : "");
        bool registered = *json_text(entry, "user", "") != 0;
        if (cJSON_IsString(name) && !(registered && folder && !cJSON_HasObjectItem(folder, name->valuestring)))
            merge(list, entry, name->valuestring, json_text(host, "host", ""));
    }
    cJSON_ArrayForEach(entry, folder) merge(list, entry, entry->string, NULL);
    cJSON_Delete(folder);
}

/* Without a queue: the references of the local configuration and of the folder. */
static bool merge_here(Cmd *cmd, cJSON *list, Err *err)
{
    const Conf *conf;
    char *folder;
    bool shared;
    if (!cmd_conf(cmd, &conf, err) || !refs_folder(cmd, &folder, &shared, err))
        return false;
    for (int i = 0; i < conf->reference_count; i++) {
        const ConfReference *reference = &conf->references[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "kind", reference->statistics ? "statistics" : "images");
        cJSON_AddStringToObject(entry, "path", conf_reference_path(reference));
        if (reference->pipeline)
            cJSON_AddStringToObject(entry, "pipeline", reference->pipeline);
        cJSON_AddStringToObject(entry, "from", "ddq.conf");
        merge(list, entry, reference->name, NULL);
        cJSON_Delete(entry);
    }
    cJSON *registered = references_scan(folder, NULL);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, registered) merge(list, entry, entry->string, NULL);
    cJSON_Delete(registered);
    free(folder);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(json_text(*(cJSON *const *)a, "name", ""), json_text(*(cJSON *const *)b, "name", ""));
}

static cJSON *sorted(cJSON *list)
{
    int count = cJSON_GetArraySize(list);
    cJSON **rows = xcalloc((size_t)count + 1, sizeof(cJSON *)), *result = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        rows[i] = cJSON_DetachItemFromArray(list, 0);
    qsort(rows, (size_t)count, sizeof(cJSON *), by_name);
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(result, rows[i]);
    free(rows);
    cJSON_Delete(list);
    return result;
}

bool refs_known(Cmd *cmd, cJSON **ret_references, Err *err)
{
    cJSON *hosts = NULL, *list = cJSON_CreateArray();
    const cJSON *host;
    bool reached = registry_hosts(cmd, &hosts, err), good = reached;
    if (reached) {
        cJSON_ArrayForEach(host, hosts) merge_host(list, host);
    } else if (err->kind == ERR_UNREACHABLE) {
        err_clear(err);
        good = merge_here(cmd, list, err);
    }
    if (good && !(hosts && hosts->child))
        cmd_say(cmd, reached ? "no daemon is alive, so no references are offered"
                             : "the queue cannot be reached; these are known on this machine");
    cJSON_Delete(hosts);
    if (good)
        *ret_references = sorted(list);
    else
        cJSON_Delete(list);
    return good;
}

bool refs_folder(Cmd *cmd, char **ret_folder, bool *ret_shared, Err *err)
{
    cJSON *hosts = NULL;
    const Conf *conf;
    Err none = {0};
    const char *root = "";
    if (!cmd_conf(cmd, &conf, err))
        return false;
    if (registry_hosts(cmd, &hosts, &none) && hosts->child)
        root = json_text(hosts->child, "root", "");
    char *own = conf_output_root(conf);
    *ret_folder = references_folder(*root ? root : own);
    *ret_shared = *root != 0;
    free(own);
    cJSON_Delete(hosts);
    return true;
}
