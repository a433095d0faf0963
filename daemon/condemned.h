/* Devices that broke under a worker: memory that ECC cannot correct, a GPU that fell off the bus (err_condemns_device).
 * A fresh process would meet the same device, so the worker is drained: at once here, and in the queue, where the drain
 * outlives this daemon and `ddq resume HOST:WORKER` ends it. The job is blameless. */
#ifndef DAEMON_CONDEMNED_H
#define DAEMON_CONDEMNED_H

#include "daemon/state.h"

void condemned_add(Daemon *d, Worker *worker, const char *why);
/* With every beat: whom the queue does not know of yet is told to it again. */
void condemned_tell(Daemon *d);

#endif
