/* This host in the queue's register: who we are, what we offer, what our workers do. Every few seconds, and at once
 * when something changed. The register refuses a second daemon of the same host name. */
#ifndef DAEMON_BEAT_H
#define DAEMON_BEAT_H

#include "core/clock.h"
#include "daemon/state.h"

void beat_tick(Daemon *d, Mono now);
void beat_now(Daemon *d);
void beat_farewell(Daemon *d); /* the last one: this host goes; d->farewell_done when it was answered */

#endif
