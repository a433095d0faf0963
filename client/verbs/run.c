/* ddq run: submit and watch; first start a stand-alone daemon if none runs.
 *
 * 1 does a daemon serve this Redis?  2 no: ddqd --standalone in the background, in a session of its own, so that
 * neither Ctrl-C here nor the end of this terminal ends it  3 wait until it is alive  4 submit  5 watch */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/jobs/follow.h"
#include "client/jobs/program.h"
#include "client/queue/registry.h"
#include "client/submit/placement.h"
#include "client/terminal/interrupt.h"
#include "client/verbs/submit.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"

enum { START_MS = 60000, POLL_MS = 50 };

static bool daemon_serves(Cmd *cmd, bool *ret_redis_answers, Err *err)
{
    cJSON *hosts;
    *ret_redis_answers = registry_hosts(cmd, &hosts, err);
    if (!*ret_redis_answers)
        return false;
    bool alive = hosts->child != NULL;
    cJSON_Delete(hosts);
    return alive;
}

static bool open_log(const char *state, char **ret_path, int *ret_fd, Err *err)
{
    char *path = xasprintf("%s/ddqd.log", state);
    bool made = file_make_parents(path, 0700, err);
    *ret_fd = made ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (*ret_fd < 0) {
        if (made)
            err_errno(err, "the daemon's log %s", path);
        free(path);
        return false;
    }
    *ret_path = path;
    return true;
}

static void become_daemon(const char *program, const char *state, const char *conf, int log)
{
    const char *argv[8] = {program, "--standalone", "--state", state};
    if (conf) {
        argv[4] = "--conf";
        argv[5] = conf;
    }
    setsid();
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execvp(program, (char *const *)argv);
    dprintf(STDERR_FILENO, "ddq: cannot run %s: %s\n", program, strerror(errno));
    _exit(127);
}

/* The last line of the daemon's log, which has the reason why it ended. */
static void last_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    char next[512];
    line[0] = 0;
    while (file && fgets(next, sizeof next, file))
        if (next[0] != '\n')
            snprintf(line, size, "%s", next);
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = 0;
}

static bool await_daemon(Cmd *cmd, pid_t pid, const char *log_path, Err *err)
{
    Mono deadline = mono_ms() + START_MS;
    bool answers, ended = false;
    while (!daemon_serves(cmd, &answers, NULL)) {
        if (!ended && waitpid(pid, NULL, WNOHANG) == pid) {
            ended = true; /* another ddqd may have locked the state folder first; it will answer soon */
            deadline = mono_ms() + 3000;
        }
        if (mono_ms() > deadline) {
            char line[512];
            last_line(log_path, line, sizeof line);
            return err_set(err, ERR_UNREACHABLE, "ddqd %s: %.400s (%s)", ended ? "ended" : "is not ready after 60 s",
                           line, log_path);
        }
        if (!interrupt_sleep(POLL_MS))
            return err_set(err, ERR_CANCELLED, "interrupted");
    }
    return true;
}

static bool start_daemon(Cmd *cmd, Err *err)
{
    const Conf *conf;
    char *log_path, *state, *program;
    int log;
    if (!cmd_conf(cmd, &conf, err) || !open_log(conf->state, &log_path, &log, err))
        return false;
    state = xstrdup(conf->state);
    program = program_beside("ddqd");
    char *root = conf_output_root(conf);
    cmd_say(cmd, "no daemon runs here; starting %s --standalone (log: %s); results go to %s", program, log_path, root);
    free(root);
    pid_t pid = fork();
    if (pid == 0)
        become_daemon(program, state, cmd_value(cmd, "conf"), log);
    close(log);
    bool ok = pid > 0 ? await_daemon(cmd, pid, log_path, err) : err_errno(err, "fork");
    if (ok)
        cmd_say(cmd, "ddqd runs with pid %d; end it with: kill %d", (int)pid, (int)pid);
    free(log_path);
    free(state);
    free(program);
    return ok;
}

/* Starts a daemon only for the default stand-alone Redis, never for a configured address. */
static bool ensure_daemon(Cmd *cmd, Err *err)
{
    const Conf *conf;
    bool answers;
    if (daemon_serves(cmd, &answers, err))
        return true;
    if (!answers && err->kind != ERR_UNREACHABLE)
        return false;
    Err unread;
    if (!cmd_conf(cmd, &conf, &unread)) /* read before, for the address */
        return false;
    if (cmd_value(cmd, "redis") || conf->redis)
        return answers
                   ? err_set(err, ERR_UNREACHABLE, "no ddqd serves the Redis at %s; start ddqd on a host that uses it",
                             redis_name(cmd->redis))
                   : false;
    err_clear(err);
    return start_daemon(cmd, err);
}

static bool run_run(Cmd *cmd, Err *err)
{
    const Follow follow = {.progress = true};
    Submitted done;
    Plan plan = {0};
    interrupt_detach();
    if (cmd_has(cmd, "dry-run"))
        return verb_submit.run(cmd, err);
    bool queued = ensure_daemon(cmd, err) && plan_read(cmd, &plan, err) && (plan.waits = true) &&
                  submit_jobs(cmd, &plan, &done, err);
    plan_free(&plan);
    if (!queued) {
        if (interrupted())
            cmd->exit_code = EXIT_INTERRUPTED;
        return interrupted();
    }
    for (int i = 0; i < done.count && !cmd->json; i++)
        cmd_say(cmd, "job %s", done.ids[i]);
    bool ok = submitted_follow(cmd, &done, &follow, err);
    submitted_free(&done);
    return ok;
}

static const Flag flags[] = {
    PLACEMENT_FLAGS,
    {NULL, 0, NULL, NULL},
};

const Verb verb_run = {
    .name = "run",
    .args = "[RECIPE|JOB.json|-]",
    .most = 1,
    .summary = "Submit and watch; start a stand-alone daemon first if none runs",
    .detail =
        "  ddq run digits-demo\n"
        "A daemon that it starts writes results below ~/ddq-jobs, unless ddq.conf has an output_root, and its log "
        "to ~/.local/state/ddq/ddqd.log.\n",
    .flags = flags,
    .job_flags = true,
    .run = run_run,
};
