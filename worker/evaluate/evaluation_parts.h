/* What the files of an evaluation share; no other file includes it. */
#ifndef WORKER_EVALUATE_EVALUATION_PARTS_H
#define WORKER_EVALUATE_EVALUATION_PARTS_H

#include <cjson/cJSON.h>

#include "worker/metrics/neighbours.h"

/* What a report shows of the neighbours beside the four figures: "neighbours", "histogram", "samples". */
void evaluation_neighbours(cJSON *json, const Neighbours *n);

#endif
