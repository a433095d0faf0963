/* The verbs of ddq-worker, one row each: main.c finds the row, prints help from it and runs it. The work is in exec.c,
 * serve.c, selftest.c and commands/. To add a verb: a function and a row in verbs.c. */
#ifndef WORKER_VERBS_H
#define WORKER_VERBS_H

#include "core/err.h"
#include "core/flags.h"

typedef struct WorkerVerb {
    Command command;
    int (*run)(const CommandLine *line); /* the exit status */
} WorkerVerb;

enum { WORKER_VERBS = 8 };
extern const WorkerVerb worker_verbs[WORKER_VERBS];
extern const Flag worker_flags[]; /* of every verb */

/* Prints "ddq-worker: TEXT" on stderr; returns the exit status. */
int worker_error(const Err *err);

#endif
