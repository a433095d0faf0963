/* ddqd: flags, then daemon_run. To add a flag: a row here, a field in Options. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lifecycle.h"
#include "core/queue.h"
#include "daemon/check.h"
#include "daemon/daemon.h"

static const char usage[] =
    "usage: ddqd [--standalone] [--output-root DIR] [--state DIR] [--workers LIST] [--conf FILE] [...]\n"
    "\n"
    "The daemon of one host: takes jobs from Redis and has workers do them.\n"
    "\n"
    "  --standalone          start a private redis-server in the state folder and use it\n"
    "  --redis URL           unix:PATH, redis://[:PASSWORD@]HOST[:PORT][/DB] or HOST:PORT\n"
    "  --output-root DIR     where jobs write, DIR/USER/JOB (default: jobs/ in the state folder)\n"
    "  --state DIR           lock, journal and private Redis of this daemon\n"
    "  --workers LIST        cpu, cpu:N, cuda, cuda:GPU-UUID, with commas\n"
    "  --conf FILE           this configuration, not /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf\n"
    "  --host NAME           this host's name in the queue\n"
    "  --worker-program FILE the worker, normally ddq-worker beside this program\n"
    "  --drain-s SECONDS     how long workers may finish their batch after SIGTERM (default 600)\n"
    "  --silence-s SECONDS   after so long without a sign of life a worker is replaced (default 15)\n"
    "  --log-level LEVEL     error, warning, info or trace\n"
    "  --check               look at everything this daemon needs, say what is wrong, and exit\n"
    "  --print-config        the configuration in effect\n"
    "  --print-lifecycle     states and events of jobs and workers\n"
    "  --version, --help\n"
    "\n"
    "Prints 'ready URL' on stdout once it serves. SIGTERM: finish batches, give ranges back, exit; again: at once.\n"
    "SIGHUP: read the configuration again. SIGUSR1: tables into the log.\n";

typedef enum Action { RUN, CHECK, PRINT_CONFIG } Action;

enum { OPT_TEXT = 1, OPT_STANDALONE, OPT_SECONDS, OPT_LEVEL, OPT_CHECK, OPT_CONFIG, OPT_LIFECYCLE, OPT_VERSION, OPT_HELP };

static int print_config(const Options *options)
{
    Conf *conf = NULL;
    Err err = {0};
    if (!daemon_conf(options, &conf, &err)) {
        log_error("%s", err.text);
        return err_exit_code(err.kind);
    }
    char *text = conf_print(conf);
    fputs(text, stdout);
    free(text);
    conf_free(conf);
    return EXIT_OK;
}

static int print_lifecycle(void)
{
    char *text = lifecycle_print();
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

static bool read_seconds(const char *name, const char *text, Options *options)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 0 || value > 86400) {
        fprintf(stderr, "ddqd: --%s %s, wanted seconds from 0 to 86400\n", name, text);
        return false;
    }
    *(strcmp(name, "drain-s") == 0 ? &options->drain_s : &options->silence_s) = (int)value;
    return true;
}

/* 0..: exit with this status; -1: go on. */
static int read_flags(int argc, char **argv, Options *options, Action *action)
{
    static const struct option longs[] = {
        {"conf", required_argument, NULL, OPT_TEXT},        {"state", required_argument, NULL, OPT_TEXT},
        {"output-root", required_argument, NULL, OPT_TEXT}, {"workers", required_argument, NULL, OPT_TEXT},
        {"redis", required_argument, NULL, OPT_TEXT},       {"host", required_argument, NULL, OPT_TEXT},
        {"worker-program", required_argument, NULL, OPT_TEXT}, {"standalone", no_argument, NULL, OPT_STANDALONE},
        {"drain-s", required_argument, NULL, OPT_SECONDS},  {"silence-s", required_argument, NULL, OPT_SECONDS},
        {"log-level", required_argument, NULL, OPT_LEVEL},
        {"check", no_argument, NULL, OPT_CHECK},            {"print-config", no_argument, NULL, OPT_CONFIG},
        {"print-lifecycle", no_argument, NULL, OPT_LIFECYCLE}, {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},              {NULL, 0, NULL, 0},
    };
    const char **texts[] = {&options->conf_path, &options->state, &options->output_root,   &options->workers,
                            &options->redis,     &options->host,  &options->worker_program};
    int chosen, row = 0;
    while ((chosen = getopt_long(argc, argv, "", longs, &row)) != -1) {
        LogLevel level;
        switch (chosen) {
        case OPT_TEXT:
            *texts[row] = optarg;
            break;
        case OPT_STANDALONE:
            options->standalone = true;
            break;
        case OPT_SECONDS:
            if (!read_seconds(longs[row].name, optarg, options))
                return EXIT_USAGE;
            break;
        case OPT_LEVEL:
            if (!log_level_parse(optarg, &level)) {
                fprintf(stderr, "ddqd: --log-level %s, wanted error, warning, info or trace\n", optarg);
                return EXIT_USAGE;
            }
            log_level_set(level);
            break;
        case OPT_CHECK:
            *action = CHECK;
            break;
        case OPT_CONFIG:
            *action = PRINT_CONFIG;
            break;
        case OPT_LIFECYCLE:
            return print_lifecycle();
        case OPT_VERSION:
            printf("ddqd %s, protocol %d, queue %d\n", DDQ_VERSION, PROTO_VERSION, QUEUE_VERSION);
            return EXIT_OK;
        case OPT_HELP:
            fputs(usage, stdout);
            return EXIT_OK;
        default:
            fputs("ddqd --help lists the flags\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ddqd: takes flags alone, not '%s'; ddqd --help lists them\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    Options options = {.drain_s = 600, .silence_s = 15};
    Action action = RUN;
    int code = read_flags(argc, argv, &options, &action);
    if (code >= 0)
        return code;
    if (action == CHECK)
        return check_all(&options);
    if (action == PRINT_CONFIG)
        return print_config(&options);
    return daemon_run(&options);
}
