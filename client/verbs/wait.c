/* ddq wait and ddq watch: the same wait, without and with progress. */
#include <stdlib.h>

#include "client/cmd.h"
#include "client/jobs/follow.h"
#include "client/queue/target.h"
#include "core/mem.h"

static bool wait_for(Cmd *cmd, bool progress, Err *err)
{
    Follow follow = {.progress = progress};
    if (!flags_span(&cmd->line, "timeout", 0.001, 1e9, &follow.timeout_s, err))
        return false;
    char **ids = xcalloc((size_t)cmd->arg_count, sizeof *ids);
    bool ok = true;
    for (int i = 0; ok && i < cmd->arg_count; i++) /* an unknown id is an error before any wait */
        ok = target_resolve(cmd, cmd->args[i], &ids[i], err);
    ok = ok && follow_jobs(cmd, ids, cmd->arg_count, &follow, err);
    for (int i = 0; i < cmd->arg_count; i++)
        free(ids[i]);
    free(ids);
    return ok;
}

static bool wait_run(Cmd *cmd, Err *err)
{
    return wait_for(cmd, false, err);
}

static bool watch_run(Cmd *cmd, Err *err)
{
    return wait_for(cmd, true, err);
}

static const Flag flags[] = {
    {"timeout", 0, "TIME",
     "stop waiting after this time (5s, 30m, 2h; a bare number: seconds), with exit status 101; the job continues"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_wait = {
    .name = "wait",
    .args = "ID|SWEEP...",
    .least = 1,
    .most = -1,
    .summary = "Wait until jobs end, then print their results",
    .detail = "The exit status is the job's: 0 done, 100 failed, 103 cancelled, 104 done with missing images, 105 held "
              "(ddq release continues it); the highest of several jobs.\n",
    .flags = flags,
    .run = wait_run,
};

const Verb verb_watch = {
    .name = "watch",
    .args = "ID|SWEEP...",
    .least = 1,
    .most = -1,
    .summary = "Show progress until jobs end, then their results and files",
    .flags = flags,
    .run = watch_run,
};
