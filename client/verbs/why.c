/* ddq why: what a job waits for, in one sentence with numbers, which queue/why.lua makes. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "core/json.h"

static bool ask(Cmd *cmd, const char *id, cJSON **ret_reply, Err *err)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "id", id);
    if (!cmd_call(cmd, QUEUE_WHY, args, ret_reply, err))
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(*ret_reply, "status");
    return true;
}

static void print(const Cmd *cmd, const cJSON *reply)
{
    if (!cmd->quiet)
        printf("%s%s%s %s: ", term_color(stdout, COLOR_BOLD), json_text(reply, "id", ""), term_reset(stdout),
               json_text(reply, "state", ""));
    term_put(stdout, json_text(reply, "text", ""), 0);
    putchar('\n');
}

/* Those of a sweep's jobs that have not ended. */
static bool why_group(Cmd *cmd, const char *group, Err *err)
{
    cJSON *ids = cJSON_CreateArray(), *object = cJSON_CreateObject(), *jobs = cJSON_AddArrayToObject(object, "jobs");
    bool ok = target_jobs(cmd, group, TARGET_ACTIVE, ids, err);
    for (const cJSON *id = ids->child; ok && id; id = id->next) {
        cJSON *reply;
        ok = ask(cmd, id->valuestring, &reply, err);
        if (ok && !cmd->json)
            print(cmd, reply);
        if (ok)
            cJSON_AddItemToArray(jobs, reply);
    }
    if (ok && !ids->child)
        cmd_say(cmd, "all jobs of %s have ended", group);
    if (ok && cmd->json)
        cmd_json(object);
    else
        cJSON_Delete(object);
    cJSON_Delete(ids);
    return ok;
}

static bool why_run(Cmd *cmd, Err *err)
{
    char *target;
    cJSON *reply;
    if (!target_resolve(cmd, cmd->args[0], &target, err))
        return false;
    bool group = target_is_group(target), ok = group ? why_group(cmd, target, err) : ask(cmd, target, &reply, err);
    free(target);
    if (!ok || group)
        return ok;
    if (cmd->json) {
        cmd_json(reply);
        return true;
    }
    print(cmd, reply);
    cJSON_Delete(reply);
    return true;
}

const Verb verb_why = {
    .name = "why",
    .args = "ID|SWEEP",
    .least = 1,
    .most = 1,
    .summary = "Explain in one sentence what a job waits for",
    .detail = "--quiet prints only the sentence.\n",
    .run = why_run,
};
