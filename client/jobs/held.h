/* Jobs that do not end by themselves: held, or waiting for a held job. A person has to release them. */
#ifndef CLIENT_JOBS_HELD_H
#define CLIENT_JOBS_HELD_H

#include <cjson/cJSON.h>

#include "client/cmd.h"

/* job: an answer of job_show, or a sweep's of group_as_job. A sentence with what is held, why, and how to continue it;
 * NULL if the job continues by itself, or if the queue cannot be reached. Caller frees. A held job whose workers have
 * not stopped yet continues: it may end. */
char *held_sentence(Cmd *cmd, const cJSON *job);

#endif
