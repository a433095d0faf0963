/* How a job is to be queued: the flags of `submit` and `run` that are no field of the job, checked and read. */
#ifndef CLIENT_SUBMIT_PLACEMENT_H
#define CLIENT_SUBMIT_PLACEMENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

/* Rows for the verbs' tables of flags. */
#define PLACEMENT_FLAGS                                                                                                \
    {"tier", 0, "TIER", "interactive (first, a little an hour), normal (default) or scavenger (what is left over)"},   \
        {"max-gpus", 0, "N", "on at most so many workers at once"},                                                    \
        {"at", 0, "TIME", "not before: 22:00, 2026-11-24T08:00 (here, or with Z or +02:00), or +2h"},                  \
        {"window", 0, "FROM-TO", "only in these hours of a day: 22:00-07:00 (here, or with Z or +02:00)"},             \
        {"after", 0, "ID,...", "start when these jobs, or all of a sweep, are done"},                                  \
        {"after-failed", 0, "WHAT", "when one of them does not end well: fail (default), run all the same, or hold"},  \
        {"hold", 0, NULL, "held from the start: nobody begins before ddq release"},                                    \
        {"priority", 'p', "N", "among your own jobs, higher runs first (-100 to 100, default 0)"},                     \
        {"new", 0, NULL, "a job of its own, even if one of the same spec was made from the same files within a day"},  \
        {"then", 0, "evaluate", "a job of its own measures the images afterwards, with the reference of this one"},    \
        {"sweep", 0, "FIELD=A,B", "a job for each value; several: for each combination. Lists are parted by ;"},       \
    {                                                                                                                  \
        "dry-run", 0, NULL, "queue nothing: say what it would cost, need and wait for"                                 \
    }

/* The arguments of ddq_submit that the flags give: tier, max_gpus, at, window, after[], after_failed, hold, priority,
 * new. Asks the queue only where --after names jobs. The caller owns them. */
bool placement_read(Cmd *cmd, cJSON **ret_args, Err *err);

/* What the flag may be, to a NULL, where that is one of some words; else NULL. */
const char *const *placement_words(const char *flag);

#endif
