/* Specs of claimed jobs, resolved in threads of libuv's pool: a network file system that stalls must not stop the loop.
 * Each has a deadline. After it the owner gets an error; the thread stays stuck until its file system answers.
 *
 *     resolving_size_pool();                                         before the pool's first use
 *     resolving_init(&resolving, loop, stall_s, &hooks, owner);
 *     resolving_start(&resolving, &resolve, reply, tag, &err)        on_resolved follows, exactly once
 *     resolving_tick(&resolving, mono_ms());                         deadlines
 *     resolving_busy(&resolving)                                     true while a thread is at work or stuck */
#ifndef DAEMON_SPECS_RESOLVING_H
#define DAEMON_SPECS_RESOLVING_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/clock.h"
#include "core/err.h"
#include "daemon/specs/resolve.h"

enum { RESOLVING_MAX = 16 /* threads of the pool */ };

typedef struct ResolvingHooks {
    /* exec is the spec for the worker, now the owner's; NULL: refused, why has the reason. reply is freed after the
     * call. */
    void (*on_resolved)(void *owner, uint64_t tag, cJSON *exec, const cJSON *reply, const Err *why);
    void (*on_answers_again)(void *owner); /* a file system whose deadline had passed */
} ResolvingHooks;

typedef struct ResolvingTask ResolvingTask;

typedef struct Resolving {
    uv_loop_t *loop;
    int stall_s; /* how long a file system may not answer */
    ResolvingHooks hooks;
    void *owner;
    ResolvingTask *tasks;
} Resolving;

void resolving_size_pool(void);
void resolving_init(Resolving *resolving, uv_loop_t *loop, int stall_s, const ResolvingHooks *hooks, void *owner);
/* reply: the queue's answer to the claim, with the "spec", an object or the text of one; it is copied, and on_resolved gets
 * the object. False when the spec is refused without asking
 * the file system; on_resolved is not called then. */
bool resolving_start(Resolving *resolving, const Resolve *resolve, const cJSON *reply, uint64_t tag, Err *err);
void resolving_tick(Resolving *resolving, Mono now);
bool resolving_busy(const Resolving *resolving);
/* True while more than one thread is stuck: not one folder but the output root does not answer, and every claim would
 * be held. */
bool resolving_stalled(const Resolving *resolving);

#endif
