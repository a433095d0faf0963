/* --then evaluate: two jobs instead of one, a sampling job and an evaluation of its folder that waits for it. The
 * second may run on another device, or again with other metrics. */
#ifndef CLIENT_SUBMIT_THEN_H
#define CLIENT_SUBMIT_THEN_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"

/* Takes what measures out of a sampling job's spec (complete, QUEUED) and into the spec of an evaluation. Its images
 * are not named yet: then_source does that. The caller owns *ret_evaluation. */
bool then_split(cJSON *job, cJSON **ret_evaluation, Err *err);

/* folder: the sampling job's, below the output root, from the queue's answer. */
void then_source(cJSON *evaluation, const char *folder);

#endif
