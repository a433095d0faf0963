#include "worker/commands/tool.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "kernels/backend.h"
#include "spec/references.h"

enum { FRAME_MS = 100, DEVICES_MAX = 64 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
    signal(number, SIG_DFL); /* the second one ends it */
}

static bool frame_is_due(Tool *tool)
{
    Mono now = mono_ms();
    bool due = tool->terminal && !tool->quiet && now - tool->last >= FRAME_MS;
    if (due)
        tool->last = now;
    tool->drawn = tool->drawn || due;
    return due;
}

static void on_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    Tool *tool = ctx;
    const char *doing = strcmp(stage, "reading") == 0 ? "read" : "measured";
    if (frame_is_due(tool))
        fprintf(stderr, "\r\033[K%s: %s %" PRId64 " of %" PRId64 " images, %.*f per second", tool->measuring, doing,
                upto, tool->images, rate < 10 ? 2 : 0, rate);
}

static void on_comparing(void *ctx, int64_t upto, double rate, const char *stage)
{
    Tool *tool = ctx;
    (void)upto, (void)rate;
    if (frame_is_due(tool))
        fprintf(stderr, "\r\033[Kcomparing: %s", stage);
}

static bool on_stop(void *ctx)
{
    (void)ctx;
    return interrupted;
}

static void on_note(void *ctx, const char *text)
{
    tool_note(ctx, xstrdup(text));
}

void tool_open(Tool *tool, const char *name)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    *tool = (Tool){.name = name, .notes = cJSON_CreateArray(), .terminal = isatty(STDERR_FILENO)};
    tool->hooks = (Hooks){.ctx = tool, .progress = on_progress, .stop = on_stop, .note = on_note};
    tool->comparing = (Hooks){.ctx = tool, .progress = on_comparing, .stop = on_stop, .note = on_note};
}

int tool_close(Tool *tool, bool good, const Err *err)
{
    tool_clear(tool);
    if (!good)
        fprintf(stderr, "%s: %s\n", tool->name, err->text);
    conf_free(tool->conf);
    cJSON_Delete(tool->notes);
    if (good && fflush(stdout) != 0)
        return EXIT_ERROR;
    return good ? EXIT_OK : interrupted ? EXIT_INTERRUPTED : err_exit_code(err->kind);
}

/* A file's name may hold anything; err_set makes one line of it. */
static Err one_line(const char *text)
{
    Err line = {0};
    err_set(&line, ERR_USAGE, "%s", text);
    return line;
}

void tool_measures(Tool *tool, const char *path, int64_t images)
{
    Err line = one_line(path);
    snprintf(tool->measuring, sizeof tool->measuring, "%.255s", line.text);
    tool->images = images;
}

void tool_clear(Tool *tool)
{
    if (tool->drawn)
        fputs("\r\033[K", stderr);
    tool->drawn = false;
}

void tool_note(Tool *tool, char *text)
{
    if (!text)
        return;
    Err line = one_line(text);
    const cJSON *said;
    cJSON_ArrayForEach(said, tool->notes) if (strcmp(said->valuestring, line.text) == 0)
    {
        free(text);
        return;
    }
    tool_clear(tool);
    if (!tool->quiet)
        fprintf(stderr, "%s: %s\n", tool->name, line.text);
    cJSON_AddItemToArray(tool->notes, cJSON_CreateString(line.text));
    free(text);
}

bool tool_conf(Tool *tool, const char *path, Err *err)
{
    return tool->conf || conf_load(path, &tool->conf, err);
}

bool tool_weights(Tool *tool, const char *conf_path, const char **inception, Err *err)
{
    if (*inception)
        return true;
    if (!tool_conf(tool, conf_path, err))
        return false;
    *inception = tool->conf->inception;
    return *inception ||
           err_set(err, ERR_NOT_FOUND,
                   "no Inception weights to measure images with: give --inception FILE "
                   "(pt_inception-2015-12-05-6726825d.pth), or name it once in ddq.conf: [inception] weights = FILE");
}

char *tool_references(const Conf *conf)
{
    char *root = conf_output_root(conf);
    char *folder = references_folder(root);
    free(root);
    return folder;
}

char *tool_device(const char *asked)
{
    DeviceInfo infos[DEVICES_MAX];
    int count = backend_devices(infos, DEVICES_MAX), gpu = 0;
    long wanted = asked && strncmp(asked, "cuda:", 5) == 0 ? strtol(asked + 5, NULL, 10) : 0;
    if (asked && strncmp(asked, "cuda:", 5) != 0)
        return xstrdup(asked);
    for (int i = 0; i < count; i++)
        if (strcmp(infos[i].uuid, "cpu") != 0 && gpu++ == wanted)
            return xstrdup(infos[i].uuid);
    return xstrdup(asked ? asked : "cpu");
}
