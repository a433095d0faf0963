/* The channel to the daemon: its messages become tasks, in order; ours are sent whole, one by one.
 *
 *     Channel *channel = channel_open(fd, err);
 *     for (Task *task; (task = channel_next(channel)); channel_done(channel, task))
 *         ... channel_send(channel, PROTO_PROGRESS, fields) ... channel_stopping(channel, task) ...
 *
 * One thread reads, another sends `alive`. There is one Channel per process, and it lives until the process
 * ends.
 */
#ifndef WORKER_CHANNEL_H
#define WORKER_CHANNEL_H

#include <stdint.h>

#include "spec/proto.h"

typedef struct Task Task;
struct Task {
    Task *next;
    bool called_off; /* yield or cancel came */
    char *token, *job, *phase;
    int64_t lo, hi, n;       /* n: number of images, 0 before the survey */
    cJSON *spec, *submitted; /* submitted: NULL if the daemon sent none */
};

typedef struct Channel Channel;
/* Takes SIGTERM as "stop", and has the kernel send it when the daemon ends. A file system that does not answer for
 * stall_s (0: for ever) ends the process, with a failure of its task. NULL when threads cannot be started. */
Channel *channel_open(int fd, int stall_s, Err *err);
void channel_device(Channel *channel, const char *device); /* whose memory `alive` reports; outlives the channel */
void channel_send_alive(Channel *channel);                 /* sends it now */
void channel_send(Channel *channel, ProtoType type, cJSON *fields); /* consumes fields; any thread */

/* Waits for a task. NULL: exit. Tasks that wait when a stop comes are still returned, so that they are answered. */
Task *channel_next(Channel *channel);
void channel_done(Channel *channel, Task *task); /* it was answered; frees it */
/* True when the task should end at the next batch boundary. */
bool channel_stopping(Channel *channel, const Task *task);
/* True, with the reason, when the daemon sent an invalid message. */
bool channel_broken(Channel *channel, Err *err);

#endif
