/* What the live daemons offer: hosts, workers, models and references. */
#ifndef CLIENT_QUEUE_REGISTRY_H
#define CLIENT_QUEUE_REGISTRY_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

/* The hosts array of ddq_hosts: those with a fresh heartbeat; what their workers do now is the queue's knowledge.
 * Caller owns it. */
bool registry_hosts(Cmd *cmd, cJSON **ret_hosts, Err *err);

/* Cells of a table: "24.0 GiB", "" where the number is unknown. */
#define REGISTRY_TEXT 32
const char *registry_memory(const cJSON *worker, const char *field, char text[REGISTRY_TEXT]);

/* Asks the hosts to look at their files, and at these paths of users (an array, may be NULL), and waits until all that
 * tell of their files have done so and sent a heartbeat; for seconds at most. *ret_since: what a host saw since this
 * time (ms of Redis) is new. False: the queue cannot ask (an earlier version). */
bool registry_look(Cmd *cmd, const cJSON *paths, double *ret_since);

/* Each job's model and reference must be known to some living daemon: else ERR_USAGE with the nearest name and the
 * list. What else would end a job on every host is refused with the sentence that it would end with
 * (client/queue/fits.h). later: the jobs' own files may not be there yet. With no daemon alive all is accepted, and a
 * message on stderr says so. */
bool registry_check(Cmd *cmd, const cJSON *jobs, bool later, Err *err);

/* The same for living hosts that were asked before, at least one. */
bool registry_check_hosts(const cJSON *hosts, const cJSON *jobs, Err *err);

/* Why the worker of a host, or for "*" the whole host, is drained; NULL: it is not. */
const char *registry_drain(const cJSON *host, const char *worker);

#endif
