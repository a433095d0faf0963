/* `ddq-worker exec JOB.json|-`: one job with no daemon and no Redis. */
#ifndef WORKER_EXEC_H
#define WORKER_EXEC_H

#include <stdbool.h>

/* file: "-" reads stdin. threads 0: all. cache: as workshop_set_cache. Returns the exit status; a failure is one
 * sentence on stderr. */
int exec_job(const char *file, int threads, const char *cache, bool quiet);

#endif
