/* A sweep: one job submitted once for every value of a field, or for every combination of several fields' values.
 *
 *     --sweep split_t=80,130,180 --sweep seed=1,2        six jobs, one group
 *     --sweep 't_list=0;0,80'                            lists as values are separated by ';'
 *
 * The jobs form a group in the queue; they are shown, waited for and compared together. */
#ifndef CLIENT_SUBMIT_SWEEP_H
#define CLIENT_SUBMIT_SWEEP_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

typedef struct Sweep Sweep;

/* *ret_sweep NULL: there is none. Caller frees. */
bool sweep_read(const Cmd *cmd, Sweep **ret_sweep, Err *err);
void sweep_free(Sweep *sweep); /* NULL is fine */

int sweep_points(const Sweep *sweep); /* 1 for NULL */
bool sweep_apply(const Sweep *sweep, int point, cJSON *job, Err *err);

/* The i-th field, NULL past the end. */
const char *sweep_field(const Sweep *sweep, int i);

/* jobs: complete specs, one per point, in order. Names the group (the jobs' own name, or one made of the swept fields
 * and a hash of the specs, so that the same sweep is the same group; `fresh`: a new name each time) and each job after
 * its point. Returns the group's name; caller frees. */
char *sweep_name(const Sweep *sweep, cJSON *jobs, bool fresh);
/* {"split_t": 80}: the fields that vary, as in a job. Caller owns it. */
cJSON *sweep_point(const Sweep *sweep, const cJSON *job);

#endif
