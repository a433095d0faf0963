/* Where the time of a job goes: a stopwatch over named phases. Only one phase runs at a time. */
#ifndef WORKER_JOB_TIMING_H
#define WORKER_JOB_TIMING_H

#include <cjson/cJSON.h>

typedef enum Phase {
    PHASE_LOAD, /* models into memory */
    PHASE_STUDENT,
    PHASE_TEACHER,
    PHASE_DECODE,
    PHASE_FEATURES,
    PHASE_WRITE, /* waiting for the disk */
    PHASE_REPORT,
    PHASES,
    PHASE_NONE = PHASES
} Phase;

typedef struct Stopwatch { /* starts as {.now = PHASE_NONE} */
    double seconds[PHASES];
    Phase now;
    double since;
} Stopwatch;

void stopwatch_enter(Stopwatch *watch, Phase phase); /* PHASE_NONE stops it */

const char *phase_name(Phase phase);
Phase phase_parse(const char *name); /* PHASE_NONE for a name that is not one */

/* {"student": 1.25, ...}: what took any time. The caller owns it. */
cJSON *phases_to_json(const double seconds[PHASES]);
/* Adds what such an object holds; names it does not know are skipped. */
void phases_add_json(double seconds[PHASES], const cJSON *object);

#endif
