/* Waiting for jobs: watch, wait, submit --wait and run all end here.
 *
 * State is polled, more slowly the longer it takes: it is always readable, and a message can be missed. Redis may go
 * away meanwhile for up to a minute. Ctrl-C detaches: the jobs go on, the exit status is 130. */
#ifndef CLIENT_JOBS_FOLLOW_H
#define CLIENT_JOBS_FOLLOW_H

#include <stdbool.h>

#include "client/cmd.h"

typedef struct Follow {
    bool progress;    /* show how far they are on stderr, and what they made on stdout */
    double timeout_s; /* 0: none */
} Follow;

/* Until each of the jobs has ended, or is held, or waits for one that is (client/jobs/held.h says so on stderr); an id
 * may be USER/NAME of a sweep, which is followed as one (client/queue/target.h). Sets cmd->exit_code to the highest of
 * theirs (or 101, 130; 105 for one that is held). With --json prints one object a change (progress) or one for all jobs
 * at the end. */
bool follow_jobs(Cmd *cmd, char *const *ids, int count, const Follow *how, Err *err);

#endif
