/* The output folder: which job it holds, and where its files are.
 *
 *     folder_check(output, identity, err)             fit for this job? makes the folder, writes nothing into it
 *     folder_claim(output, spec, identity, submitted, err)    makes it this job's: job.json, images/, blocks/
 *
 * A folder that holds another job, or images of unknown origin, is refused, so no other results are overwritten. */
#ifndef WORKER_JOB_FOLDER_H
#define WORKER_JOB_FOLDER_H

#include <stdbool.h>

#include "worker/job/identity.h"

bool folder_check(const char *output, const Identity *identity, Err *err);
/* Writes job.json once and makes the subfolders. submitted: the job as it was submitted to a queue, or NULL. */
bool folder_claim(const char *output, const JobSpec *spec, const Identity *identity, const cJSON *submitted, Err *err);

char *folder_path(const char *output, const char *name); /* caller frees */
bool folder_has(const char *output, const char *name);   /* a file that is not empty */
void folder_remove(const char *output, const char *name);

/* The whole file as JSON; NULL when it is not there or is not JSON. The caller owns it. */
cJSON *folder_read_json(const char *output, const char *name);

/* The inputs as a JSON array for job.json and report.json: field, path, sha256, bytes. */
cJSON *folder_inputs_json(const Identity *identity);

#endif
