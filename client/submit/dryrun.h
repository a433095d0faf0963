/* --dry-run: what a submit would cost, need and wait for, by what the queue has measured. */
#ifndef CLIENT_SUBMIT_DRYRUN_H
#define CLIENT_SUBMIT_DRYRUN_H

#include "client/submit/plan.h"

/* Asks about every job of the plan and prints the answers. A job that would be refused is an error, as for a submit. */
bool dryrun_print(Cmd *cmd, const Plan *plan, Err *err);

#endif
