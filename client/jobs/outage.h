/* The loss of Redis while a verb waits: verbs that poll survive a restart of Redis.
 *
 *     Outage outage = {0};
 *     while (...)
 *         if (!ask(cmd, ...)) { if (!outage_wait(&outage, cmd, err)) return false; }
 *         else outage_over(&outage);
 */
#ifndef CLIENT_JOBS_OUTAGE_H
#define CLIENT_JOBS_OUTAGE_H

#include <stdbool.h>

#include "client/cmd.h"
#include "core/clock.h"

typedef struct Outage {
    Mono since; /* when Redis was lost; 0: it answers */
} Outage;

/* A call failed with err: true if the caller should try again later, which is so for a minute after an established
 * connection was lost; the first time this prints a line. Any other error, and a Redis that was never reached, is
 * final.
 */
bool outage_wait(Outage *outage, Cmd *cmd, const Err *err);

/* A call succeeded. */
void outage_over(Outage *outage);

#endif
