/* ddq gpus: hosts and their workers. */
#include <stdio.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"

static void print_drains(const cJSON *host)
{
    const char *name = json_text(host, "host", "");
    const cJSON *drain;
    cJSON_ArrayForEach(drain, cJSON_GetObjectItemCaseSensitive(host, "drains"))
    {
        bool whole = strcmp(drain->string, "*") == 0;
        printf("%s%s%s is ", name, whole ? "" : ":", whole ? "" : drain->string);
        term_put(stdout, drain->valuestring, 0);
        printf("; ddq resume %s%s%s ends that\n", name, whole ? "" : ":", whole ? "" : drain->string);
    }
}

static void add_worker(Table *table, const cJSON *host, const cJSON *worker)
{
    char memory[REGISTRY_TEXT], usable[REGISTRY_TEXT], pid[TERM_TEXT] = "";
    if (json_number(worker, "pid", 0) > 0) /* a drained worker has no process */
        snprintf(pid, sizeof pid, "%.0f", json_number(worker, "pid", 0));
    const char *state =
        registry_drain(host, json_text(worker, "name", "")) ? "drained" : json_text(worker, "state", "");
    table_cell(table, COLOR_BOLD, json_text(host, "host", ""));
    table_cell(table, COLOR_PLAIN, json_text(worker, "name", ""));
    table_cell(table,
               strcmp(state, "busy") == 0   ? COLOR_BLUE
               : strcmp(state, "gone") == 0 ? COLOR_RED
                                            : COLOR_PLAIN,
               state);
    table_cell(table, COLOR_PLAIN, json_text(worker, "job", ""));
    table_cell(table, COLOR_DIM, registry_memory(worker, "memory_mib", memory));
    table_cell(table, COLOR_DIM, registry_memory(worker, "free_mib", usable));
    table_cell(table, COLOR_DIM, pid);
    table_cell(table, COLOR_DIM, json_text(worker, "about", ""));
}

static void print_hosts(const cJSON *hosts)
{
    static const Column columns[] = {
        {"HOST", false, 0},  {"WORKER", false, 0}, {"STATE", false, 0}, {"JOB", false, 0},
        {"MEMORY", true, 2}, {"USABLE", true, 2},  {"PID", true, 3},    {"ABOUT", false, 4},
    };
    Table *table = table_new(columns, countof(columns));
    const cJSON *host, *worker;
    cJSON_ArrayForEach(host, hosts) cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
        add_worker(table, host, worker);
    table_print(table, stdout);
    table_free(table);
    cJSON_ArrayForEach(host, hosts)
    {
        if (!cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(host, "workers")))
            printf("%s has no workers\n", json_text(host, "host", ""));
        print_drains(host);
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(host, "drain")) && !registry_drain(host, "*"))
            printf("%s is draining: its workers take no new work\n", json_text(host, "host", ""));
    }
}

static bool gpus_run(Cmd *cmd, Err *err)
{
    cJSON *hosts;
    const cJSON *host, *worker;
    if (!registry_hosts(cmd, &hosts, err))
        return false;
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "hosts", hosts);
        cmd_json(object);
        return true;
    }
    if (cmd->quiet) {
        cJSON_ArrayForEach(host, hosts) cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
            printf("%s/%s\n", json_text(host, "host", ""), json_text(worker, "name", ""));
    } else {
        print_hosts(hosts);
        if (!hosts->child)
            cmd_say(cmd, "no daemon is alive; start ddqd on a host with a GPU, or ddqd --workers cpu:1 on any");
    }
    cJSON_Delete(hosts);
    return true;
}

const Verb verb_gpus = {
    .name = "gpus",
    .args = "",
    .summary = "List hosts and workers and what each is doing",
    .detail = "MEMORY: of the device. USABLE: what ddq can use of it; other programs use the rest.\n",
    .run = gpus_run,
};
