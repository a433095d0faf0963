/* This host in the queue's register: its identity, its offers, its workers. Every few seconds, and at once when
 * something changed. The register refuses a second daemon of the same host name. */
#ifndef DAEMON_WORK_HEARTBEAT_H
#define DAEMON_WORK_HEARTBEAT_H

#include "core/clock.h"
#include "daemon/work/state.h"

void heartbeat_tick(Daemon *d, Mono now);
void heartbeat_now(Daemon *d);
void heartbeat_last(Daemon *d); /* the last one: unregisters this host; d->last_heartbeat_done when it was answered */

#endif
