/* How far a job is, on stderr: one line redrawn on a terminal, else one line for each tenth and each change of state.
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
void progress_end(Progress *progress); /* leaves the last line standing */

#endif
