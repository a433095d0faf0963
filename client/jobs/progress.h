/* Progress of a job on stderr: one line that is redrawn on a terminal, else a line per tenth and per change of state.
 */
#ifndef CLIENT_JOBS_PROGRESS_H
#define CLIENT_JOBS_PROGRESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

typedef struct Progress {
    bool drawn;     /* a line is on the terminal and not yet ended */
    int tenth;      /* the last one printed */
    char state[16]; /* the last one printed */
} Progress;

void progress_show(Progress *progress, const cJSON *job);
void progress_end(Progress *progress); /* ends the last line */

#endif
