/* The two state tables. A row that is not here is refused; queue.lua's TRANSITIONS repeats the job's. */
#include "spec/lifecycle.h"

#include <string.h>

#include "core/mem.h"

static const char *const job_states[JOB_STATES] = {"queued", "waiting", "running",  "held",
                                                   "done",   "failed",  "cancelled"};
static const char *const job_events[JOB_EVENTS] = {"claim",   "idle",   "complete",    "fail", "hold",
                                                   "release", "cancel", "parent_done", "wait"};
static const char *const worker_states[WORKER_STATES] = {"starting", "idle", "claiming", "busy", "stopping", "gone"};
static const char *const worker_events[WORKER_EVENTS] = {"hello", "claim", "empty", "work",
                                                         "free",  "stop",  "exit",  "spawn"};

typedef struct Row {
    int state, event, next;
    const char *when; /* for docs/lifecycle.md */
} Row;

static const Row job_rows[] = {
    {JOB_QUEUED, JOB_EV_CLAIM, JOB_RUNNING, "a worker takes a range"},
    {JOB_QUEUED, JOB_EV_HOLD, JOB_HELD, "a person holds it"},
    {JOB_QUEUED, JOB_EV_CANCEL, JOB_CANCELLED, "its owner cancels it"},
    {JOB_WAITING, JOB_EV_PARENT_DONE, JOB_QUEUED, "the jobs it waits for are done, or failed (--after-failed run)"},
    {JOB_WAITING, JOB_EV_FAIL, JOB_FAILED, "a job it waited for failed or was cancelled"},
    {JOB_WAITING, JOB_EV_HOLD, JOB_HELD, "a person holds it, or --after-failed is hold and such a job failed"},
    {JOB_WAITING, JOB_EV_CANCEL, JOB_CANCELLED, "its owner cancels it"},
    {JOB_RUNNING, JOB_EV_CLAIM, JOB_RUNNING, "another worker takes a range"},
    {JOB_RUNNING, JOB_EV_IDLE, JOB_QUEUED, "the last lease ended and work is left"},
    {JOB_RUNNING, JOB_EV_COMPLETE, JOB_DONE, "the report is written, or all images exist that were not given up"},
    {JOB_RUNNING, JOB_EV_FAIL, JOB_FAILED, "it cannot succeed: a wrong value, a bad file, repeated failures"},
    {JOB_RUNNING, JOB_EV_HOLD, JOB_HELD, "a person holds it, or the disk is full"},
    {JOB_RUNNING, JOB_EV_CANCEL, JOB_CANCELLED, "its owner cancels it"},
    {JOB_HELD, JOB_EV_COMPLETE, JOB_DONE, "its report was being written when it was held"},
    {JOB_HELD, JOB_EV_FAIL, JOB_FAILED, "a range that was running failed permanently"},
    {JOB_HELD, JOB_EV_RELEASE, JOB_QUEUED, "a person releases it"},
    {JOB_HELD, JOB_EV_WAIT, JOB_WAITING, "a person releases it, but a job it waits for is not done"},
    {JOB_HELD, JOB_EV_CANCEL, JOB_CANCELLED, "its owner cancels it"},
};

static const Row worker_rows[] = {
    {WORKER_STARTING, WORKER_EV_HELLO, WORKER_IDLE, "it has the protocol version of the daemon"},
    {WORKER_STARTING, WORKER_EV_STOP, WORKER_STOPPING, "the daemon drains"},
    {WORKER_STARTING, WORKER_EV_EXIT, WORKER_GONE, "it exited before hello"},
    {WORKER_IDLE, WORKER_EV_CLAIM, WORKER_CLAIMING, "a claim for it is sent"},
    {WORKER_IDLE, WORKER_EV_STOP, WORKER_STOPPING, "the daemon drains or the configuration changed"},
    {WORKER_IDLE, WORKER_EV_EXIT, WORKER_GONE, "it exited"},
    {WORKER_CLAIMING, WORKER_EV_EMPTY, WORKER_IDLE, "there is nothing to do"},
    {WORKER_CLAIMING, WORKER_EV_WORK, WORKER_BUSY, "a range is sent to it"},
    {WORKER_CLAIMING, WORKER_EV_STOP, WORKER_STOPPING, "the daemon drains; a late range is returned to the queue"},
    {WORKER_CLAIMING, WORKER_EV_EXIT, WORKER_GONE, "it exited; a late range is returned to the queue"},
    {WORKER_BUSY, WORKER_EV_FREE, WORKER_IDLE, "its range is finished, yielded or failed"},
    {WORKER_BUSY, WORKER_EV_STOP, WORKER_STOPPING, "it finishes its batch and returns the rest to the queue"},
    {WORKER_BUSY, WORKER_EV_EXIT, WORKER_GONE, "it exited; its range is returned to the queue"},
    {WORKER_STOPPING, WORKER_EV_FREE, WORKER_STOPPING, "its range was returned to the queue"},
    {WORKER_STOPPING, WORKER_EV_HELLO, WORKER_STOPPING, "it was asked to stop before its hello"},
    {WORKER_STOPPING, WORKER_EV_EXIT, WORKER_GONE, "it stopped"},
    {WORKER_GONE, WORKER_EV_SPAWN, WORKER_STARTING, "the restart delay is over"},
};

static const Row *find(const Row *rows, size_t count, int state, int event)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].state == state && rows[i].event == event)
            return &rows[i];
    return NULL;
}

bool job_next(JobState state, JobEvent event, JobState *ret_state)
{
    const Row *row = find(job_rows, countof(job_rows), (int)state, (int)event);
    if (row)
        *ret_state = (JobState)row->next;
    return row != NULL;
}

bool worker_next(WorkerState state, WorkerEvent event, WorkerState *ret_state)
{
    const Row *row = find(worker_rows, countof(worker_rows), (int)state, (int)event);
    if (row)
        *ret_state = (WorkerState)row->next;
    return row != NULL;
}

const char *job_state_name(JobState state)
{
    return job_states[state];
}

bool job_state_parse(const char *name, JobState *ret_state)
{
    for (int state = 0; name && state < JOB_STATES; state++)
        if (strcmp(name, job_states[state]) == 0) {
            *ret_state = (JobState)state;
            return true;
        }
    return false;
}

bool job_state_final(JobState state)
{
    return state == JOB_DONE || state == JOB_FAILED || state == JOB_CANCELLED;
}

const char *job_event_name(JobEvent event)
{
    return job_events[event];
}

const char *worker_state_name(WorkerState state)
{
    return worker_states[state];
}

const char *worker_event_name(WorkerEvent event)
{
    return worker_events[event];
}

static void print_rows(Buf *text, const Row *rows, size_t count, const char *const *states, const char *const *events)
{
    buf_printf(text, "| from | event | to | when |\n|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++)
        buf_printf(text, "| %s | %s | %s | %s |\n", states[rows[i].state], events[rows[i].event], states[rows[i].next],
                   rows[i].when);
}

char *lifecycle_print(void)
{
    Buf text = {0};
    buf_printf(&text, "# Job and worker states\n\n"
                      "Printed from the tables of spec/lifecycle.c (`ddqd --print-lifecycle`, scripts/docs). An "
                      "event\nwithout a row is refused. done, failed and cancelled are final. Every job that is not "
                      "running\nhas a text with the reason.\n\n## A job\n\n");
    print_rows(&text, job_rows, countof(job_rows), job_states, job_events);
    buf_printf(&text, "\n## A worker, in the daemon\n\n");
    print_rows(&text, worker_rows, countof(worker_rows), worker_states, worker_events);
    return text.data;
}
