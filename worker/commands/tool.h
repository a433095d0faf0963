/* What the verbs that people type share (fid, reference): a line of progress on a terminal, Ctrl-C, the device, the
 * weights.
 *
 *     Tool tool;
 *     tool_open(&tool, "ddq fid");
 *     ... with &tool.hooks ...
 *     return tool_close(&tool, good, &err);
 *
 * stdout is for the verb's result; everything here goes to stderr, one line each. */
#ifndef WORKER_COMMANDS_TOOL_H
#define WORKER_COMMANDS_TOOL_H

#include <cjson/cJSON.h>

#include "core/clock.h"
#include "core/err.h"
#include "worker/evaluate/hooks.h"
#include "spec/conf/conf.h"

typedef struct Tool {
    const char *name; /* what messages begin with */
    Hooks hooks;      /* of the images named last */
    Hooks comparing;  /* of an evaluation */
    bool quiet;
    Conf *conf;   /* NULL until tool_conf */
    cJSON *notes; /* array of sentences */
    char measuring[256];
    int64_t images;
    bool terminal, drawn;
    Mono last;
} Tool;

void tool_open(Tool *tool, const char *name);
/* Prints the error if there is one. The exit status: 130 after Ctrl-C. */
int tool_close(Tool *tool, bool good, const Err *err);

/* The next progress is about these images. */
void tool_measures(Tool *tool, const char *path, int64_t images);
void tool_clear(Tool *tool);            /* erases the line of progress */
void tool_note(Tool *tool, char *text); /* takes the text over; NULL is fine. The same one is said once. */

bool tool_conf(Tool *tool, const char *path, Err *err); /* conf_load, once */
/* *inception stays where it is given; else it becomes the configuration's, or the error names what to do. */
bool tool_weights(Tool *tool, const char *conf_path, const char **inception, Err *err);
/* The folder of registered references, by this configuration. Caller frees. */
char *tool_references(const Conf *conf);
/* "cuda:1" of PyTorch is the second GPU; NULL is the first one, else the CPU. Caller frees. */
char *tool_device(const char *asked);

#endif
