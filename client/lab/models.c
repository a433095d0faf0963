/* ddq models: the models and references of the live daemons. */
#include <stdio.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/model.h"

/* Adds `host` to the entry called `name`, which is created if necessary. */
static cJSON *entry(cJSON *list, const char *name, const char *host)
{
    cJSON *item;
    cJSON_ArrayForEach(item, list) if (strcmp(json_text(item, "name", ""), name) == 0) break;
    if (!item) {
        item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", name);
        cJSON_AddItemToObject(item, "hosts", cJSON_CreateArray());
        cJSON_AddItemToArray(list, item);
    }
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(item, "hosts"), cJSON_CreateString(host));
    return item;
}

static cJSON *gather(const cJSON *hosts)
{
    cJSON *all = cJSON_CreateObject();
    cJSON *models = cJSON_AddArrayToObject(all, "models"), *references = cJSON_AddArrayToObject(all, "references");
    const cJSON *host, *item, *part;
    cJSON_ArrayForEach(host, hosts)
    {
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(host, "models"))
        {
            cJSON *model = entry(models, item->string ? item->string : "", json_text(host, "host", ""));
            cJSON_ArrayForEach(part, item) if (!cJSON_HasObjectItem(model, part->string))
                cJSON_AddItemToObject(model, part->string, cJSON_Duplicate(part, true));
        }
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(host, "references")) if (cJSON_IsString(item))
            entry(references, item->valuestring, json_text(host, "host", ""));
    }
    return all;
}

/* The optional files that this model has. */
static Buf has_of(const cJSON *model)
{
    Buf has = {0};
    const ModelFamily *family = model_family(json_text(model, "family", ""));
    for (ModelRole role = 0; family && role < MODEL_ROLES; role++)
        if (family->files[role] == FILE_OPTIONAL &&
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(model, model_role_name(role))))
            buf_printf(&has, "%s%s", has.len ? ", " : "", model_role_name(role));
    return has;
}

static void add_rows(Table *table, const cJSON *list, const char *kind)
{
    const cJSON *item, *host;
    cJSON_ArrayForEach(item, list)
    {
        Buf hosts = {0};
        cJSON_ArrayForEach(host, cJSON_GetObjectItemCaseSensitive(item, "hosts"))
            buf_printf(&hosts, "%s%s", hosts.len ? " " : "", host->valuestring);
        Buf has = has_of(item);
        table_cell(table, COLOR_PLAIN, kind);
        table_cell(table, COLOR_BOLD, json_text(item, "name", ""));
        table_cell(table, COLOR_PLAIN, has.data ? has.data : "");
        table_cell(table, COLOR_DIM, hosts.data);
        buf_free(&hosts);
        buf_free(&has);
    }
}

static bool models_run(Cmd *cmd, Err *err)
{
    static const Column columns[] = {{"KIND", false, 1}, {"NAME", false, 0}, {"HAS", false, 2}, {"HOSTS", false, 3}};
    cJSON *hosts;
    if (!registry_hosts(cmd, &hosts, err))
        return false;
    cJSON *all = gather(hosts);
    if (cmd->json) {
        cJSON_Delete(hosts);
        cmd_json(all);
        return true;
    }
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(all, "models"), *item;
    if (cmd->quiet) {
        cJSON_ArrayForEach(item, models) puts(json_text(item, "name", ""));
    } else {
        Table *table = table_new(columns, countof(columns));
        add_rows(table, models, "model");
        add_rows(table, cJSON_GetObjectItemCaseSensitive(all, "references"), "reference");
        table_print(table, stdout);
        table_free(table);
        if (!hosts->child)
            cmd_say(cmd, "no daemon is alive, so no models are offered");
    }
    cJSON_Delete(all);
    cJSON_Delete(hosts);
    return true;
}

const Verb verb_models = {
    .name = "models",
    .args = "",
    .summary = "List the models and references that the live daemons offer",
    .run = models_run,
};
