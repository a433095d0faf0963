/* ddq share: usage and fair share per user. */
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
        cmd_say(cmd, "no user has work or a weight other than 1");
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
    .summary = "Show users' usage and order, or set a user's weight (administrators)",
    .detail = "  ddq share ada 3\n"
              "WEIGHT   relative share of the workers; 1 unless an administrator sets another\n"
              "SHARE    part of the workers that the user gets while all users with work compete\n"
              "USED     recent usage in worker time, halved every day (setting half-life)\n"
              "AHEAD    usage beyond the fair share; the user with the least goes first\n"
              "QUEUED   images still to be made; TODAY: images taken by workers today (UTC)\n",
    .flags = flags,
    .run = share_run,
};
