/* Devices that broke under a worker: memory that ECC cannot correct, a GPU that fell off the bus
 * (err_is_device_failure). A fresh process would meet the same device, so the worker is drained: at once here, and in
 * the queue, where the drain outlives this daemon and `ddq resume HOST:WORKER` ends it. The job is not at fault. */
#ifndef DAEMON_WORK_BAD_DEVICES_H
#define DAEMON_WORK_BAD_DEVICES_H

#include "daemon/work/state.h"

void bad_devices_add(Daemon *d, Worker *worker, const char *why);
/* With every heartbeat: sends drains again that the queue has not acknowledged. */
void bad_devices_report(Daemon *d);

#endif
