/* What a word on the command line means: a job, or a sweep, which is a group of jobs.
 *
 * A target is a text: the whole id of a job, or USER/NAME of a sweep. */
#ifndef CLIENT_QUEUE_TARGET_H
#define CLIENT_QUEUE_TARGET_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

bool target_is_group(const char *target);

/* The target of an id, a unique prefix of one, a sweep's NAME or USER/NAME, or '@'. Caller frees. */
bool target_resolve(Cmd *cmd, const char *word, char **ret_target, Err *err);

/* Like target_resolve, but a sweep is an error unless it has a single job. */
bool target_job(Cmd *cmd, const char *word, char **ret_id, Err *err);

/* The answer of ddq_group about a target that is one. Caller owns it. */
bool target_group(Cmd *cmd, const char *target, cJSON **ret_group, Err *err);

/* Adds to `ids` the job that a word means, or those of a sweep: all, those that have not ended, or those held. */
typedef enum TargetWhich { TARGET_ALL, TARGET_ACTIVE, TARGET_HELD } TargetWhich;
bool target_jobs(Cmd *cmd, const char *word, TargetWhich which, cJSON *ids, Err *err);

#endif
