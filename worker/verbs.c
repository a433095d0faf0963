/* The verbs of ddq-worker and their flags. */
#include "worker/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/backend.h"
#include "spec/report/fid_flags.h"
#include "spec/jobspec.h"
#include "spec/proto.h"
#include "worker/commands/fid.h"
#include "worker/commands/look.h"
#include "worker/commands/reference.h"
#include "worker/exec.h"
#include "worker/selftest.h"
#include "worker/serve.h"

enum { THREADS_MAX = 1024, STALL_MAX_S = 1024 };

int worker_error(const Err *err)
{
    fprintf(stderr, "ddq-worker: %s\n", err->text);
    return err_exit_code(err->kind);
}

/* --threads; else OMP_NUM_THREADS, with which ddqd divides the cores among its workers; 0: all. */
static bool read_threads(const CommandLine *line, int *ret_threads, Err *err)
{
    const char *shared = getenv("OMP_NUM_THREADS");
    int threads = shared ? atoi(shared) : 0;
    *ret_threads = threads > 0 && threads <= THREADS_MAX ? threads : 0;
    return flags_whole(line, "threads", 0, THREADS_MAX, ret_threads, err);
}

static const char *device_of(const CommandLine *line)
{
    return flags_has(line, "device") ? flags_value(line, "device") : "cpu";
}

/* --- verbs ---------------------------------------------------------------------------------------------- */

static int verb_exec(const CommandLine *line)
{
    Err err = {0};
    int threads;
    if (!read_threads(line, &threads, &err))
        return worker_error(&err);
    return exec_job(line->args[0], threads, flags_value(line, "cache"), flags_has(line, "quiet"));
}

static int verb_serve(const CommandLine *line)
{
    Err err = {0};
    int threads, stall_s = 0;
    if (!read_threads(line, &threads, &err) || !flags_seconds(line, "stall-s", 0, STALL_MAX_S, &stall_s, &err))
        return worker_error(&err);
    return serve(device_of(line), threads, flags_value(line, "cache"), stall_s, PROTO_FD);
}

static int verb_look(const CommandLine *line)
{
    (void)line;
    return look_command(PROTO_FD);
}

static const char *or_none(const char *text)
{
    return text[0] ? text : "-";
}

static int verb_devices(const CommandLine *line)
{
    (void)line;
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

static int verb_selftest(const CommandLine *line)
{
    Err err = {0};
    int threads;
    return read_threads(line, &threads, &err) ? selftest(device_of(line), threads) : worker_error(&err);
}

static int verb_describe(const CommandLine *line)
{
    Err err = {0};
    const char *kind_name = line->arg_count ? line->args[0] : "";
    char *text = flags_has(line, "markdown") ? jobspec_print() : NULL;
    for (int kind = 0; kind < JOB_KINDS && !text; kind++)
        if (strcmp(kind_name, jobspec_kind_name((JobKind)kind)) == 0)
            text = jobspec_describe((JobKind)kind, FORM_EXEC);
    if (!text) {
        err_set(&err, ERR_USAGE, "describe: '%.60s' is not a kind of job; wanted sample, evaluate or statistics",
                kind_name);
        return worker_error(&err);
    }
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

/* --- tables --------------------------------------------------------------------------------------------- */

#define DEVICE_FLAG                                                                                                    \
    {                                                                                                                  \
        "device", 0, "D", "cpu (default), cuda or a GPU's UUID"                                                        \
    }
#define THREADS_FLAG                                                                                                   \
    {                                                                                                                  \
        "threads", 0, "N", "CPU threads; default: OMP_NUM_THREADS, else all"                                           \
    }
#define CACHE_FLAG                                                                                                     \
    {                                                                                                                  \
        "cache", 0, "DIR", "cache of measured references; default ~/.cache/ddq"                                        \
    }

static const Flag exec_flags[] = {
    {"quiet", 'q', NULL, "print no progress"}, THREADS_FLAG, CACHE_FLAG, {NULL, 0, NULL, NULL}};
static const Flag serve_flags[] = {
    DEVICE_FLAG,
    THREADS_FLAG,
    CACHE_FLAG,
    {"stall-s", 0, "TIME", "fail a job whose file system has not answered for this long; 0 (default): never"},
    {NULL, 0, NULL, NULL},
};
static const Flag describe_flags[] = {{"markdown", 0, NULL, "print docs/jobspec.md"}, {NULL, 0, NULL, NULL}};
static const Flag selftest_flags[] = {DEVICE_FLAG, THREADS_FLAG, {NULL, 0, NULL, NULL}};
static const Flag tool_flags[] = {
    {"conf", 0, "FILE", "read this configuration file instead of /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf"},
    {"json", 0, NULL, "print JSON"},
    {"quiet", 'q', NULL, "print no messages"},
    {NULL, 0, NULL, NULL},
};
const Flag worker_flags[] = {
    {"version", 0, NULL, "print the versions of this program and of the worker protocol"},
    {"help", 'h', NULL, "print this help"},
    {NULL, 0, NULL, NULL},
};

#define COMMON                                                                                                         \
    {                                                                                                                  \
        "flags of every verb", worker_flags                                                                            \
    }
const WorkerVerb worker_verbs[] = {
    {{"ddq-worker",
      "exec",
      "JOB.json|-",
      1,
      1,
      "Run one job without a daemon and without Redis",
      NULL,
      {{"flags", exec_flags}, {NULL, NULL}, COMMON}},
     verb_exec},
    {{"ddq-worker",
      "fid",
      "A B",
      2,
      2,
      "Print the FID of two sets of images or statistics; `ddq fid` runs this",
      NULL,
      {{"flags", fid_flags}, {"flags of `ddq`", tool_flags}, COMMON}},
     fid_command},
    {{"ddq-worker",
      "reference",
      "PATH",
      1,
      1,
      "Describe a reference as JSON, or register it; `ddq refs` runs this",
      NULL,
      {{"flags", reference_flags}, {NULL, NULL}, COMMON}},
     reference_command},
    {{"ddq-worker",
      "serve",
      NULL,
      0,
      0,
      "Run jobs for ddqd, which is connected to file descriptor 3",
      NULL,
      {{"flags", serve_flags}, {NULL, NULL}, COMMON}},
     verb_serve},
    {{"ddq-worker",
      "look",
      NULL,
      0,
      0,
      "Report the files of its configuration to ddqd, which is connected to file descriptor 3",
      NULL,
      {{NULL, NULL}, {NULL, NULL}, COMMON}},
     verb_look},
    {{"ddq-worker",
      "describe",
      "[KIND]",
      0,
      1,
      "Print the fields of a kind of job: sample, evaluate or statistics",
      NULL,
      {{"flags", describe_flags}, {NULL, NULL}, COMMON}},
     verb_describe},
    {{"ddq-worker",
      "--list-devices",
      NULL,
      0,
      0,
      "List the devices of this machine that can run jobs",
      NULL,
      {{NULL, NULL}, {NULL, NULL}, COMMON}},
     verb_devices},
    {{"ddq-worker",
      "--selftest",
      NULL,
      0,
      0,
      "Check this build on this machine: one line per check",
      NULL,
      {{"flags", selftest_flags}, {NULL, NULL}, COMMON}},
     verb_selftest},
};

_Static_assert(countof(worker_verbs) == WORKER_VERBS, "verbs.h has the number of rows");
