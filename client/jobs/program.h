/* The other programs, which are installed beside this one. */
#ifndef CLIENT_JOBS_PROGRAM_H
#define CLIENT_JOBS_PROGRAM_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"

/* Its path beside this program, else its name, for PATH to find. Caller frees. */
char *program_beside(const char *name);

/* Becomes `ddq-worker` with these words (NULL ends them); returns only when that fails. */
bool program_become_worker(const char *const *words, Err *err);

/* Runs `ddq-worker` with these words and reads the one JSON object it prints. The worker prints errors and progress on
 * our stderr itself: if *ret_status (its exit status) is not EXIT_OK, there is no answer, and the error is already
 * printed. False only if it could not be run or its output is not JSON. */
bool program_ask_worker(const char *const *words, cJSON **ret_answer, int *ret_status, Err *err);

#endif
