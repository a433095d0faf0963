/* How leases ended: into the journal, then to Redis, again after a reconnect until Redis answers. */
#ifndef DAEMON_WORK_REPORTS_H
#define DAEMON_WORK_REPORTS_H

#include <cjson/cJSON.h>

#include "daemon/work/state.h"

/* finished: the worker's message; its times and results go to the queue. */
void reports_finish(Daemon *d, const Lease *lease, const cJSON *finished);
void reports_giveback(Daemon *d, const Lease *lease); /* not a failure: yield, cancel, drain */
void reports_fail(Daemon *d, const Lease *lease, const char *kind, const char *policy, const char *text,
                  bool crash); /* crash: the worker died without a report */
void reports_tick(Daemon *d, Mono now);
void reports_send(Daemon *d); /* whatever is in the journal and not sent */

#endif
