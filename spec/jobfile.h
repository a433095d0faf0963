/* The shapes in which people have jobs, for `ddq submit` and `ddq-worker exec`: one job, a list of jobs, a recipe
 * ({about, source, jobs}, as in recipes/ and as `ddq recipes NAME` prints it), the job.json of an output folder, or
 * what `ddq show --json` prints. */
#ifndef SPEC_JOBFILE_H
#define SPEC_JOBFILE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "spec/jobspec.h"

/* value (consumed) as a list of at least one job object, not checked yet. Of a job.json: what was
 * submitted (FORM_QUEUED), or what ran (FORM_EXEC). The jobs of a recipe get its name as their recipe: its own `name`,
 * else that of the file. path: for that and for errors; "stdin" or such where it is no file. Caller owns *ret_jobs. */
bool jobfile_jobs(cJSON *value, JobForm form, const char *path, cJSON **ret_jobs, Err *err);

/* The file to read for a path: of an output folder its job.json, else the path itself. Caller frees. */
char *jobfile_path(const char *path);

#endif
