/* Putting jobs into the queue, for `ddq submit` and `ddq run`. */
#ifndef CLIENT_VERBS_SUBMIT_H
#define CLIENT_VERBS_SUBMIT_H

#include <stdbool.h>

#include "client/cmd.h"
#include "client/jobs/follow.h"
#include "client/submit/plan.h"

typedef struct Submitted {
    char **ids; /* with --then, each evaluation after its job */
    int count;
    bool *is_known; /* of each: the queue had it already */
    bool waits;     /* its results are shown */
    int known;      /* how many of these were in the queue already: the same spec within a day */
    char *group;    /* USER/NAME of a sweep (with --then, of its evaluations), else NULL */
} Submitted;

/* Queues all jobs of the plan, and saves the last job, or the sweep, as '@'. */
bool submit_jobs(Cmd *cmd, const Plan *plan, Submitted *ret_done, Err *err);
void submitted_free(Submitted *done);

/* follow_jobs; a sweep is followed as one job. */
bool submitted_follow(Cmd *cmd, const Submitted *done, const Follow *how, Err *err);

#endif
