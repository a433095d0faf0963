/* Asking for work: steps 1 and 2 in leases.h. */
#ifndef DAEMON_WORK_CLAIMS_H
#define DAEMON_WORK_CLAIMS_H

#include <cjson/cJSON.h>

#include "core/err.h"
#include "daemon/work/state.h"

void claims_run(Daemon *d);  /* every idle worker whose time has come asks */
void claims_wake(Daemon *d); /* a hint: all idle workers ask now */
/* on_resolved of resolving.h. exec is consumed; NULL: refused, why says why. */
void claims_resolved(Daemon *d, uint64_t tag, cJSON *exec, const cJSON *reply, const Err *why);

#endif
