/* What happens to the daemon: the hooks of all modules below, in two files. A handler names what happened and calls the
 * module of work/ that acts on it.
 *
 *     events_redis.c      the connection, the private server, hints, files of models and references
 *     events_workers.c    worker processes, specs prepared for them
 */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include "daemon/work/state.h"

extern const StoreHooks events_store;
extern const StandaloneHooks events_standalone;
extern const FactsHooks events_facts;
extern const WorkersHooks events_workers;
extern const ResolvingHooks events_resolving;

void events_references(void *owner);      /* the registered references have changed; owner is the Daemon */
void events_registry_looked(void *owner); /* the registry was read, changed or not */
void events_host_refused(Daemon *d, const Err *why);

/* From the tick: ends a daemon that never reached its Redis; logs that one does not carry out calls, and its recovery.
 */
void events_check_first_connection(Daemon *d, Mono now);
void events_check_trouble(Daemon *d, Mono now);

#endif
