/* ddq logs: the log lines of a job's workers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/jobs/outage.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "client/terminal/interrupt.h"
#include "client/terminal/when.h"
#include "core/json.h"

#define NO_LINE "0-0" /* the id before the first one */
enum { COUNT = 1000, FOLLOW_MS = 500 };

static void print_line(const Cmd *cmd, const cJSON *line)
{
    const char *text = json_text(line, "text", "");
    char at[25];
    wall_iso((Wall)strtoll(json_text(line, "id", ""), NULL, 10), at); /* a stream's id begins with its time */
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "at", at);
        cJSON_AddStringToObject(object, "level", json_text(line, "level", ""));
        cJSON_AddStringToObject(object, "text", text);
        cmd_json(object);
        return;
    }
    char *here = when_here(at, wall_ms());
    printf("%s%s%s %s ", term_color(stdout, COLOR_DIM), here, term_reset(stdout), json_text(line, "level", ""));
    free(here);
    term_put(stdout, text, 0);
    putchar('\n');
}

/* Prints the lines after *after and advances it. *ret_count: number of lines. */
static bool print_new(Cmd *cmd, const char *id, char **after, int *ret_count, Err *err)
{
    cJSON *args = cJSON_CreateObject(), *reply, *line;
    cJSON_AddStringToObject(args, "id", id);
    cJSON_AddNumberToObject(args, "count", COUNT);
    if (*after)
        cJSON_AddStringToObject(args, "after", *after);
    if (!cmd_call(cmd, QUEUE_LOGS, args, &reply, err))
        return false;
    const cJSON *lines = cJSON_GetObjectItemCaseSensitive(reply, "lines");
    *ret_count = cJSON_GetArraySize(lines);
    cJSON_ArrayForEach(line, lines) print_line(cmd, line);
    fflush(stdout);
    cJSON *last = cJSON_GetObjectItemCaseSensitive(reply, "last");
    if (cJSON_IsString(last) && last->valuestring[0]) {
        cJSON_free(*after);
        *after = last->valuestring;
        last->valuestring = NULL;
    }
    cJSON_Delete(reply);
    return true;
}

/* The lines since *after, and whether the job had ended before the query. */
static bool look(Cmd *cmd, const char *id, char **after, bool *ret_ended, int *ret_count, Err *err)
{
    cJSON *job;
    if (!job_show(cmd, id, &job, err))
        return false;
    *ret_ended = job_state_final(job_state(job));
    cJSON_Delete(job);
    return print_new(cmd, id, after, ret_count, err);
}

static bool follow(Cmd *cmd, const char *id, char **after, Err *err)
{
    Outage outage = {0};
    int count = 1;
    bool ended = false;
    while (!ended || count) { /* once more after the end: the last lines may be late */
        if (look(cmd, id, after, &ended, &count, err))
            outage_over(&outage);
        else if (!outage_wait(&outage, cmd, err))
            return false;
        else
            ended = false;
        if (ferror(stdout))
            return true; /* the reader has closed the pipe */
        if (!ended && !interrupt_sleep(FOLLOW_MS)) {
            fprintf(stderr, "ddq: detached; the job continues. Follow again with: ddq logs -f %s\n", id);
            cmd->exit_code = EXIT_INTERRUPTED;
            return true;
        }
    }
    return true;
}

static bool logs_run(Cmd *cmd, Err *err)
{
    char *id, *after = NULL;
    int count = COUNT;
    if (!target_job(cmd, cmd->args[0], &id, err))
        return false;
    bool ok = true;
    if (cmd_has(cmd, "follow")) {
        interrupt_detach();
        ok = follow(cmd, id, &after, err);
    }
    while (ok && !cmd_has(cmd, "follow") && count == COUNT)
        ok = print_new(cmd, id, &after, &count, err);
    if (ok && cmd->exit_code == EXIT_OK && after && strcmp(after, NO_LINE) == 0)
        cmd_say(cmd, "ddq: no lines: the workers of job %s have logged nothing", id);
    cJSON_free(after);
    free(id);
    return ok;
}

static const Flag flags[] = {
    {"follow", 'f', NULL, "keep printing until the job has ended"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_logs = {
    .name = "logs",
    .args = "ID",
    .least = 1,
    .most = 1,
    .summary = "Print the log lines of a job's workers",
    .flags = flags,
    .run = logs_run,
};
