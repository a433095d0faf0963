/* One worker process, from fork to the last close callback. Does not know the table or states; reports through hooks.
 *
 *     process_spawn(&process, &(ProcessSpec){...}, &hooks, owner, &err)
 *     process_send(&process, text)      one line of the protocol; text is consumed
 *     ... on_message, on_line, on_ended ...
 *     process_over(&process, now)       it exited, and everything that it sent was read; ask once per tick
 *     process_close(&process)           then wait for process.open == 0: the struct may hold a new process */
#ifndef DAEMON_WORKERS_PROCESS_H
#define DAEMON_WORKERS_PROCESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"
#include "daemon/workers/devices.h"
#include "spec/proto.h"

typedef struct ProcessHooks {
    void (*on_message)(void *owner, ProtoType type, const cJSON *message);
    void (*on_malformed)(void *owner, const Err *why); /* bytes that are no message; nothing more is read */
    void (*on_stderr)(void *owner, const char *line);
    void (*on_ended)(void *owner); /* it exited, or one of its pipes did: ask process_over */
} ProcessHooks;

typedef struct ProcessSpec {
    uv_loop_t *loop;
    const char *verb;            /* of the program; NULL: serve, with the flags of a worker */
    const char *program, *cache; /* cache: of measured references; NULL: the worker's default */
    const Device *device;
    int stall_s; /* how long its file systems may not answer, by its own watch */
} ProcessSpec;

/* The handles are here. */
typedef struct WorkerProcess {
    uv_process_t child;
    uv_pipe_t channel, errors; /* fd 3: the protocol; fd 2: stderr */
    int open;                  /* handles whose close callback has not come */
    int pid;                   /* 0: none runs */
    bool exited, channel_eof, errors_eof;
    int64_t status;
    int signal;
    Mono exit_seen, channel_closed;
    int looks; /* since the exit: how often process_over was asked, in different rounds of the loop */
    ProtoReader reader;
    Buf text;              /* of stderr, up to the next newline */
    char last_stderr[256]; /* its latest line there */
    ProcessHooks hooks;
    void *owner;
} WorkerProcess;

bool process_spawn(WorkerProcess *process, const ProcessSpec *spec, const ProcessHooks *hooks, void *owner, Err *err);
bool process_send(WorkerProcess *process, char *text); /* false when it is gone; a later loss shows as the end */
void process_signal(WorkerProcess *process, int signal);
bool process_over(WorkerProcess *process, Mono now);
/* It has ended, even if the loop has not delivered that yet: a deadline that passed for both asks this first. */
bool process_dead(const WorkerProcess *process);
void process_close(WorkerProcess *process);
/* How worker `name` ended, in a sentence, with its last line of stderr. */
void process_explain(const WorkerProcess *process, const char *name, Err *ret_why);

#endif
