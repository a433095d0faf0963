/* The states of a job: every (state, event) -> state, in one table. queue/queue.lua makes the same transitions inside
 * Redis; tests/queue checks all pairs in both. docs/lifecycle.md is printed from this table.
 *
 * The states of a worker in the daemon are the second table. To add a state or an event: an enum value, a name, the
 * rows; the test of all pairs lists what is missing. */
#ifndef SPEC_LIFECYCLE_H
#define SPEC_LIFECYCLE_H

#include <stdbool.h>

typedef enum JobState {
    JOB_QUEUED,  /* has pending work and no lease */
    JOB_WAITING, /* waits for another job */
    JOB_RUNNING, /* at least one live lease */
    JOB_HELD,    /* a person must act first; see its reason */
    JOB_DONE,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_STATES
} JobState;

typedef enum JobEvent {
    JOB_EV_CLAIM,    /* a daemon takes a range */
    JOB_EV_IDLE,     /* the last lease ended and work is left */
    JOB_EV_COMPLETE, /* the report is written */
    JOB_EV_FAIL,     /* it cannot succeed */
    JOB_EV_HOLD,     /* held by a person or by a full disk */
    JOB_EV_RELEASE,  /* a person releases it */
    JOB_EV_CANCEL,
    JOB_EV_PARENT_DONE,
    JOB_EV_WAIT, /* released, but a job that it waits for is not done */
    JOB_EVENTS
} JobEvent;

typedef enum WorkerState {
    WORKER_STARTING, /* spawned, no hello yet */
    WORKER_IDLE,
    WORKER_CLAIMING, /* a claim for it is sent */
    WORKER_BUSY,
    WORKER_STOPPING, /* asked to stop, then TERM, then KILL */
    WORKER_GONE,     /* exited; restarts after a back-off */
    WORKER_STATES
} WorkerState;

typedef enum WorkerEvent {
    WORKER_EV_HELLO,
    WORKER_EV_CLAIM,
    WORKER_EV_EMPTY, /* nothing to claim */
    WORKER_EV_WORK,
    WORKER_EV_FREE, /* finished, yielded or failed */
    WORKER_EV_STOP,
    WORKER_EV_EXIT,
    WORKER_EV_SPAWN,
    WORKER_EVENTS
} WorkerEvent;

/* The state after the event; false (state untouched) where the table has no row. */
bool job_next(JobState state, JobEvent event, JobState *ret_state);
bool worker_next(WorkerState state, WorkerEvent event, WorkerState *ret_state);

const char *job_state_name(JobState state);
bool job_state_parse(const char *name, JobState *ret_state);
bool job_state_final(JobState state);
const char *job_event_name(JobEvent event);
const char *worker_state_name(WorkerState state);
const char *worker_event_name(WorkerEvent event);

/* Both tables as Markdown. Caller frees. */
char *lifecycle_print(void);

#endif
