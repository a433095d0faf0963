/* ddq quota: users' limits and usage. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/users.h"
#include "core/mem.h"

static const struct {
    const char *flag, *arg;
    double most;
} kinds[] = {{"gpus", "workers", 100000}, {"queued", "queued", 1e12}, {"day", "day", 1e12}};

/* "none", or a whole number. */
static bool add_limit(Cmd *cmd, size_t kind, cJSON *args, Err *err)
{
    const char *text = cmd_value(cmd, kinds[kind].flag);
    char *end = NULL;
    if (!text)
        return true;
    double number = strcmp(text, "none") == 0 ? -1 : strtod(text, &end);
    if (end && (end == text || *end || !(number >= 0 && number <= kinds[kind].most) || number != floor(number)))
        return err_set(err, ERR_USAGE, "ddq quota: --%s is '%.40s', wanted none or a whole number from 0 to %.0f",
                       kinds[kind].flag, text, kinds[kind].most);
    cJSON_AddNumberToObject(args, kinds[kind].arg, number);
    return true;
}

static bool quota_args(Cmd *cmd, cJSON *args, Err *err)
{
    const char *by;
    for (size_t i = 0; i < countof(kinds); i++)
        if (!add_limit(cmd, i, args, err))
            return false;
    bool changes = args->child != NULL;
    if (changes && !cmd->arg_count)
        return err_set(err, ERR_USAGE,
                       "ddq quota: USER is missing; '*' is the default for users without their own quota");
    if (cmd->arg_count && !users_check(cmd, cmd->args[0], changes, err))
        return false;
    if (changes && !cmd_user(cmd, &by, err))
        return false;
    if (changes)
        cJSON_AddStringToObject(args, "by", by);
    if (cmd->arg_count)
        cJSON_AddStringToObject(args, "user", cmd->args[0]);
    return true;
}

static void print_quotas(Cmd *cmd, const cJSON *reply)
{
    (void)cmd;
    users_quotas(cJSON_GetObjectItemCaseSensitive(reply, "users"), cJSON_GetObjectItemCaseSensitive(reply, "everybody"),
                 stdout);
}

static bool quota_run(Cmd *cmd, Err *err)
{
    cJSON *args = cJSON_CreateObject();
    if (quota_args(cmd, args, err))
        return users_answer(cmd, QUEUE_QUOTA, args, print_quotas, err);
    cJSON_Delete(args);
    return false;
}

static const Flag flags[] = {
    {"gpus", 0, "N", "workers at a time; none: no limit"},
    {"queued", 0, "N", "queued images; a submit that exceeds it is refused"},
    {"day", 0, "N", "images per day (UTC); jobs over it wait until midnight"},
    USERS_NEW_FLAG,
    {NULL, 0, NULL, NULL},
};

const Verb verb_quota = {
    .name = "quota",
    .args = "[USER]",
    .most = 1,
    .summary = "Show users' limits and usage, or set limits (administrators)",
    .detail = "  ddq quota ada --gpus 4 --queued 200000\n"
              "  ddq quota '*' --day 100000              default for users without their own quota\n"
              "  ddq quota ada --gpus none\n",
    .flags = flags,
    .run = quota_run,
};
