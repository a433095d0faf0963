/* `ddq-worker exec JOB.json|-`: one job with no daemon and no Redis. */
#ifndef WORKER_EXEC_H
#define WORKER_EXEC_H

#include <stdbool.h>

/* file: "-" reads stdin. threads 0: all. cache: as model_cache_set_folder. Returns the exit status; a failure is one
 * sentence on stderr. */
int exec_job(const char *file, int threads, const char *cache, bool quiet);

#endif
