/* Where the time of a job goes: a stopwatch over named stages. Only one stage runs at a time. */
#ifndef WORKER_JOB_TIMING_H
#define WORKER_JOB_TIMING_H

#include <cjson/cJSON.h>

typedef enum Stage {
    STAGE_LOAD, /* models into memory */
    STAGE_STUDENT,
    STAGE_TEACHER,
    STAGE_DECODE,
    STAGE_FEATURES,
    STAGE_WRITE, /* waiting for the disk */
    STAGE_REPORT,
    STAGES,
    STAGE_NONE = STAGES
} Stage;

typedef struct Stopwatch { /* starts as {.now = STAGE_NONE} */
    double seconds[STAGES];
    Stage now;
    double since;
} Stopwatch;

void stopwatch_enter(Stopwatch *watch, Stage stage); /* STAGE_NONE stops it */

const char *stage_name(Stage stage);
Stage stage_parse(const char *name); /* STAGE_NONE for a name that is not one */

/* {"student": 1.25, ...}: what took any time. The caller owns it. */
cJSON *stages_to_json(const double seconds[STAGES]);
/* Adds what such an object holds; names it does not know are skipped. */
void stages_add_json(double seconds[STAGES], const cJSON *object);

#endif
