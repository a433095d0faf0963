/* Asking for work: steps 1 and 2 of the story in leases.h. */
#ifndef DAEMON_CLAIMS_H
#define DAEMON_CLAIMS_H

#include <cjson/cJSON.h>

#include "core/err.h"
#include "daemon/workers.h"

typedef struct Daemon Daemon;

void claims_run(Daemon *d);  /* every idle worker whose time has come asks */
void claims_wake(Daemon *d); /* a hint: all idle workers ask now */
/* The paths of what a worker claimed were asked for (resolving.h). exec: its spec, consumed; NULL: refused, why says.
 */
void claims_resolved(Daemon *d, Worker *worker, cJSON *exec, const cJSON *reply, const Err *why);

#endif
