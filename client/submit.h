/* Putting jobs into the queue, for `ddq submit` and `ddq run`. */
#ifndef CLIENT_SUBMIT_H
#define CLIENT_SUBMIT_H

#include <stdbool.h>

#include "client/cmd.h"

typedef struct Submitted {
    char **ids;
    int count;
    int known; /* of these the queue had already: the same spec within a day */
} Submitted;

/* Reads the jobs (client/specs.h), checks their names against the live daemons, queues all, remembers the last as '@'.
 */
bool submit_jobs(Cmd *cmd, Submitted *ret_done, Err *err);
void submitted_free(Submitted *done);

#endif
