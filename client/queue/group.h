/* A sweep's answer of ddq_group, read for people. */
#ifndef CLIENT_QUEUE_GROUP_H
#define CLIENT_QUEUE_GROUP_H

#include <cjson/cJSON.h>

/* The sweep in the form of one job, so that it is drawn and waited for like one: id USER/NAME; the worst state if all
 * have ended, else the most active one; images, done, rate; reason "2 done, 1 running"; and ddq_group's points and
 * states. `group` is consumed, the caller owns the result. */
cJSON *group_as_job(cJSON *group);

int group_exit_code(const cJSON *job); /* the highest of its jobs; of such a group whose jobs have ended */
void group_points(const cJSON *job);   /* on stdout: a table of its points with their figures */

#endif
