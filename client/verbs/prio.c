/* ddq prio: the order of a user's own jobs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "core/json.h"

static bool number_of(const char *text, double *ret_number, Err *err)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= -100 && number <= 100) || number != floor(number))
        return err_set(err, ERR_USAGE, "ddq prio: the priority is '%.40s', wanted a whole number from -100 to 100",
                       text);
    *ret_number = number;
    return true;
}

static bool one(Cmd *cmd, const char *id, double priority, cJSON *changed, Err *err)
{
    const char *user;
    cJSON *reply, *args = cJSON_CreateObject();
    if (!cmd_user(cmd, &user, err)) {
        cJSON_Delete(args);
        return false;
    }
    cJSON_AddStringToObject(args, "user", user);
    cJSON_AddStringToObject(args, "id", id);
    cJSON_AddNumberToObject(args, "priority", priority);
    if (!cmd_call(cmd, QUEUE_PRIO, args, &reply, err))
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(reply, "status");
    if (cmd->quiet)
        puts(id);
    else if (!cmd->json)
        printf("%s has priority %.0f\n", id, json_number(reply, "priority", priority));
    cJSON_AddItemToArray(changed, reply);
    return true;
}

static bool prio_run(Cmd *cmd, Err *err)
{
    double priority = 0;
    if (!number_of(cmd->args[1], &priority, err))
        return false;
    cJSON *object = cJSON_CreateObject(), *changed = cJSON_AddArrayToObject(object, "jobs"), *ids = cJSON_CreateArray();
    bool ok = target_jobs(cmd, cmd->args[0], TARGET_ACTIVE, ids, err);
    for (const cJSON *id = ids->child; ok && id; id = id->next)
        ok = one(cmd, id->valuestring, priority, changed, err);
    if (ok && !ids->child)
        cmd_say(cmd, "all jobs of %s have ended", cmd->args[0]);
    if (ok && cmd->json)
        cmd_json(object);
    else
        cJSON_Delete(object);
    cJSON_Delete(ids);
    return ok;
}

const Verb verb_prio = {
    .name = "prio",
    .args = "ID|SWEEP N",
    .least = 2,
    .most = 2,
    .summary = "Set the order of your own jobs: -100 to 100, higher runs first",
    .detail = "  ddq prio k3f9x2m7qa 5\n"
              "  ddq prio k3f9x2m7qa -5\n"
              "The priority does not change the order between users.\n",
    .run = prio_run,
};
