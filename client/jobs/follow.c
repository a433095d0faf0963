#include "client/jobs/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/jobs/held.h"
#include "client/jobs/outage.h"
#include "client/jobs/progress.h"
#include "client/jobs/result.h"
#include "client/queue/group.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "client/terminal/interrupt.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"

enum { FIRST_MS = 20, SLOWEST_MS = 500 };

/* One wait. Jobs are taken one after the other; all of them must end, so the order does not matter. */
typedef struct Waiting {
    Cmd *cmd;
    const Follow *how;
    char *const *ids;
    int count;
    Mono deadline; /* 0: none */
    Outage outage;
    Progress progress;
} Waiting;

static void say_detached(const Waiting *wait, const char *why)
{
    Buf ids = {0};
    for (int i = 0; i < wait->count; i++)
        buf_printf(&ids, " %s", wait->ids[i]);
    fprintf(stderr, "ddq: %s; the job%s. Follow again with: ddq %s%s\n", why,
            wait->count > 1 ? "s continue" : " continues", wait->how->progress && wait->count == 1 ? "watch" : "wait",
            ids.data);
    buf_free(&ids);
}

typedef enum Outcome { OUTCOME_ENDED, OUTCOME_STOPPED, OUTCOME_FAILED } Outcome;

/* Ctrl-C, the end of --timeout, or a closed stdout. */
static bool must_stop(Waiting *wait)
{
    bool late = wait->deadline && mono_ms() >= wait->deadline;
    if (ferror(stdout))
        return true;
    if (!interrupted() && !late)
        return false;
    progress_end(&wait->progress);
    wait->cmd->exit_code = interrupted() ? EXIT_INTERRUPTED : EXIT_TIMED_OUT;
    say_detached(wait, interrupted() ? "detached" : "--timeout has expired");
    return true;
}

static bool changed(const cJSON *job, const cJSON *last)
{
    return !last || job_state(job) != job_state(last) || json_number(job, "done", 0) != json_number(last, "done", 0);
}

/* A sweep is one job here. */
static bool ask(Cmd *cmd, const char *target, cJSON **ret_job, Err *err)
{
    if (!target_is_group(target))
        return job_show(cmd, target, ret_job, err);
    if (!target_group(cmd, target, ret_job, err))
        return false;
    *ret_job = group_as_job(*ret_job);
    return true;
}

static char *channel_of(const char *target)
{
    const char *slash = strchr(target, '/');
    if (!slash)
        return xasprintf(QUEUE_CHANNEL_JOB, target);
    char *user = xasprintf("%.*s", (int)(slash - target), target);
    char *channel = xasprintf(QUEUE_CHANNEL_GROUP, user, slash + 1);
    free(user);
    return channel;
}

/* The bar ends before the line about the outage. True: ask again. */
static bool lost(Waiting *wait, const Err *err)
{
    if (!wait->outage.since)
        progress_end(&wait->progress);
    return outage_wait(&wait->outage, wait->cmd, err);
}

/* One look at the job. *job is the last answer and becomes the new one. False: give up. */
static bool look(Waiting *wait, const char *id, cJSON **job, Err *err)
{
    cJSON *now = NULL;
    if (!ask(wait->cmd, id, &now, err))
        return lost(wait, err);
    outage_over(&wait->outage);
    if (wait->how->progress && wait->cmd->json && changed(now, *job))
        cmd_json(cJSON_Duplicate(now, true));
    else if (wait->how->progress && !wait->cmd->json && !wait->cmd->quiet)
        progress_show(&wait->progress, now);
    cJSON_Delete(*job);
    *job = now;
    return true;
}

/* Waits until the next look is due, or until a live message announces a change. */
static void rest(Waiting *wait, int pause, cJSON *job)
{
    Mono now = mono_ms(), until = now + pause;
    if (wait->deadline && wait->deadline < until)
        until = wait->deadline;
    for (bool look_now = false; !look_now && !interrupted() && now < until; now = mono_ms()) {
        char *text = redis_next(wait->cmd->redis, (int)(until - now));
        cJSON *message = text ? cJSON_Parse(text) : NULL;
        look_now = message && !job_tick(job, message);
        if (message && !look_now && wait->how->progress && !wait->cmd->json && !wait->cmd->quiet)
            progress_show(&wait->progress, job);
        cJSON_Delete(message);
        free(text);
    }
}

/* Looks until the job has ended, or is held; *ret_job is its last answer, **ret_held: why the wait cannot go on. */
static Outcome until_ended(Waiting *wait, const char *id, cJSON **ret_job, char **ret_held, Err *err)
{
    cJSON *job = NULL;
    char *channel = channel_of(id);
    Outcome outcome = OUTCOME_ENDED;
    *ret_held = NULL;
    for (int pause = FIRST_MS; outcome == OUTCOME_ENDED;
         pause = pause * 5 / 4 + 1 < SLOWEST_MS ? pause * 5 / 4 + 1 : SLOWEST_MS) {
        if (!look(wait, id, &job, err)) {
            outcome = OUTCOME_FAILED;
        } else if (job && (job_state_final(job_state(job)) || (*ret_held = held_sentence(wait->cmd, job)))) {
            break;
        } else {
            redis_listen(wait->cmd->redis, channel); /* only now: a job that has ended publishes nothing more */
            rest(wait, pause, job);
            if (must_stop(wait))
                outcome = OUTCOME_STOPPED;
        }
    }
    free(channel);
    if (outcome == OUTCOME_ENDED)
        *ret_job = job;
    else
        cJSON_Delete(job);
    return outcome;
}

/* Of several jobs each table is under its id. */
static void print_figures(const Waiting *wait, const cJSON *job)
{
    if (!cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(job, "metrics")))
        return;
    if (wait->count > 1)
        printf("%s\n", json_text(job, "id", ""));
    result_figures(job);
    fflush(stdout);
}

/* All jobs of a sweep have ended: their figures side by side. */
static void report_group(const Waiting *wait, const cJSON *job, int code)
{
    const Cmd *cmd = wait->cmd;
    if (code)
        cmd_say(cmd, "ddq: sweep %s: %s", json_text(job, "id", ""), json_text(job, "reason", ""));
    if (!cmd->quiet)
        group_points(job);
    fflush(stdout);
}

/* `held`: why it does not end, else NULL. */
static int code_of(const cJSON *job, const char *held)
{
    int code = target_is_group(json_text(job, "id", "")) ? group_exit_code(job) : job_exit_code(job);
    return held && code < EXIT_HELD ? EXIT_HELD : code;
}

/* The job has ended or is held: prints its results, or why it has none. */
static void report(Waiting *wait, const cJSON *job, const char *held)
{
    Cmd *cmd = wait->cmd;
    bool group = target_is_group(json_text(job, "id", ""));
    int code = code_of(job, held);
    progress_end(&wait->progress);
    wait->progress = (Progress){0};
    cmd->exit_code = code > cmd->exit_code ? code : cmd->exit_code;
    if (held)
        cmd_say(cmd, "ddq: %s", held);
    if (cmd->json || held)
        return;
    if (group)
        report_group(wait, job, code);
    else if (wait->how->progress && job_state(job) == JOB_DONE)
        result_print(job); /* with the reason, if images are missing */
    else if (code && *json_text(job, "reason", ""))
        cmd_say(cmd, "ddq: job %s %s: %s", json_text(job, "id", ""), json_text(job, "state", ""),
                json_text(job, "reason", ""));
    else if (code)
        cmd_say(cmd, "ddq: job %s %s", json_text(job, "id", ""), json_text(job, "state", ""));
    else if (!cmd->quiet)
        print_figures(wait, job);
}

static cJSON *ending(const cJSON *job, const char *held)
{
    static const char *const fields[] = {"id",     "state", "done",    "images", "reason",
                                         "output", "fid",   "metrics", "states", "points"};
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < countof(fields); i++)
        if (cJSON_HasObjectItem(job, fields[i]))
            cJSON_AddItemToObject(object, fields[i], cJSON_Duplicate(cJSON_GetObjectItem(job, fields[i]), true));
    bool group = target_is_group(json_text(job, "id", ""));
    if (!group && json_number(job, "bad", 0) > 0)
        cJSON_AddItemToObject(object, "missing", cJSON_Duplicate(cJSON_GetObjectItem(job, "missing"), true));
    if (held)
        cJSON_AddStringToObject(object, "held", held);
    cJSON_AddNumberToObject(object, "exit_code", code_of(job, held));
    return object;
}

bool follow_jobs(Cmd *cmd, char *const *ids, int count, const Follow *how, Err *err)
{
    Waiting wait = {.cmd = cmd, .how = how, .ids = ids, .count = count};
    wait.deadline = how->timeout_s > 0 ? mono_ms() + (Mono)(how->timeout_s * 1000) : 0;
    interrupt_detach();
    cmd->exit_code = EXIT_OK;
    cJSON *ended = cJSON_CreateArray();
    Outcome outcome = OUTCOME_ENDED;
    for (int i = 0; i < count && outcome == OUTCOME_ENDED; i++) {
        cJSON *job = NULL;
        char *held;
        outcome = until_ended(&wait, ids[i], &job, &held, err);
        if (outcome != OUTCOME_ENDED)
            break;
        report(&wait, job, held);
        cJSON_AddItemToArray(ended, ending(job, held));
        free(held);
        cJSON_Delete(job);
    }
    progress_end(&wait.progress);
    if (cmd->json && !how->progress) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "jobs", ended);
        cmd_json(object);
    } else {
        cJSON_Delete(ended);
    }
    return outcome != OUTCOME_FAILED;
}
