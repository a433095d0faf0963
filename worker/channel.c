/* Three threads share one lock:
 *
 *   main     takes tasks and answers them; asks at every batch boundary whether to stop
 *   reader   line -> message -> a task in the queue, or a mark on the task that it names (yield, cancel)
 *   alive    sends `alive` every two seconds, independent of the main thread, and notices when a thread is stuck in a
 *            file system
 *
 * When the daemon is gone (EOF, or the death signal that the kernel sends) the batch is finished and written, and the
 * worker exits; a batch that takes longer than LINGER_SECONDS after that is given up. */
#include "worker/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/json.h"
#include "core/stall.h"
#include "worker/memory.h"

enum { ALIVE_SECONDS = 2, LINGER_SECONDS = 30, TASKS_MAX = 16 };

struct Channel {
    int fd, stall_s;
    const char *device; /* whose memory is reported; NULL: none yet */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Task *first, *last; /* the first is the one in work */
    int64_t upto;       /* the last one reported for it */
    int count;
    bool stop; /* stop came: finish the batch, answer, exit */
    bool gone; /* the daemon closed its end */
    Mono gone_since;
    Err broken;                 /* the daemon sent an invalid message */
    pthread_mutex_t write_lock; /* one message at a time */
};

static volatile sig_atomic_t terminated; /* SIGTERM: from the daemon, or from the kernel when it died */

static void on_term(int number)
{
    (void)number;
    terminated = 1;
}

static void mark_gone(Channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    if (!channel->gone)
        channel->gone_since = mono_ms();
    channel->gone = true;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}

void channel_send(Channel *channel, ProtoType type, cJSON *fields)
{
    if (type == PROTO_PROGRESS) {
        pthread_mutex_lock(&channel->lock);
        channel->upto = json_int(fields, "upto", 0);
        pthread_mutex_unlock(&channel->lock);
    }
    char *text = proto_encode(type, fields);
    pthread_mutex_lock(&channel->write_lock);
    bool sent = file_write_fd(channel->fd, text, strlen(text));
    pthread_mutex_unlock(&channel->write_lock);
    free(text);
    if (!sent)
        mark_gone(channel);
}

/* --- messages in ----------------------------------------------------------------------------------- */

static void task_free(Task *task)
{
    free(task->token);
    free(task->job);
    free(task->phase);
    cJSON_Delete(task->spec);
    cJSON_Delete(task->submitted);
    free(task);
}

static void add_task(Channel *channel, const cJSON *message)
{
    if (channel->count == TASKS_MAX) {
        err_set(&channel->broken, ERR_PROTOCOL, "worker protocol: more than %d tasks at once", TASKS_MAX);
        return;
    }
    Task *task = xcalloc(1, sizeof *task);
    task->token = xstrdup(json_text(message, "token", ""));
    task->job = xstrdup(json_text(message, "job", ""));
    task->phase = xstrdup(json_text(message, "phase", ""));
    task->lo = json_int(message, "lo", 0);
    task->hi = json_int(message, "hi", 0);
    task->n = json_int(message, "n", 0);
    task->spec = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(message, "spec"), true);
    task->submitted = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(message, "submitted"), true);
    if (channel->last)
        channel->last->next = task;
    else
        channel->first = task;
    channel->last = task;
    channel->count++;
}

/* A token that is not in the queue was answered already; that is no error. */
static void call_off(Channel *channel, const char *token)
{
    for (Task *task = channel->first; task; task = task->next)
        if (strcmp(task->token, token) == 0)
            task->called_off = true;
}

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    Channel *channel = ctx;
    pthread_mutex_lock(&channel->lock);
    switch (type) {
    case PROTO_WORK:
        add_task(channel, message);
        break;
    case PROTO_YIELD:
    case PROTO_CANCEL:
        call_off(channel, json_text(message, "token", ""));
        break;
    case PROTO_STOP:
        channel->stop = true;
        break;
    default:
        err_set(&channel->broken, ERR_PROTOCOL, "worker protocol: \"%s\" is not for a worker", proto_name(type));
    }
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->lock);
}

/* False at the end of the channel, or after an invalid message. */
static bool read_some(Channel *channel, ProtoReader *reader)
{
    char bytes[65536];
    ssize_t n = read(channel->fd, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR)
        return true;
    Err err = {0};
    bool good = n > 0 && proto_feed(reader, bytes, (size_t)n, on_message, channel, &err);
    pthread_mutex_lock(&channel->lock);
    if (err.kind != ERR_NONE && channel->broken.kind == ERR_NONE)
        channel->broken = err;
    good = good && channel->broken.kind == ERR_NONE;
    pthread_mutex_unlock(&channel->lock);
    return good;
}

static void *reader_thread(void *ctx)
{
    ProtoReader reader = {0};
    while (read_some(ctx, &reader))
        continue;
    proto_reader_free(&reader);
    mark_gone(ctx);
    return NULL;
}

/* Fails the task and ends the process: threads that are stuck in a file system cannot be cancelled. */
static void end_stalled(Channel *channel, const char *path)
{
    char *text = xasprintf("%s: its file system has not answered for %d s; release the job when it does", path,
                           channel->stall_s);
    cJSON *fields = cJSON_CreateObject();
    pthread_mutex_lock(&channel->lock);
    const Task *task = channel->first;
    bool says = task != NULL;
    if (says) {
        cJSON_AddStringToObject(fields, "token", task->token);
        cJSON_AddNumberToObject(fields, "upto", (double)(channel->upto > task->lo ? channel->upto : task->lo));
        cJSON_AddStringToObject(fields, "kind", err_name(ERR_IO));
        cJSON_AddStringToObject(fields, "policy", err_policy_name(err_policy(ERR_IO)));
        cJSON_AddStringToObject(fields, "text", text);
        cJSON_AddTrueToObject(fields, "ends");
    }
    pthread_mutex_unlock(&channel->lock);
    fprintf(stderr, "ddq-worker: %s\n", text);
    if (says)
        channel_send(channel, PROTO_FAILED, fields);
    _exit(EXIT_ERROR);
}

void channel_send_alive(Channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    const char *device = channel->device;
    pthread_mutex_unlock(&channel->lock);
    int64_t free_mib = device ? memory_usable_mib(device) : -1;
    cJSON *fields = cJSON_CreateObject();
    if (free_mib >= 0)
        cJSON_AddNumberToObject(fields, "free_mib", (double)free_mib);
    channel_send(channel, PROTO_ALIVE, fields);
}

void channel_device(Channel *channel, const char *device)
{
    pthread_mutex_lock(&channel->lock);
    channel->device = device;
    pthread_mutex_unlock(&channel->lock);
}

static void *alive_thread(void *ctx)
{
    Channel *channel = ctx;
    char path[STALL_TEXT];
    for (;;) {
        sleep(ALIVE_SECONDS);
        if (channel->stall_s && stall_found(channel->stall_s, path))
            end_stalled(channel, path);
        pthread_mutex_lock(&channel->lock);
        bool gone = channel->gone;
        Mono since = channel->gone_since;
        pthread_mutex_unlock(&channel->lock);
        if (!gone)
            channel_send_alive(channel);
        else if (mono_ms() - since > LINGER_SECONDS * 1000)
            _exit(EXIT_ERROR); /* its range will be made again */
    }
    return NULL;
}

/* --- tasks out ------------------------------------------------------------------------------------- */

Task *channel_next(Channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    while (!channel->first && !channel->stop && !channel->gone && !terminated) {
        struct timespec until; /* a signal does not wake a condition */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&channel->changed, &channel->lock, &until);
    }
    Task *task = channel->gone ? NULL : channel->first;
    pthread_mutex_unlock(&channel->lock);
    return task;
}

void channel_done(Channel *channel, Task *task)
{
    pthread_mutex_lock(&channel->lock);
    channel->first = task->next;
    channel->upto = 0;
    if (!channel->first)
        channel->last = NULL;
    channel->count--;
    pthread_mutex_unlock(&channel->lock);
    task_free(task);
}

bool channel_stopping(Channel *channel, const Task *task)
{
    pthread_mutex_lock(&channel->lock);
    bool stop = terminated || channel->stop || channel->gone || task->called_off;
    pthread_mutex_unlock(&channel->lock);
    return stop;
}

bool channel_broken(Channel *channel, Err *err)
{
    pthread_mutex_lock(&channel->lock);
    bool broken = channel->broken.kind != ERR_NONE;
    if (broken)
        *err = channel->broken;
    pthread_mutex_unlock(&channel->lock);
    return broken;
}

/* --- opening --------------------------------------------------------------------------------------- */

static void prepare(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error like a full disk */
    signal(SIGINT, SIG_IGN);  /* Ctrl-C is for the daemon */
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

Channel *channel_open(int fd, int stall_s, Err *err)
{
    Channel *channel = xcalloc(1, sizeof *channel);
    channel->fd = fd;
    channel->stall_s = stall_s;
    pthread_mutex_init(&channel->lock, NULL);
    pthread_mutex_init(&channel->write_lock, NULL);
    pthread_condattr_t steady; /* a changed wall clock must not stretch the wait */
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&channel->changed, &steady);
    prepare(fd);
    pthread_t reader, alive;
    if (pthread_create(&reader, NULL, reader_thread, channel) != 0 ||
        pthread_create(&alive, NULL, alive_thread, channel) != 0) {
        err_set(err, ERR_MEMORY, "cannot start threads: is the process limit reached?");
        return NULL; /* the process ends with this */
    }
    pthread_detach(reader);
    pthread_detach(alive);
    return channel;
}
