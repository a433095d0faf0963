/* Paths of a claimed job, asked of the file system in a thread of libuv's pool: a network file system that stalls must
 * not stop the loop. Each has a deadline; what comes after it is thrown away, and its thread is stuck until then.
 *
 *     resolving_start(d, worker, &lease, reply, &err)    the lease is in its row already
 *     ... resolving_tick(d, now)                          deadlines
 *     claims_resolved(d, worker, exec, reply, err)        once, unless the lease or its worker went meanwhile
 */
#ifndef DAEMON_RESOLVING_H
#define DAEMON_RESOLVING_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/clock.h"
#include "core/err.h"
#include "daemon/workers.h"

typedef struct Daemon Daemon;
typedef struct Resolving Resolving;

enum { RESOLVING_MAX = 16 /* threads of the pool */ };

void resolving_init(void); /* before the pool's first use */
/* False when the spec is refused without asking the file system. reply is copied. */
bool resolving_start(Daemon *d, Worker *worker, const cJSON *reply, Err *err);
void resolving_tick(Daemon *d, Mono now);
/* True while more than one thread is stuck: it is not one folder but the root, and every claim would be held. */
bool resolving_stalled(const Daemon *d);

#endif
