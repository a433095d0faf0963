/* How a job is to be queued: the flags of `submit` and `run` that are no field of the job, checked and read. */
#ifndef CLIENT_SUBMIT_PLACEMENT_H
#define CLIENT_SUBMIT_PLACEMENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

/* Rows for the verbs' tables of flags. */
#define PLACEMENT_FLAGS                                                                                                \
    {"tier", 0, "TIER", "interactive (first, limited time per hour), normal (default) or scavenger (when idle)"},      \
        {"max-gpus", 0, "N", "run on at most N workers at a time"},                                                    \
        {"at", 0, "TIME", "start no earlier than 22:00, 2026-11-24T08:00 (local time, or with Z or +02:00) or +2h"},   \
        {"window", 0, "FROM-TO", "run only in these hours: 22:00-07:00 (local time, or with Z or +02:00)"},            \
        {"after", 0, "ID,...", "start when these jobs, or all jobs of a sweep, are done"},                             \
        {"after-failed", 0, "WHAT", "what to do if one of them is not done in the end: fail (default), run or hold"},  \
        {"hold", 0, NULL, "submit on hold; start it with ddq release"},                                                \
        {"priority", 'p', "N", "order among your own jobs: higher runs first (-100 to 100, default 0)"},               \
        {"new", 0, NULL, "queue a new job, even if the same spec was run with the same files within a day"},           \
        {"then", 0, "evaluate", "measure the images in a second job, against the reference of this one"},              \
        {"sweep", 0, "FIELD=A,B", "one job per value; repeat the flag for combinations; separate lists with ;"},       \
    {                                                                                                                  \
        "dry-run", 0, NULL, "queue nothing; show the cost, the memory and when it would start"                         \
    }

/* The arguments of ddq_submit that the flags give: tier, max_gpus, at, window, after[], after_failed, hold, priority,
 * new. Calls the queue only for --after. The caller owns them. */
bool placement_read(Cmd *cmd, cJSON **ret_args, Err *err);

/* What the flag may be, to a NULL, where that is one of some words; else NULL. */
const char *const *placement_words(const char *flag);

#endif
