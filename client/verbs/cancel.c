/* ddq cancel, hold and release: one call per id. A sweep stands for those of its jobs to which the verb applies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "core/json.h"

static void print_state(const Cmd *cmd, const char *id, const char *state)
{
    if (cmd->quiet)
        puts(id);
    else
        printf("%s %s\n", id, state);
}

static bool one(Cmd *cmd, QueueFn fn, const char *id, cJSON *changed, Err *err)
{
    const char *user;
    cJSON *reply;
    if (!cmd_user(cmd, &user, err))
        return false;
    cJSON *args = cJSON_CreateObject(), *row;
    cJSON_AddStringToObject(args, "user", user);
    cJSON_AddStringToObject(args, "id", id);
    if (cmd_value(cmd, "reason"))
        cJSON_AddStringToObject(args, "reason", cmd_value(cmd, "reason"));
    if (!cmd_call(cmd, fn, args, &reply, err))
        return false;
    row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "id", id);
    cJSON_AddStringToObject(row, "state", json_text(reply, "state", ""));
    cJSON_AddItemToArray(changed, row);
    if (!cmd->json)
        print_state(cmd, id, json_text(reply, "state", ""));
    cJSON_Delete(reply);
    return true;
}

static bool each(Cmd *cmd, QueueFn fn, TargetWhich which, Err *err)
{
    cJSON *changed = cJSON_CreateArray();
    bool ok = true;
    for (int i = 0; ok && i < cmd->arg_count; i++) {
        cJSON *ids = cJSON_CreateArray();
        ok = target_jobs(cmd, cmd->args[i], which, ids, err);
        for (const cJSON *id = ids->child; ok && id; id = id->next)
            ok = one(cmd, fn, id->valuestring, changed, err);
        if (ok && !ids->child)
            cmd_say(cmd, "%s: none of its jobs can be changed this way", cmd->args[i]);
        cJSON_Delete(ids);
    }
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "jobs", changed);
        cmd_json(object);
    } else {
        cJSON_Delete(changed);
    }
    return ok;
}

static bool cancel_run(Cmd *cmd, Err *err)
{
    return each(cmd, QUEUE_CANCEL, TARGET_ACTIVE, err);
}

static bool hold_run(Cmd *cmd, Err *err)
{
    return each(cmd, QUEUE_HOLD, TARGET_ACTIVE, err);
}

static bool release_run(Cmd *cmd, Err *err)
{
    return each(cmd, QUEUE_RELEASE, TARGET_HELD, err);
}

static const Flag hold_flags[] = {
    {"reason", 'r', "[TEXT]", "the reason, shown with the job"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_cancel = {
    .name = "cancel",
    .args = "ID|SWEEP...",
    .least = 1,
    .most = -1,
    .summary = "End jobs; the images made so far stay in their folders",
    .run = cancel_run,
};

const Verb verb_hold = {
    .name = "hold",
    .args = "ID|SWEEP...",
    .least = 1,
    .most = -1,
    .summary = "Stop jobs until `ddq release`; finished images are kept",
    .flags = hold_flags,
    .run = hold_run,
};

const Verb verb_release = {
    .name = "release",
    .args = "ID|SWEEP...",
    .least = 1,
    .most = -1,
    .summary = "Continue held jobs",
    .run = release_run,
};
