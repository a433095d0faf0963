/* Waiting for jobs: watch, wait, submit --wait and run all end here.
 *
 * State is polled at growing intervals, because live messages can be lost. Redis may be unreachable for up to a minute.
 * Ctrl-C detaches: the jobs continue, the exit status is 130. */
#ifndef CLIENT_JOBS_FOLLOW_H
#define CLIENT_JOBS_FOLLOW_H

#include <stdbool.h>

#include "client/cmd.h"

typedef struct Follow {
    bool progress;    /* show progress on stderr, and the results on stdout */
    double timeout_s; /* 0: none */
} Follow;

/* Until each of the jobs has ended, is held or waits for a held job (client/jobs/held.h, with a message on stderr); an
 * id may be USER/NAME of a sweep, which is followed as one (client/queue/target.h). Sets cmd->exit_code to the highest
 * of theirs (or 101, 130; 105 for one that is held). With --json prints one object per change (progress) or one for all
 * jobs at the end. */
bool follow_jobs(Cmd *cmd, char *const *ids, int count, const Follow *how, Err *err);

#endif
