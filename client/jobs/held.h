/* Jobs that a wait cannot see the end of: held, or waiting for a job that is. Nobody but a person continues them. */
#ifndef CLIENT_JOBS_HELD_H
#define CLIENT_JOBS_HELD_H

#include <cjson/cJSON.h>

#include "client/cmd.h"

/* job: an answer of job_show, or a sweep's of group_as_job. The sentence that says what is held, why, and how it
 * continues; NULL when the job goes on by itself, or when the queue cannot be asked. Caller frees. A held job whose
 * workers have not stopped yet still goes on: it may end. */
char *held_sentence(Cmd *cmd, const cJSON *job);

#endif
