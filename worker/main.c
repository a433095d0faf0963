/* ddq-worker: one row a verb. The work is in exec.c, serve.c, selftest.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/jobspec.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/proto.h"
#include "kernels/backend.h"
#include "kernels/settle.h"
#include "worker/commands/fid.h"
#include "worker/commands/reference.h"
#include "worker/exec.h"
#include "worker/files/mapped.h"
#include "worker/selftest.h"
#include "worker/serve.h"

typedef struct Options {
    const char *device, *cache;
    int threads, stall_s;
    bool quiet, markdown;
    const char *word; /* the one argument that is not a flag */
} Options;

static int usage(const char *format, const char *word)
{
    fprintf(stderr, "ddq-worker: ");
    fprintf(stderr, format, word);
    fprintf(stderr, "; ddq-worker --help says how\n");
    return EXIT_USAGE;
}

static int verb_exec(const Options *options)
{
    if (!options->word)
        return usage("%s: which job? give a file, or - for stdin", "exec");
    return exec_job(options->word, options->threads, options->cache, options->quiet);
}

static int verb_serve(const Options *options)
{
    return serve(options->device, options->threads, options->cache, options->stall_s, PROTO_FD);
}

static const char *or_none(const char *text)
{
    return text[0] ? text : "-";
}

static int verb_devices(const Options *options)
{
    (void)options;
    enum { DEVICES_MAX = 64 };
    DeviceInfo infos[DEVICES_MAX];
    Err whys[DEVICES_MAX];
    int count = backend_devices(infos, DEVICES_MAX), absent = backend_absent(whys, DEVICES_MAX);
    printf("%-40s  %10s  %10s  %-7s  %-20s  %-9s  %s\n", "DEVICE", "MiB", "FREE MiB", "COMPUTE", "DRIVER", "BUILT FOR",
           "NAME");
    for (int i = 0; i < count; i++) {
        DeviceInfo *info = &infos[i];
        char left[24] = "-";
        backend_inspect(info);
        if (info->free_mib >= 0)
            snprintf(left, sizeof left, "%lld", (long long)info->free_mib);
        printf("%-40s  %10lld  %10s  %-7s  %-20s  %-9s  %s\n", info->uuid, (long long)info->memory_mib, left,
               or_none(info->compute), or_none(info->driver), or_none(info->runtime), info->name);
    }
    for (int i = 0; i < absent; i++)
        fprintf(stderr, "%s\n", whys[i].text);
    return EXIT_OK;
}

static int verb_selftest(const Options *options)
{
    return selftest(options->device, options->threads);
}

static int verb_version(const Options *options)
{
    (void)options;
    printf("ddq-worker %s, protocol %d\n", DDQ_VERSION, PROTO_VERSION);
    return EXIT_OK;
}

static int verb_describe(const Options *options)
{
    char *text = NULL;
    if (options->markdown)
        text = jobspec_print();
    for (int kind = 0; kind < JOB_KINDS && !text && options->word; kind++)
        if (strcmp(options->word, jobspec_kind_name((JobKind)kind)) == 0)
            text = jobspec_describe((JobKind)kind, FORM_EXEC);
    if (!text)
        return usage("describe: '%s' is no kind of job; it is sample, evaluate or statistics",
                     options->word ? options->word : "");
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

static int verb_help(const Options *options);

static const struct {
    const char *name, *args, *help;
    int (*run)(const Options *options);
    int (*run_words)(int argc, char **argv); /* in place of run: reads its own flags */
} verbs[] = {
    {"exec", "JOB.json|- [--quiet] [--threads N] [--cache DIR]", "run one job with no daemon and no Redis", verb_exec,
     NULL},
    {"fid", "A B [--inception FILE] ...", "the FID of two sets of images or statistics; ddq fid --help has its flags",
     NULL, fid_command},
    {"reference", "PATH [--register FOLDER ...]", "what a path is as a reference, as JSON; for `ddq refs`", NULL,
     reference_command},
    {"serve", "[--device cpu|cuda|UUID] [--threads N] [--cache DIR] [--stall-s N]", "work for ddqd, on descriptor 3",
     verb_serve, NULL},
    {"describe", "KIND | --markdown", "the fields of a job: sample, evaluate or statistics", verb_describe, NULL},
    {"--list-devices", "", "what jobs can run on here", verb_devices, NULL},
    {"--selftest", "[--device cpu|cuda|UUID]", "check this build on this machine: each check ok, or a sentence",
     verb_selftest, NULL},
    {"--version", "", "version, and version of the worker protocol", verb_version, NULL},
    {"--help", "", "this text", verb_help, NULL},
};

static int verb_help(const Options *options)
{
    (void)options;
    printf("ddq-worker runs image generation jobs.\n\n");
    for (size_t i = 0; i < countof(verbs); i++)
        printf("  ddq-worker %-14s %-40s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
    return EXIT_OK;
}

static bool parse_count(const char *text, int *ret_count)
{
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : -1;
    if (!text || end == text || *end || value < 0 || value > 1024)
        return false;
    *ret_count = (int)value;
    return true;
}

/* 0, or the exit status of a refusal. */
static int parse_options(int argc, char **argv, Options *options)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0)
            options->quiet = true;
        else if (strcmp(argv[i], "--markdown") == 0)
            options->markdown = true;
        else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            options->device = argv[++i];
        else if (strcmp(argv[i], "--cache") == 0 && i + 1 < argc)
            options->cache = argv[++i];
        else if (strcmp(argv[i], "--stall-s") == 0) {
            if (!parse_count(i + 1 < argc ? argv[++i] : NULL, &options->stall_s))
                return usage("--stall-s wants seconds from 0 (for ever) to 1024%s", "");
        } else if (strcmp(argv[i], "--threads") == 0) {
            if (!parse_count(i + 1 < argc ? argv[++i] : NULL, &options->threads))
                return usage("--threads wants a number from 0 (all) to 1024%s", "");
        } else if ((argv[i][0] == '-' && argv[i][1]) || options->word)
            return usage("'%s' is not understood here", argv[i]);
        else
            options->word = argv[i];
    }
    return 0;
}

int main(int argc, char **argv)
{
    Options options = {.device = "cpu"};
    LogLevel level;
    settle(argv);
    mapped_guard();
    const char *wanted = getenv("DDQ_LOG");
    if (wanted && log_level_parse(wanted, &level))
        log_level_set(level);
    parse_count(getenv("OMP_NUM_THREADS"), &options.threads); /* how ddqd shares the cores among its workers */
    if (argc < 2)
        return usage("which verb?%s", "");
    for (size_t i = 0; i < countof(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0) {
            if (verbs[i].run_words)
                return verbs[i].run_words(argc - 2, argv + 2);
            int refused = parse_options(argc - 2, argv + 2, &options);
            return refused ? refused : verbs[i].run(&options);
        }
    const char *names[countof(verbs)];
    for (size_t i = 0; i < countof(verbs); i++)
        names[i] = verbs[i].name;
    const char *near = nearest_name(argv[1], names, countof(verbs));
    char *word = near ? xasprintf("%s, did you mean %s?", argv[1], near) : xstrdup(argv[1]);
    int status = usage("there is no verb %s", word);
    free(word);
    return status;
}
