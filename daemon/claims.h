/* Asking for work: steps 1 and 2 of the story in leases.h. */
#ifndef DAEMON_CLAIMS_H
#define DAEMON_CLAIMS_H

#include "core/clock.h"

typedef struct Daemon Daemon;

void claims_run(Daemon *d);  /* every idle worker whose time has come asks */
void claims_wake(Daemon *d); /* a hint: all idle workers ask now */

#endif
