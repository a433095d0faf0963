/* ddq share: who has had how much of the machines, and who gets how much. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/users.h"

static bool share_args(Cmd *cmd, cJSON *args, Err *err)
{
    const char *by;
    if (cmd->arg_count > 0)
        cJSON_AddStringToObject(args, "user", cmd->args[0]);
    if (cmd->arg_count < 2)
        return !cmd->arg_count || users_check(cmd, cmd->args[0], false, err);
    char *end;
    double weight = strtod(cmd->args[1], &end);
    if (end == cmd->args[1] || *end || !(weight >= 0.01 && weight <= 1000))
        return err_set(err, ERR_USAGE, "ddq share: the weight is '%.40s', wanted a number from 0.01 to 1000",
                       cmd->args[1]);
    if (!cmd_user(cmd, &by, err) || !users_check(cmd, cmd->args[0], true, err))
        return false;
    cJSON_AddNumberToObject(args, "weight", weight);
    cJSON_AddStringToObject(args, "by", by);
    return true;
}

static void print_shares(Cmd *cmd, const cJSON *reply)
{
    const cJSON *users = cJSON_GetObjectItemCaseSensitive(reply, "users");
    users_shares(users, stdout, term_width(stdout));
    if (!cJSON_GetArraySize(users))
        cmd_say(cmd, "nobody has work or a weight of their own");
}

static bool share_run(Cmd *cmd, Err *err)
{
    cJSON *args = cJSON_CreateObject();
    if (share_args(cmd, args, err))
        return users_answer(cmd, QUEUE_SHARE, args, print_shares, err);
    cJSON_Delete(args);
    return false;
}

static const Flag flags[] = {
    USERS_NEW_FLAG,
    {NULL, 0, NULL, NULL},
};

const Verb verb_share = {
    .name = "share",
    .args = "[USER [WEIGHT]]",
    .most = 2,
    .summary = "Who has had how much of the machines, whose turn it is first; or give a user another weight",
    .detail = "SHARE is what a user gets while all who have work now compete; USED is work of lately, half of it\n"
              "forgotten a day; AHEAD is how much more a user had than service has got to; QUEUED are images still\n"
              "to be made. Everybody's weight is 1 until root, or one of the administrators, sets another.\n"
              "  ddq share ada 3\n",
    .flags = flags,
    .run = share_run,
};
