/* The steps, in order:
 *
 *   1 process_spawn    the child gets fd 3 (socketpair, the protocol) and fd 2 (a pipe to our log); all other
 *                      descriptors of the daemon are close-on-exec
 *   2 on_channel       bytes of the protocol -> whole messages -> on_message
 *   3 on_errors        bytes of its stderr -> lines -> on_stderr
 *   4 on_exit_         the status is kept; what is still in the pipes is read first
 *   5 process_close    all handles; after the last close callback the struct may hold a new process
 *
 * The child has its own session, so that Ctrl-C at the daemon's terminal reaches only the daemon. */
#include "daemon/workers/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "daemon/base/environment.h"

enum {
    READ_BYTES = 1 << 16,
    LINE_MAX_BYTES = 1000, /* a longer line of stderr is cut */
    DRAIN_MS = 500,        /* after the exit: a grandchild may hold the pipes open for ever */
    DRAIN_LOOKS = 8        /* and the loop, which may have been held up, has looked into the pipes in between */
};

/* The daemon's environment, with the threads of this worker and the one GPU it may see. */
static Environment env_for(const Device *device)
{
    Environment env = environment_inherited();
    char threads[16];
    snprintf(threads, sizeof threads, "%d", device->threads);
    environment_set(&env, "OMP_NUM_THREADS", threads);
    environment_set(&env, "OPENBLAS_NUM_THREADS", threads);
    environment_set(&env, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    environment_set(&env, "CUDA_VISIBLE_DEVICES", device->uuid);
    environment_set(&env, "DDQ_WORKER_NAME", device->name);
    return env;
}

/* --- what arrives ----------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char bytes[READ_BYTES]; /* one thread, and each read is consumed before the next */
    (void)handle, (void)suggested;
    *ret_buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    WorkerProcess *process = ctx;
    process->hooks.on_message(process->owner, type, message);
}

static void on_channel(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    WorkerProcess *process = stream->data;
    Err err = {0};
    if (got < 0) {
        uv_read_stop(stream);
        process->channel_eof = true;
        process->channel_closed = mono_ms();
        process->hooks.on_ended(process->owner);
    } else if (!proto_feed(&process->reader, buf->base, (size_t)got, on_message, process, &err)) {
        uv_read_stop(stream);
        process->channel_eof = true;
        process->hooks.on_malformed(process->owner, &err);
    }
}

static void line_done(WorkerProcess *process)
{
    Buf *text = &process->text;
    if (text->len) {
        snprintf(process->last_stderr, sizeof process->last_stderr, "%s", text->data);
        process->hooks.on_stderr(process->owner, text->data);
    }
    buf_free(text);
}

static void on_errors(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    WorkerProcess *process = stream->data;
    if (got < 0) {
        uv_read_stop(stream);
        line_done(process);
        process->errors_eof = true;
        process->hooks.on_ended(process->owner);
        return;
    }
    for (ssize_t i = 0; i < got; i++) {
        char c = buf->base[i];
        if (c == '\n')
            line_done(process);
        else if (c && process->text.len < LINE_MAX_BYTES)
            buf_add(&process->text, &c, 1);
    }
}

/* --- what is sent ----------------------------------------------------------------------------------- */

typedef struct Write {
    uv_write_t write;
    char *text;
} Write;

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* a broken pipe shows as EOF on the same socket */
    Write *one = (Write *)write;
    free(one->text);
    free(one);
}

bool process_send(WorkerProcess *process, char *text)
{
    Write *one = xmalloc(sizeof *one);
    one->text = text;
    uv_buf_t buf = uv_buf_init(text, (unsigned)strlen(text));
    if (process->pid && uv_write(&one->write, (uv_stream_t *)&process->channel, &buf, 1, on_written) == 0)
        return true;
    free(one->text);
    free(one);
    return false;
}

/* --- start and end ---------------------------------------------------------------------------------- */

static void on_exit_(uv_process_t *child, int64_t status, int signal)
{
    WorkerProcess *process = child->data;
    process->exited = true;
    process->status = status;
    process->signal = signal;
    process->exit_seen = mono_ms();
    process->pid = 0;
    process->hooks.on_ended(process->owner);
}

static void on_close(uv_handle_t *handle)
{
    WorkerProcess *process = handle->data;
    process->open--;
}

bool process_spawn(WorkerProcess *process, const ProcessSpec *spec, const ProcessHooks *hooks, void *owner, Err *err)
{
    *process = (WorkerProcess){.open = 3, .hooks = *hooks, .owner = owner};
    uv_loop_t *loop = spec->loop;
    const char *uuid = spec->device->uuid;
    uv_pipe_init(loop, &process->channel, 0);
    uv_pipe_init(loop, &process->errors, 0);
    process->channel.data = process->errors.data = process->child.data = process;

    /* A slice of a GPU ("MIG-...") is the one device that its process sees; CUDA does not report its name reliably. */
    bool whole = strncmp(uuid, "GPU-", 4) == 0;
    const char *kind = whole ? uuid : uuid[0] ? "cuda" : "cpu";
    char stall[16];
    snprintf(stall, sizeof stall, "%d", spec->stall_s);
    char *args[] = {(char *)spec->program, "serve", "--device", (char *)kind, "--stall-s", stall, NULL, NULL, NULL};
    if (spec->verb) {
        args[1] = (char *)spec->verb;
        args[2] = NULL;
    } else if (spec->cache) {
        args[6] = "--cache";
        args[7] = (char *)spec->cache;
    }
    uv_stdio_container_t stdio[4] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = 2}, /* stray output of a library, not a message */
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->errors},
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&process->channel},
    };
    Environment env = env_for(spec->device);
    uv_process_options_t options = {.file = spec->program,
                                    .args = args,
                                    .env = env.items,
                                    .stdio = stdio,
                                    .stdio_count = 4,
                                    .flags = UV_PROCESS_DETACHED,
                                    .exit_cb = on_exit_};
    int status = uv_spawn(loop, &process->child, &options);
    environment_free(&env);
    if (status) {
        process->exited = true;
        process_close(process);
        return err_set(err, ERR_NOT_FOUND,
                       "worker program %s cannot be started: %s; say where it is with --worker-program", spec->program,
                       uv_strerror(status));
    }
    process->pid = process->child.pid;
    uv_read_start((uv_stream_t *)&process->channel, on_alloc, on_channel);
    uv_read_start((uv_stream_t *)&process->errors, on_alloc, on_errors);
    return true;
}

void process_signal(WorkerProcess *process, int signal)
{
    if (process->pid && !process->exited)
        uv_process_kill(&process->child, signal);
}

bool process_over(WorkerProcess *process, Mono now)
{
    if (!process->exited)
        return false;
    process->looks++;
    return (process->channel_eof && process->errors_eof) ||
           (now - process->exit_seen > DRAIN_MS && process->looks > DRAIN_LOOKS);
}

bool process_dead(const WorkerProcess *process)
{
    siginfo_t info = {0};
    return process->exited ||
           (process->pid && waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == process->pid);
}

void process_close(WorkerProcess *process)
{
    line_done(process);
    proto_reader_free(&process->reader);
    uv_close((uv_handle_t *)&process->channel, on_close);
    uv_close((uv_handle_t *)&process->errors, on_close);
    uv_close((uv_handle_t *)&process->child, on_close);
}

void process_explain(const WorkerProcess *process, const char *name, Err *ret_why)
{
    const char *line = process->last_stderr, *lead = *line ? "; its last line on stderr: " : "";
    if (process->signal)
        err_set(ret_why, ERR_INTERNAL, "worker %s was killed by signal %d (%s)%s%s", name, process->signal,
                strsignal(process->signal), lead, line);
    else
        err_set(ret_why, ERR_INTERNAL, "worker %s ended with status %d%s%s", name, (int)process->status, lead, line);
}
