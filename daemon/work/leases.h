/* What this host works on: one lease per worker, beside the worker's row and with the same index.
 *
 * The steps of a lease, in order, and the file of each:
 *   1 claims_run        an idle worker asks Redis for a range                        claims.c
 *   2 on_claimed        a range was leased: journal it, resolve the spec (resolving.c), send it to the worker
 *   3 leases_progress   the worker reports its progress; updates are published                  leases.c
 *   4 leases_renew      three times per lease period; answers ok, lost, cancel or yield
 *   5 leases_finished, _yielded, _failed, _gone    how it ended
 *   6 reports_add       journal, then Redis; again until it is answered              reports.c
 */
#ifndef DAEMON_WORK_LEASES_H
#define DAEMON_WORK_LEASES_H

#include <cjson/cJSON.h>

#include "core/clock.h"
#include "core/err.h"
#include "daemon/work/state.h"

void leases_tick(Daemon *d, Mono now);
void leases_renew(Daemon *d); /* now: after a reconnect, and when a hint says that something changed */

/* A message of a worker that has a lease. True when it ended the lease, so that the worker may claim. */
bool leases_message(Daemon *d, Worker *worker, ProtoType type, const cJSON *message);
/* What the queue's answer to a renew says of each lease. */
void leases_verdicts(Daemon *d, const cJSON *reply);
/* The lease is over, its report is made; the worker may claim the next range (the caller runs claims_run). */
void leases_free(Daemon *d, Worker *worker);
/* Its process ended, with or without a lease. */
void leases_gone(Daemon *d, Worker *worker, const Err *why);
/* Its process was killed and does not exit. */
void leases_stuck(Daemon *d, Worker *worker);
/* Gives back leases that a crashed daemon left in the journal. */
void leases_orphans(Daemon *d);
int leases_count(const Daemon *d);

#endif
