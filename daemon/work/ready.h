/* Whether this host can take work, and the announcement of it: "ready URL" on stdout and READY=1 to systemd, once. */
#ifndef DAEMON_WORK_READY_H
#define DAEMON_WORK_READY_H

#include <stdbool.h>

#include "daemon/work/state.h"

bool ready_any_worker(const Daemon *d);      /* one that sent hello and is not stopping */
bool ready_without_workers(const Daemon *d); /* workers = none: it serves users alone */
const char *ready_drained(const Daemon *d);  /* why no worker may work; NULL when one may */
void ready_check(Daemon *d);                 /* announces it when all of it holds for the first time */

#endif
