/* Detects that Redis lost its data. The queue's data has its start time, and the state folder keeps a copy. A different
 * time means that Redis came back empty, or that another server uses its address: the jobs in that queue are lost, and
 * the log shows how to bring them back. */
#ifndef DAEMON_WORK_REDIS_IDENTITY_H
#define DAEMON_WORK_REDIS_IDENTITY_H

#include "daemon/work/state.h"

void redis_identity_check(Daemon *d); /* after every connection and its first heartbeat */

#endif
