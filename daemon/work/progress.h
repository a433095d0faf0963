/* What people see while a job runs: ticks on the job's live channel, at most two per second and range, and log lines in
 * the job's log. Both are for people: losing one loses nothing. */
#ifndef DAEMON_WORK_PROGRESS_H
#define DAEMON_WORK_PROGRESS_H

#include "core/log.h"
#include "daemon/work/state.h"

void progress_tick(Daemon *d, Lease *lease, Mono now);
/* Into our log, and into that of the job that the worker is on. */
void progress_line(Daemon *d, Worker *worker, LogLevel level, const char *text);
void progress_flush(Daemon *d, Lease *lease); /* sends the lines that wait */
void progress_flush_all(Daemon *d, Mono now);

#endif
