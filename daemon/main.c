/* ddqd: flags, then daemon_run. To add a flag: a row here and a field in Options (or a case in `act`). */
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lifecycle.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/proto.h"
#include "daemon/check.h"
#include "daemon/daemon.h"
#include "queue/queue.h"

typedef enum FlagKind { FLAG_TEXT, FLAG_SECONDS, FLAG_SWITCH, FLAG_LEVEL, FLAG_ACTION } FlagKind;
typedef enum Action { RUN, CHECK, PRINT_CONFIG, PRINT_LIFECYCLE, VERSION, HELP } Action;

typedef struct Flag {
    const char *name, *arg; /* arg: what stands behind it in the help, NULL: nothing does */
    FlagKind kind;
    size_t place; /* of the field in Options, or the Action */
    const char *help;
} Flag;

static const Flag flags[] = {
    {"standalone", NULL, FLAG_SWITCH, offsetof(Options, standalone),
     "start a private redis-server in the state folder and use it"},
    {"redis", "URL", FLAG_TEXT, offsetof(Options, redis),
     "unix:PATH, redis://[:PASSWORD@]HOST[:PORT][/DB] or HOST:PORT"},
    {"output-root", "DIR", FLAG_TEXT, offsetof(Options, output_root),
     "where jobs write, DIR/USER/JOB (default: jobs/ in the state folder)"},
    {"state", "DIR", FLAG_TEXT, offsetof(Options, state), "lock, journal and private Redis of this daemon"},
    {"workers", "LIST", FLAG_TEXT, offsetof(Options, workers), "cpu, cpu:N, cuda, cuda:GPU-UUID, with commas"},
    {"conf", "FILE", FLAG_TEXT, offsetof(Options, conf_path),
     "this configuration, not /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf"},
    {"host", "NAME", FLAG_TEXT, offsetof(Options, host), "this host's name in the queue"},
    {"worker-program", "FILE", FLAG_TEXT, offsetof(Options, worker_program),
     "the worker, normally ddq-worker beside this program"},
    {"drain-s", "SECONDS", FLAG_SECONDS, offsetof(Options, drain_s),
     "how long workers may finish their batch after SIGTERM (default 600)"},
    {"silence-s", "SECONDS", FLAG_SECONDS, offsetof(Options, silence_s),
     "after so long without a sign of life a worker is replaced (default 15)"},
    {"work-s", "SECONDS", FLAG_SECONDS, offsetof(Options, work_s),
     "after so long without progress on its range a worker is replaced (default 1800)"},
    {"stall-s", "SECONDS", FLAG_SECONDS, offsetof(Options, stall_s),
     "after so long without an answer of a job's file system the job is held (default 30)"},
    {"log-level", "LEVEL", FLAG_LEVEL, 0, "error, warning, info or trace"},
    {"check", NULL, FLAG_ACTION, CHECK, "look at everything this daemon needs, say what is wrong, and exit"},
    {"print-config", NULL, FLAG_ACTION, PRINT_CONFIG, "the configuration in effect"},
    {"print-lifecycle", NULL, FLAG_ACTION, PRINT_LIFECYCLE, "states and events of jobs and workers"},
    {"version", NULL, FLAG_ACTION, VERSION, "versions of this program, the worker protocol and the queue"},
    {"help", NULL, FLAG_ACTION, HELP, "this text"},
};

static void print_help(void)
{
    puts("usage: ddqd [--standalone] [--output-root DIR] [--state DIR] [--workers LIST] [--conf FILE] [...]\n\n"
         "The daemon of one host: takes jobs from Redis and has workers do them.\n");
    for (size_t i = 0; i < countof(flags); i++) {
        char head[64];
        snprintf(head, sizeof head, "--%s %s", flags[i].name, flags[i].arg ? flags[i].arg : "");
        printf("  %-23s %s\n", head, flags[i].help);
    }
    puts("\nPrints 'ready URL' on stdout once it serves. SIGTERM: finish batches, give ranges back, exit; again: at "
         "once.\n"
         "SIGHUP: read the configuration again. SIGUSR1: tables into the log.");
}

static bool set_seconds(const Flag *flag, const char *text, int *ret_seconds)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    bool ok = end != text && !*end && value >= 0 && value <= 86400;
    if (ok)
        *ret_seconds = (int)value;
    else
        fprintf(stderr, "ddqd: --%s %s, wanted seconds from 0 to 86400\n", flag->name, text);
    return ok;
}

static bool set_level(const char *text)
{
    LogLevel level;
    bool ok = log_level_parse(text, &level);
    if (ok)
        log_level_set(level);
    else
        fprintf(stderr, "ddqd: --log-level %s, wanted error, warning, info or trace\n", text);
    return ok;
}

static bool set_flag(const Flag *flag, const char *text, Options *options, Action *action)
{
    void *place = (char *)options + flag->place;
    switch (flag->kind) {
    case FLAG_TEXT:
        *(const char **)place = text;
        return true;
    case FLAG_SECONDS:
        return set_seconds(flag, text, place);
    case FLAG_SWITCH:
        *(bool *)place = true;
        return true;
    case FLAG_LEVEL:
        return set_level(text);
    case FLAG_ACTION:
        *action = (Action)flag->place;
        return true;
    }
    return false;
}

static bool read_flags(int argc, char **argv, Options *options, Action *action)
{
    struct option longs[countof(flags) + 1] = {{0}};
    for (size_t i = 0; i < countof(flags); i++)
        longs[i] = (struct option){flags[i].name, flags[i].arg ? required_argument : no_argument, NULL, 1};
    int chosen, row = 0;
    bool ok = true;
    while (ok && (chosen = getopt_long(argc, argv, "", longs, &row)) != -1)
        ok = chosen == 1 && set_flag(&flags[row], optarg, options, action);
    if (ok && optind < argc) {
        fprintf(stderr, "ddqd: takes flags alone, not '%s'\n", argv[optind]);
        ok = false;
    }
    if (!ok)
        fputs("ddqd --help lists the flags\n", stderr);
    return ok;
}

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

static int act(Action action, const Options *options)
{
    char *text;
    switch (action) {
    case RUN:
        return daemon_run(options);
    case CHECK:
        return check_all(options);
    case PRINT_CONFIG:
        return print_config(options);
    case PRINT_LIFECYCLE:
        text = lifecycle_print();
        fputs(text, stdout);
        free(text);
        return EXIT_OK;
    case VERSION:
        printf("ddqd %s, protocol %d, queue %d\n", DDQ_VERSION, PROTO_VERSION, QUEUE_VERSION);
        return EXIT_OK;
    case HELP:
        print_help();
        return EXIT_OK;
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    Options options = {.drain_s = 600, .silence_s = 15, .work_s = 1800, .stall_s = 30};
    Action action = RUN;
    return read_flags(argc, argv, &options, &action) ? act(action, &options) : EXIT_USAGE;
}
