/* ddq drain and ddq resume: take a host, or one worker of it, out of service and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"

/* HOST, HOST:WORKER, or HOST/WORKER as `ddq gpus --quiet` prints it. */
static cJSON *args_of(const Cmd *cmd, const char *user, const char *word)
{
    size_t len = strcspn(word, ":/");
    char *host = xasprintf("%.*s", (int)len, word);
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "host", host);
    cJSON_AddStringToObject(args, "user", user);
    if (word[len])
        cJSON_AddStringToObject(args, "worker", word + len + 1);
    if (cmd_value(cmd, "reason"))
        cJSON_AddStringToObject(args, "reason", cmd_value(cmd, "reason"));
    free(host);
    return args;
}

static void print_change(const Cmd *cmd, const char *word, const cJSON *reply)
{
    if (cmd->quiet)
        puts(word);
    else if (*json_text(reply, "reason", ""))
        printf("%s is %s\n", word, json_text(reply, "reason", ""));
    else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "changed")))
        printf("%s is resumed\n", word);
    else
        printf("%s was not drained\n", word);
}

static bool each(Cmd *cmd, QueueFn fn, Err *err)
{
    const char *user;
    if (!cmd_user(cmd, &user, err))
        return false;
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "hosts");
    bool ok = true;
    for (int i = 0; ok && i < cmd->arg_count; i++) {
        cJSON *reply = NULL;
        ok = cmd_call(cmd, fn, args_of(cmd, user, cmd->args[i]), &reply, err);
        if (ok && !cmd->json)
            print_change(cmd, cmd->args[i], reply);
        if (ok) {
            cJSON_DeleteItemFromObjectCaseSensitive(reply, "status");
            cJSON_AddItemToArray(list, reply);
        }
    }
    if (cmd->json && ok)
        cmd_json(object);
    else
        cJSON_Delete(object);
    return ok;
}

static bool drain_run(Cmd *cmd, Err *err)
{
    return each(cmd, QUEUE_DRAIN, err);
}

static bool resume_run(Cmd *cmd, Err *err)
{
    return each(cmd, QUEUE_RESUME, err);
}

static const Flag drain_flags[] = {
    {"reason", 'r', "[TEXT]", "the reason, shown to other users"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_drain = {
    .name = "drain",
    .args = "HOST[:WORKER]...",
    .least = 1,
    .most = -1,
    .summary = "Take hosts or workers out of service until `ddq resume`",
    .detail = "  ddq drain node1 --reason 'replacing a fan'\n"
              "  ddq drain node1:cuda:0                  `ddq gpus` lists the workers\n"
              "A drained worker finishes its batch, returns the rest to the queue, which does not count as a failure, "
              "and exits, so that its device is free. A drain survives restarts.\n",
    .flags = drain_flags,
    .run = drain_run,
};

const Verb verb_resume = {
    .name = "resume",
    .args = "HOST[:WORKER]...",
    .least = 1,
    .most = -1,
    .summary = "Return drained hosts or workers to service",
    .run = resume_run,
};
