/* How the daemon ends: stage after stage, each with a deadline.
 *
 *   SERVING   from the start on
 *   DRAINING  no more claims; workers finish their batch and end; every range is given back
 *   LEAVING   reports are answered, this host is unregistered, the connection closes
 *   CLOSING   the private Redis ends; then handles close and the loop runs empty
 */
#ifndef DAEMON_SHUTDOWN_H
#define DAEMON_SHUTDOWN_H

#include "core/clock.h"
#include "core/err.h"
#include "daemon/work/state.h"

void shutdown_drain(Daemon *d);
void shutdown_kill(Daemon *d); /* kills the remaining workers; ends the current stage */
void shutdown_tick(Daemon *d, Mono now);

/* An error that needs a person: logs it and ends at once with this exit status. */
void shutdown_fail(Daemon *d, int exit_code, const Err *why);

#endif
