/* Jobs in a user's folders that are not in the queue, because Redis was emptied. Only jobs that are not finished and
 * are older than the queue's data count; the queue removes ended jobs after some months. */
#ifndef CLIENT_JOBS_LOST_H
#define CLIENT_JOBS_LOST_H

#include "client/cmd.h"
#include "core/clock.h"

/* Their number below root/user; -1 with an error. born: when the queue's data began. */
int lost_jobs(Cmd *cmd, const char *root, const char *user, Wall born, Err *err);

#endif
