/* What a command line would put into the queue: all of it checked, nothing sent. */
#ifndef CLIENT_SUBMIT_PLAN_H
#define CLIENT_SUBMIT_PLAN_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"
#include "client/submit/sweep.h"

typedef struct Plan {
    cJSON *jobs;        /* specs (client/submit/specs.h) */
    cJSON *evaluations; /* --then evaluate: one for each of them, else NULL */
    cJSON *placement;   /* client/submit/placement.h */
    Sweep *sweep;       /* NULL: none */
    bool waits;         /* the results are waited for and shown */
    char *group;        /* the sweep's name, else NULL */
} Plan;

/* Reads and checks the flags, the jobs, their names against the live daemons, and whether several jobs fit into the
 * user's quota. Call plan_free also after a failure. */
bool plan_read(Cmd *cmd, Plan *ret_plan, Err *err);
void plan_free(Plan *plan);

/* What lists call one of the jobs that has no name: its recipe, and its number in a recipe of several
 * ("digits-table-3"). NULL where it comes from no recipe. Caller frees. */
char *plan_label(const Plan *plan, const cJSON *spec);

/* Arguments of ddq_submit for one of the jobs, without id and user; the caller owns them. */
cJSON *plan_args(const Plan *plan, const cJSON *spec);
/* The same for its evaluation, which waits for the job `parent`. */
cJSON *plan_evaluation_args(const Plan *plan, const cJSON *evaluation, const char *parent);

#endif
