/* Is this the Redis of yesterday? The queue's data says when it began; the state folder remembers it. Another time than
 * yesterday's means that Redis came back empty, or that another one stands at its address: jobs are lost there and only
 * there, and the log says how they come back. */
#ifndef DAEMON_WORK_REDIS_IDENTITY_H
#define DAEMON_WORK_REDIS_IDENTITY_H

#include "daemon/work/state.h"

void redis_identity_check(Daemon *d); /* after every connection and its first beat */

#endif
