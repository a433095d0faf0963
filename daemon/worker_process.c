/* One worker process, from fork to the last close callback:
 *
 *   1 process_spawn    the child gets fd 3 (socketpair, the protocol) and fd 2 (a pipe to our log); everything else
 *                      that we hold is close-on-exec
 *   2 on_line          bytes of the protocol -> whole messages -> worker_heard
 *   3 on_words         bytes of its stderr -> lines -> worker_said
 *   4 on_exit          the status is kept; what is still in the pipes is read first
 *   5 process_close    all handles; when the last close callback came, the row may hold a new process
 *
 * The child leads a session of its own, so that Ctrl-C at the daemon's terminal reaches the daemon alone. */
#include "daemon/workers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

extern char **environ;

enum {
    READ_BYTES = 1 << 16,
    WORDS_MAX = 1000, /* a longer line of stderr is cut */
    DRAIN_MS = 500    /* after the exit: somebody else (a grandchild) may hold the pipes open for ever */
};

/* --- the environment -------------------------------------------------------------------------------- */

typedef struct Environment {
    char **items;
    size_t count;
} Environment;

static void env_set(Environment *env, const char *name, const char *value)
{
    size_t len = strlen(name), i = 0;
    while (i < env->count && !(strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '='))
        i++;
    if (i == env->count) {
        env->items = xrealloc(env->items, (env->count + 2) * sizeof *env->items);
        env->items[++env->count] = NULL;
    } else {
        free(env->items[i]);
    }
    env->items[i] = xasprintf("%s=%s", name, value);
}

/* Ours, with the threads of this worker and the one GPU it may see. NOTIFY_SOCKET and the watchdog are the daemon's. */
static Environment env_for(const Device *device)
{
    Environment env = {0};
    for (char **one = environ; *one; one++) {
        if (strncmp(*one, "NOTIFY_SOCKET=", 14) == 0 || strncmp(*one, "WATCHDOG_", 9) == 0)
            continue;
        env.items = xrealloc(env.items, (env.count + 2) * sizeof *env.items);
        env.items[env.count++] = xstrdup(*one);
        env.items[env.count] = NULL;
    }
    char threads[16];
    snprintf(threads, sizeof threads, "%d", device->threads);
    env_set(&env, "OMP_NUM_THREADS", threads);
    env_set(&env, "OPENBLAS_NUM_THREADS", threads);
    env_set(&env, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    env_set(&env, "CUDA_VISIBLE_DEVICES", device->uuid);
    env_set(&env, "DDQ_WORKER_NAME", device->name);
    return env;
}

static void env_free(Environment *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->items[i]);
    free(env->items);
}

/* --- what it says ----------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char bytes[READ_BYTES]; /* one thread, and each read is consumed before the next */
    (void)handle, (void)suggested;
    *ret_buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_message(ProtoType type, const cJSON *message, void *ctx)
{
    worker_heard(ctx, type, message);
}

static void on_line(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    Worker *worker = stream->data;
    Err err = {0};
    if (got < 0) {
        uv_read_stop(stream);
        worker->process.eof = true;
        worker_ended(worker);
    } else if (!proto_feed(&worker->process.reader, buf->base, (size_t)got, on_message, worker, &err)) {
        uv_read_stop(stream); /* the reader is dead; nothing it says counts any more */
        worker->process.eof = true;
        worker_babbled(worker, &err);
    }
}

static void say(Worker *worker)
{
    Buf *text = &worker->process.text;
    if (text->len)
        worker_said(worker, text->data);
    buf_free(text);
}

static void on_words(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    Worker *worker = stream->data;
    if (got < 0) {
        uv_read_stop(stream);
        say(worker);
        worker->process.silent = true;
        worker_ended(worker);
        return;
    }
    for (ssize_t i = 0; i < got; i++) {
        char c = buf->base[i];
        if (c == '\n')
            say(worker);
        else if (c && worker->process.text.len < WORDS_MAX)
            buf_add(&worker->process.text, &c, 1);
    }
}

/* --- birth and death -------------------------------------------------------------------------------- */

static void on_exit_(uv_process_t *child, int64_t status, int signal)
{
    Worker *worker = child->data;
    worker->process.exited = true;
    worker->process.status = status;
    worker->process.signal = signal;
    worker->process.exit_seen = mono_ms();
    worker->pid = 0;
    worker_ended(worker);
}

static void on_close(uv_handle_t *handle)
{
    Worker *worker = handle->data;
    worker->process.open--;
}

bool process_spawn(Worker *worker, Err *err)
{
    WorkerProcess *process = &worker->process;
    *process = (WorkerProcess){.open = 3};
    uv_loop_t *loop = worker->table->loop;
    uv_pipe_init(loop, &process->line, 0);
    uv_pipe_init(loop, &process->words, 0);
    process->line.data = process->words.data = process->child.data = worker;

    /* A slice of a GPU ("MIG-...") is the one device that its process sees; CUDA does not tell its name reliably. */
    bool whole = strncmp(worker->device.uuid, "GPU-", 4) == 0;
    const char *kind = whole ? worker->device.uuid : worker->device.uuid[0] ? "cuda" : "cpu";
    char stall[16];
    snprintf(stall, sizeof stall, "%d", worker->table->limits.stall_s);
    char *args[] = {worker->table->program, "serve", "--device", (char *)kind, "--stall-s", stall, NULL, NULL, NULL};
    if (worker->table->cache) {
        args[6] = "--cache";
        args[7] = worker->table->cache;
    }
    uv_stdio_container_t stdio[4] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = 2}, /* a stray print of some library is no protocol and no loss */
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->words},
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->line},
    };
    Environment env = env_for(&worker->device);
    uv_process_options_t options = {.file = worker->table->program,
                                    .args = args,
                                    .env = env.items,
                                    .stdio = stdio,
                                    .stdio_count = 4,
                                    .flags = UV_PROCESS_DETACHED,
                                    .exit_cb = on_exit_};
    int status = uv_spawn(loop, &process->child, &options);
    env_free(&env);
    if (status) {
        process->exited = true;
        process_close(worker);
        return err_set(err, ERR_NOT_FOUND,
                       "worker program %s cannot be started: %s; say where it is with --worker-program",
                       worker->table->program, uv_strerror(status));
    }
    worker->pid = process->child.pid;
    uv_read_start((uv_stream_t *)&process->line, on_alloc, on_line);
    uv_read_start((uv_stream_t *)&process->words, on_alloc, on_words);
    return true;
}

void process_signal(Worker *worker, int signal)
{
    if (worker->pid && !worker->process.exited)
        uv_process_kill(&worker->process.child, signal);
}

bool process_over(const Worker *worker, Mono now)
{
    const WorkerProcess *process = &worker->process;
    return process->exited && ((process->eof && process->silent) || now - process->exit_seen > DRAIN_MS);
}

void process_close(Worker *worker)
{
    WorkerProcess *process = &worker->process;
    say(worker);
    proto_reader_free(&process->reader);
    uv_close((uv_handle_t *)&process->line, on_close);
    uv_close((uv_handle_t *)&process->words, on_close);
    uv_close((uv_handle_t *)&process->child, on_close);
}

void process_explain(const Worker *worker, Err *ret_why)
{
    const WorkerProcess *process = &worker->process;
    const char *words = worker->last_words;
    if (process->signal)
        err_set(ret_why, ERR_INTERNAL, "worker %s was killed by signal %d (%s)%s%s", worker->device.name,
                process->signal, strsignal(process->signal), *words ? "; its last words: " : "", words);
    else
        err_set(ret_why, ERR_INTERNAL, "worker %s ended with status %d%s%s", worker->device.name, (int)process->status,
                *words ? "; its last words: " : "", words);
}
