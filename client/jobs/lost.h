/* Jobs in the folders of a user that the queue does not know: lost with a Redis that came back empty. Only what is not
 * finished and is older than the queue's data counts; the queue forgets ended jobs by itself after some months. */
#ifndef CLIENT_JOBS_LOST_H
#define CLIENT_JOBS_LOST_H

#include "client/cmd.h"
#include "core/clock.h"

/* How many there are below root/user; -1 with a sentence. born: when the queue's data began. */
int lost_jobs(Cmd *cmd, const char *root, const char *user, Wall born, Err *err);

#endif
