/* The jobs of a command line: a recipe, a JSON file, stdin or flags alone, with flags on top. */
#ifndef CLIENT_SUBMIT_SPECS_H
#define CLIENT_SUBMIT_SPECS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"
#include "client/submit/sweep.h"

/* Reads cmd's argument and its job flags. *ret_jobs is an array of job specs in QUEUED form, each checked, defaults
 * filled in, file names made absolute; with a sweep (NULL: none), which needs one job, one for each of its points. The
 * caller owns it. */
bool specs_read(Cmd *cmd, const Sweep *sweep, cJSON **ret_jobs, Err *err);

#endif
