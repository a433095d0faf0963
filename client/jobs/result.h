/* The results of a job that is done: paths of images, contact sheet and report, and its figures next to the published
 * ones. */
#ifndef CLIENT_JOBS_RESULT_H
#define CLIENT_JOBS_RESULT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

void result_print(const cJSON *job); /* on stdout; of a job in state done */
/* The table of its figures alone, on stdout; false if there are none. */
bool result_figures(const cJSON *job);

#endif
