/* A job as ddq_list and ddq_show give it, read for people and turned into the JSON that verbs print. */
#ifndef CLIENT_QUEUE_JOB_H
#define CLIENT_QUEUE_JOB_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"
#include "client/terminal/term.h"
#include "spec/lifecycle.h"

JobState job_state(const cJSON *job);
Color job_state_color(JobState state);
Color job_color(const cJSON *job);
const char *job_stage(const cJSON *job); /* the stage that a worker reports, "" if there is none */
double job_rate(const cJSON *job);       /* images per second now, all workers together; 0: unknown */
double job_eta(const cJSON *job);        /* seconds; 0: unknown */
int job_exit_code(const cJSON *job);     /* 0, 100, 103, 104; of a job that has ended */

/* Asks for one job by id or unique prefix. The answer is flat: the job's fields, and leases[]; times are ISO texts,
 * spec is an object. Caller owns it. */
bool job_show(Cmd *cmd, const char *id, cJSON **ret_job, Err *err);

/* Updates the job by a live progress message of one of its workers. False: the message needs a new query. */
bool job_tick(cJSON *job, const cJSON *message);

/* The full id of what a user typed: an id, a unique prefix of one, or '@'. Caller frees. */
bool job_resolve(Cmd *cmd, const char *word, char **ret_id, Err *err);

/* Makes a job of ddq_list such a flat object, in place; adds `seconds` since it was started. */
void job_tidy(cJSON *job);

#endif
