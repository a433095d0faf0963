/* Order of a start: 1 ask the socket whether a server of an earlier ddqd is running; 2 write redis.conf; 3 spawn;
 * 4 on_server_exit: back-off, again. Order of the stop: TERM, on which Redis syncs its file and exits, then KILL. */
#include "daemon/redis/standalone.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "daemon/base/environment.h"
#include "daemon/base/sched.h"
#include "daemon/base/socket.h"

enum {
    STOP_MS = 20000,
    TRIES = 3 /* starts in a row without service after which the machine is at fault */
};

/* --- the program ------------------------------------------------------------------------------------ */

static bool in_path(const char *name)
{
    const char *path = getenv("PATH");
    char *all = xstrdup(path && *path ? path : "/usr/local/bin:/usr/bin:/bin"), *rest = all, *folder;
    bool found = false;
    while (!found && (folder = strsep(&rest, ":"))) {
        char *file = xasprintf("%s/%s", *folder ? folder : ".", name);
        found = access(file, X_OK) == 0;
        free(file);
    }
    free(all);
    return found;
}

static const char *program_of(const char *program)
{
    static const char *const names[] = {"redis-server", "valkey-server"};
    for (size_t i = 0; !program && i < countof(names); i++)
        if (in_path(names[i]))
            program = names[i];
    return program ? program : names[0];
}

static bool not_installed(const char *program, int status, Err *err)
{
    return err_set(err, ERR_UNREACHABLE,
                   "%s cannot be started: %s; install it (apt-get install redis-server), set redis_server to the "
                   "program, or give the address of a running server with --redis",
                   program, uv_strerror(status));
}

typedef struct Asked {
    uv_pipe_t pipe;
    char text[256];
    size_t len;
} Asked;

static void on_asked_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
    static char rest[256];
    Asked *asked = handle->data;
    (void)size;
    size_t room = sizeof asked->text - 1 - asked->len;
    *ret_buf = room ? uv_buf_init(asked->text + asked->len, (unsigned)room) : uv_buf_init(rest, sizeof rest);
}

static void on_asked_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    Asked *asked = stream->data;
    if (got < 0)
        uv_close((uv_handle_t *)stream, NULL);
    else if (buf->base == asked->text + asked->len)
        asked->len += (size_t)got;
}

static void on_asked_exit(uv_process_t *process, int64_t status, int signal)
{
    (void)status, (void)signal;
    uv_close((uv_handle_t *)process, NULL);
}

bool standalone_version(const char *program, char *ret_version, size_t size, Err *err)
{
    char *args[] = {(char *)program_of(program), "--version", NULL};
    uv_loop_t loop;
    uv_process_t process;
    Asked asked = {.len = 0};
    Environment env = environment_inherited();
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &asked.pipe, 0);
    asked.pipe.data = &asked;
    uv_stdio_container_t stdio[2] = {
        {.flags = UV_IGNORE}, {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&asked.pipe}};
    uv_process_options_t options = {
        .file = args[0], .args = args, .env = env.items, .stdio = stdio, .stdio_count = 2, .exit_cb = on_asked_exit};
    int status = uv_spawn(&loop, &process, &options);
    environment_free(&env);
    if (status) {
        uv_close((uv_handle_t *)&process, NULL);
        uv_close((uv_handle_t *)&asked.pipe, NULL);
    } else {
        uv_read_start((uv_stream_t *)&asked.pipe, on_asked_alloc, on_asked_read);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    const char *version = strstr(asked.text, "v="), *name = strrchr(args[0], '/');
    name = name ? name + 1 : args[0];
    if (status)
        return not_installed(args[0], status, err);
    if (!version)
        return err_set(err, ERR_UNREACHABLE, "%s --version does not say 'v=' and a version; is it a Redis?", args[0]);
    snprintf(ret_version, size, "%s %.*s", name, (int)strcspn(version + 2, " \n"), version + 2);
    return atoi(version + 2) >= 7 ||
           err_set(err, ERR_UNREACHABLE, "%s is too old: ddq needs 7.0 or newer", ret_version);
}

/* --- start ------------------------------------------------------------------------------------------ */

static void put_quoted(FILE *file, const char *key, const char *folder, const char *name)
{
    char *path = name ? xasprintf("%s/%s", folder, name) : xstrdup(folder);
    fprintf(file, "%s \"", key);
    for (const char *c = path; *c; c++)
        fprintf(file, strchr("\"\\", *c) ? "\\%c" : "%c", *c);
    fputs("\"\n", file);
    free(path);
}

static bool write_conf(const Standalone *alone, char **ret_path, Err *err)
{
    char *path = xasprintf("%s/redis.conf", alone->folder);
    FILE *file = fopen(path, "we");
    if (!file) {
        err_errno(err, "%s", path);
        free(path);
        return false;
    }
    fputs("# Written by ddqd at every start of its private server; changes here are lost.\n", file);
    put_quoted(file, "unixsocket", alone->socket, NULL);
    put_quoted(file, "dir", alone->folder, NULL);
    put_quoted(file, "logfile", alone->folder, "redis.log");
    fputs("unixsocketperm 770\n"
          "port 0\n"
          "appendonly yes\n"
          "appendfsync always\n"
          "aof-load-truncated yes\n"
          "save \"\"\n"
          "maxmemory-policy noeviction\n"
          "daemonize no\n"
          "supervised no\n",
          file);
    bool ok = ferror(file) == 0;
    ok = fclose(file) == 0 && ok;
    if (ok)
        *ret_path = path;
    else
        err_errno(err, "%s", path);
    return ok;
}

static void on_server_closed(uv_handle_t *handle)
{
    Standalone *alone = handle->data;
    alone->spawned = false;
}

static void server_ended(Standalone *alone, const Err *why)
{
    alone->pid = 0;
    alone->next_start = mono_ms() + sched_restart_ms(alone->failures++, drand48());
    if (!alone->stopping)
        alone->hooks.on_ended(alone->owner, why, !alone->served && alone->failures >= TRIES);
}

static void on_server_exit(uv_process_t *process, int64_t status, int signal)
{
    Standalone *alone = process->data;
    Err why = {0};
    uv_close((uv_handle_t *)process, on_server_closed);
    if (signal)
        err_set(&why, ERR_UNREACHABLE, "the private redis-server was killed by signal %d (%s)", signal,
                strsignal(signal));
    else
        err_set(&why, ERR_UNREACHABLE, "the private redis-server ended with status %d; see %s/redis.log", (int)status,
                alone->folder);
    server_ended(alone, &why);
}

static bool spawn(Standalone *alone, Err *err)
{
    char *conf = NULL;
    if (!write_conf(alone, &conf, err))
        return false;
    char *args[] = {(char *)program_of(alone->program), conf, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    Environment env = environment_inherited();
    uv_process_options_t options = {.file = args[0],
                                    .args = args,
                                    .env = env.items,
                                    .stdio = stdio,
                                    .stdio_count = 3,
                                    .flags = UV_PROCESS_DETACHED, /* Ctrl-C is for the daemon, which stops it last */
                                    .exit_cb = on_server_exit};
    alone->process.data = alone;
    int status = uv_spawn(alone->loop, &alone->process, &options);
    environment_free(&env);
    alone->spawned = true;
    if (status) {
        uv_close((uv_handle_t *)&alone->process, on_server_closed);
        not_installed(args[0], status, err);
    }
    free(conf);
    return status == 0;
}

static void start(Standalone *alone)
{
    Err err = {0};
    alone->started = mono_ms();
    int pid = socket_server(alone->socket);
    if (pid < 0) {
        err_set(&err, ERR_PERMISSION,
                "another user's program answers on %s, where the private Redis of this daemon belongs; remove it, or "
                "choose another state folder",
                alone->socket);
        server_ended(alone, &err);
        return;
    }
    if (pid) {
        log_info("redis pid=%d taken over socket=%s", pid, alone->socket);
        alone->pid = pid;
    } else if (spawn(alone, &err)) {
        alone->pid = alone->process.pid;
        log_info("redis pid=%d started socket=%s", alone->pid, alone->socket);
    } else {
        server_ended(alone, &err);
        return;
    }
    alone->hooks.on_started(alone->owner);
}

void standalone_open(Standalone *alone, uv_loop_t *loop, const char *program, const char *folder, const char *socket,
                     const StandaloneHooks *hooks, void *owner)
{
    *alone = (Standalone){.loop = loop, .hooks = *hooks, .owner = owner};
    alone->program = program ? xstrdup(program) : NULL;
    alone->folder = xstrdup(folder);
    alone->socket = xstrdup(socket);
    start(alone);
}

void standalone_served(Standalone *alone)
{
    alone->served = true;
    alone->failures = 0;
}

/* --- watch and stop --------------------------------------------------------------------------------- */

/* A server taken over is no child process, so no signal reports its end; and where orphans are not reaped it stays in
 * the process table as a zombie, for which kill(pid, 0) succeeds. */
static bool process_lives(int pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno != ENOENT;
    size_t got = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[got] = 0;
    const char *state = strrchr(line, ')'); /* "pid (name) S ..." */
    return state && state[1] && !strchr("ZX", state[2]);
}

void standalone_tick(Standalone *alone, Mono now)
{
    if (alone->pid && !alone->spawned && !process_lives(alone->pid)) {
        Err why = {0};
        err_set(&why, ERR_UNREACHABLE, "the private redis-server is gone; see %s/redis.log", alone->folder);
        server_ended(alone, &why);
    }
    if (alone->pid && alone->stop_deadline && now > alone->stop_deadline) {
        log_warning("redis pid=%d did not stop in %d s and is killed; its file is synced after every change",
                    alone->pid, STOP_MS / 1000);
        kill(alone->pid, SIGKILL);
        alone->stop_deadline = now + STOP_MS;
    }
    if (!alone->pid && !alone->spawned && !alone->stopping && now >= alone->next_start)
        start(alone);
}

void standalone_stop(Standalone *alone)
{
    if (alone->stopping)
        return;
    alone->stopping = true;
    alone->stop_deadline = mono_ms() + STOP_MS;
    if (alone->pid)
        kill(alone->pid, SIGTERM);
}

bool standalone_gone(const Standalone *alone)
{
    return !alone->pid && !alone->spawned;
}

void standalone_done(Standalone *alone)
{
    free(alone->program);
    free(alone->folder);
    free(alone->socket);
    *alone = (Standalone){0};
}
