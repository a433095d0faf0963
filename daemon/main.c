/* ddqd: flags, then daemon_run. To add a flag: a row here, and a field in Options or a row of `actions`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/descriptors.h"
#include "core/flags.h"
#include "core/help.h"
#include "core/log.h"
#include "core/mem.h"
#include "daemon/check.h"
#include "daemon/daemon.h"
#include "queue/queue.h"
#include "spec/lifecycle.h"
#include "spec/proto.h"

enum { SECONDS_MAX = 86400 };

static const Flag flags[] = {
    {"standalone", 0, NULL, "start a private redis-server in the state folder and use it"},
    {"redis", 0, "URL", "Redis of the queue: " REDIS_URL_FORMS},
    {"output-root", 0, "DIR", "folder for the output of jobs, DIR/USER/JOB (default: jobs/ in the state folder)"},
    {"state", 0, "DIR", "folder for the lock, the journal and the private Redis of this daemon"},
    {"workers", 0, "LIST", "workers to start: cpu, cpu:N, cuda or cuda:GPU-UUID, separated by commas"},
    {"conf", 0, "FILE", "read this configuration file instead of /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf"},
    {"host", 0, "NAME", "name of this host in the queue"},
    {"worker-program", 0, "FILE", "program of the workers (default: ddq-worker beside this program)"},
    {"drain-s", 0, "TIME", "time for workers to finish their batch after SIGTERM (default 600)"},
    {"silence-s", 0, "TIME", "replace a worker that has sent nothing for this long (default 15)"},
    {"work-s", 0, "TIME", "replace a worker whose range has made no progress for this long (default 1800)"},
    {"stall-s", 0, "TIME", "hold a job whose file system has not answered for this long (default 30)"},
    {"log-level", 0, "LEVEL", "error, warning, info or trace"},
    {"check", 0, NULL, "check everything this daemon needs, print what is wrong, and exit"},
    {"print-config", 0, NULL, "print the configuration in effect, and exit"},
    {"print-lifecycle", 0, NULL, "print states and events of jobs and workers, and exit"},
    {"version", 0, NULL, "print the versions of this program, the worker protocol and the queue"},
    {"help", 'h', NULL, "print this help"},
    {NULL, 0, NULL, NULL},
};

static const Command command = {
    .program = "ddqd",
    .summary = "The daemon of one host: takes jobs from Redis and runs them on the workers of this host",
    .detail =
        "Prints 'ready URL' on stdout when it takes jobs.\n"
        "SIGTERM   finish the current batches, return the rest to the queue and exit; a second one: exit at once\n"
        "SIGHUP    read the configuration again\n"
        "SIGUSR1   write the tables of jobs and workers to the log\n",
    .tables = {{"flags", flags}},
};

static bool read_level(const CommandLine *line, Err *err)
{
    const char *text = flags_value(line, "log-level");
    LogLevel level;
    if (text && !log_level_parse(text, &level))
        return err_set(err, ERR_USAGE, "--log-level is '%.40s', wanted error, warning, info or trace", text);
    if (text)
        log_level_set(level);
    return true;
}

static bool read_options(const CommandLine *line, Options *options, Err *err)
{
    *options = (Options){.conf_path = flags_value(line, "conf"),
                         .state = flags_value(line, "state"),
                         .output_root = flags_value(line, "output-root"),
                         .workers = flags_value(line, "workers"),
                         .redis = flags_value(line, "redis"),
                         .host = flags_value(line, "host"),
                         .worker_program = flags_value(line, "worker-program"),
                         .standalone = flags_has(line, "standalone"),
                         .drain_s = 600,
                         .silence_s = 15,
                         .work_s = 1800,
                         .stall_s = 30};
    return flags_seconds(line, "drain-s", 0, SECONDS_MAX, &options->drain_s, err) &&
           flags_seconds(line, "silence-s", 0, SECONDS_MAX, &options->silence_s, err) &&
           flags_seconds(line, "work-s", 0, SECONDS_MAX, &options->work_s, err) &&
           flags_seconds(line, "stall-s", 0, SECONDS_MAX, &options->stall_s, err) && read_level(line, err);
}

/* --- actions ---------------------------------------------------------------------------------------------- */

static int print_config(const Options *options)
{
    Conf *conf = NULL;
    Err err = {0};
    if (!options_conf(options, &conf, &err)) {
        log_error("%s", err.text);
        return err_exit_code(err.kind);
    }
    char *text = conf_print(conf);
    fputs(text, stdout);
    free(text);
    conf_free(conf);
    return EXIT_OK;
}

static int print_lifecycle(const Options *options)
{
    (void)options;
    char *text = lifecycle_print();
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

static int print_version(const Options *options)
{
    (void)options;
    printf("ddqd %s, protocol %d, queue %d\n", DDQ_VERSION, PROTO_VERSION, QUEUE_VERSION);
    return EXIT_OK;
}

static int print_help(const Options *options)
{
    (void)options;
    const Help help = help_to(stdout);
    help_command(&help, &command);
    return EXIT_OK;
}

/* The first of these flags that is given is done; without one the daemon runs. */
static const struct {
    const char *flag;
    int (*run)(const Options *options);
} actions[] = {
    {"help", print_help},           {"version", print_version},           {"check", check_all},
    {"print-config", print_config}, {"print-lifecycle", print_lifecycle},
};

int main(int argc, char **argv)
{
    Options options;
    CommandLine line;
    Err err = {0};
    int (*run)(const Options *) = daemon_run;
    descriptors_own();
    redis_url_hide(argc, argv);
    bool ok = flags_parse(&command, argc - 1, argv + 1, &line, &err) && read_options(&line, &options, &err);
    if (!ok)
        fprintf(stderr, "ddqd: %s\n", err.text);
    for (int i = (int)countof(actions) - 1; i >= 0; i--)
        if (flags_has(&line, actions[i].flag))
            run = actions[i].run;
    flags_free(&line);
    int code = ok ? run(&options) : EXIT_USAGE;
    return run == daemon_run ? code : descriptors_flush("ddqd", code);
}
