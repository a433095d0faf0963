/* The line to the daemon: what it asks for becomes tasks in order, what we say goes out whole, message by message.
 *
 *     Line *line = line_open(fd, err);
 *     for (Task *task; (task = line_next(line)); line_drop(line, task))
 *         ... line_say(line, PROTO_PROGRESS, fields) ... line_stopping(line, task) ...
 *
 * A thread of its own reads, another says `alive`. There is one Line a process, and it lives until the process ends. */
#ifndef WORKER_LINE_H
#define WORKER_LINE_H

#include <stdint.h>

#include "core/proto.h"

typedef struct Task Task;
struct Task {
    Task *next;
    bool called_off; /* yield or cancel came */
    char *token, *job, *phase;
    int64_t lo, hi, n;       /* n: images of the job, 0 before its survey */
    cJSON *spec, *submitted; /* submitted: NULL where the daemon does not say */
};

typedef struct Line Line;
/* Takes SIGTERM as "stop", and asks the kernel to send it when the daemon dies. A file system that does not answer for
 * stall_s (0: for ever) ends the process, with a failure of its task. NULL when threads cannot be started. */
Line *line_open(int fd, int stall_s, Err *err);
void line_device(Line *line, const char *device);         /* whose memory `alive` tells; outlives the line */
void line_alive(Line *line);                              /* says it now */
void line_say(Line *line, ProtoType type, cJSON *fields); /* consumes fields; any thread */

/* Waits for a task. NULL: time to go. Tasks that wait when a stop comes are still handed out, to be answered. */
Task *line_next(Line *line);
void line_drop(Line *line, Task *task); /* it was answered; frees it */
/* True when the task should end at the next batch boundary. */
bool line_stopping(Line *line, const Task *task);
/* True, with the reason, when the other side broke the protocol. */
bool line_broken(Line *line, Err *err);

#endif
