/* Progress for people while a job runs: messages on the job's live channel, at most two per second and range, and lines
 * in the job's log. Nothing depends on them. */
#ifndef DAEMON_WORK_PROGRESS_H
#define DAEMON_WORK_PROGRESS_H

#include "core/log.h"
#include "daemon/work/state.h"

void progress_tick(Daemon *d, Lease *lease, Mono now);
/* Into the daemon's log and into that of the worker's job. */
void progress_line(Daemon *d, Worker *worker, LogLevel level, const char *text);
void progress_flush(Daemon *d, Lease *lease); /* sends the lines that wait */
void progress_flush_all(Daemon *d, Mono now);

#endif
