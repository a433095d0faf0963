/* The gate: the socket through which the users of this host reach the queue.
 *
 *     gate_open(&gate, loop, "/run/ddq/ddq.sock", &url, "ddq-admin", &err)
 *     gate_redis_up(gate); gate_redis_down(gate, why);     as the daemon's own connection comes and goes
 *     gate_tick(gate, now);
 *     gate_close(gate);                                    its handles close on the loop, and then
 *     gate_gone(gate), gate_free(gate)                     after the loop has ended
 *
 * Any user may connect. The kernel identifies the caller (SO_PEERCRED), and nothing that a client sends can change it:
 * behind the arguments of each call stand the caller's name and its rights, and the queue's functions take these
 * instead of those in the arguments. What may pass is in rules.h. A client sees a Redis that has only ddq's functions.
 *
 * One user cannot slow another: of each user one call at a time is with Redis, users take turns, and there are limits
 * on connections, calls per second and memory (callers.h). Every change is written to the log with uid and pid. */
#ifndef DAEMON_GATE_GATE_H
#define DAEMON_GATE_GATE_H

#include <stdbool.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"
#include "spec/conf/conf.h"

typedef struct Gate Gate;

typedef struct GateCounts {
    long long calls, refused, lost; /* since the start: answered by Redis, refused by the gate, without an answer */
    int connections;
} GateCounts;

/* Fails if the socket cannot be made, also because another ddqd answers on it. admin_group may be NULL. Where *ret_gate
 * is set, also after a failure, gate_close and gate_free must follow. */
bool gate_open(uv_loop_t *loop, const char *path, const RedisUrl *url, const char *admin_group, Gate **ret_gate,
               Err *err);
void gate_redis_up(Gate *gate);
void gate_redis_down(Gate *gate, const char *why);
void gate_tick(Gate *gate, Mono now);
void gate_close(Gate *gate);      /* NULL is fine */
bool gate_gone(const Gate *gate); /* nothing of it is left on the loop or its threads; also for NULL */
void gate_free(Gate *gate);       /* NULL is fine */
GateCounts gate_counts(const Gate *gate);

#endif
