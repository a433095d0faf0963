/* ddq why: what a job waits for, in one sentence with numbers; the sentence is the queue's (core/queue_why.lua). */
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/job.h"

static bool why_run(Cmd *cmd, Err *err)
{
    char *id;
    cJSON *reply, *args = cJSON_CreateObject();
    if (!cmd_id(cmd->args[0], &id, err)) {
        cJSON_Delete(args);
        return false;
    }
    cJSON_AddStringToObject(args, "id", id);
    free(id);
    if (!cmd_call(cmd, QUEUE_WHY, args, &reply, err))
        return false;
    if (cmd->json) {
        cJSON_DeleteItemFromObjectCaseSensitive(reply, "status");
        cmd_json(reply);
        return true;
    }
    if (!cmd->quiet)
        printf("%s%s%s %s: ", term_color(stdout, COLOR_BOLD), job_text(reply, "id"), term_reset(stdout),
               job_text(reply, "state"));
    term_put(stdout, job_text(reply, "text"), 0);
    putchar('\n');
    cJSON_Delete(reply);
    return true;
}

const Verb verb_why = {
    .name = "why",
    .args = "ID",
    .least = 1,
    .most = 1,
    .summary = "Say in one sentence what a job waits for, with numbers; with --quiet the sentence alone",
    .run = why_run,
};
