/* Asking for work: steps 1 and 2 in leases.h. */
#ifndef DAEMON_WORK_CLAIMS_H
#define DAEMON_WORK_CLAIMS_H

#include <cjson/cJSON.h>

#include "core/err.h"
#include "daemon/work/state.h"

/* The queue's answer to a claim as a lease; false with a sentence when a field that we rely on is not there. */
bool claims_lease(const cJSON *reply, Lease *ret_lease, Err *err);

void claims_run(Daemon *d);  /* claims for every idle worker whose time has come */
void claims_wake(Daemon *d); /* a hint came: claims for all idle workers now */
/* on_resolved of resolving.h. exec is consumed; NULL: refused, why has the reason. */
void claims_resolved(Daemon *d, uint64_t tag, cJSON *exec, const cJSON *reply, const Err *why);

#endif
