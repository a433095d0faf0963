/* ddq submit: a job is checked here, in full, before Redis hears of it; then names are held against what the living
 * daemons know; then it is queued under an id made here, so that a repeated send is not a second job. */
#include "client/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/follow.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/registry.h"
#include "client/specs.h"
#include "core/mem.h"

/* What a daemon must have to work on this job. */
static cJSON *needs_of(const cJSON *spec)
{
    cJSON *needs = cJSON_CreateArray();
    static const char *const named[] = {"model", "reference"};
    for (size_t i = 0; i < countof(named); i++)
        if (*job_text(spec, named[i])) {
            char *need = xasprintf("%s:%s", named[i], job_text(spec, named[i]));
            cJSON_AddItemToArray(needs, cJSON_CreateString(need));
            free(need);
        }
    bool measures = strcmp(job_text(spec, "kind"), "sample") != 0 ||
                    cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(spec, "metrics")) > 0;
    if (measures && !*job_text(spec, "reference"))
        cJSON_AddItemToArray(needs, cJSON_CreateString("inception"));
    return needs;
}

static cJSON *submit_args(const char *id, const char *user, double priority, bool new, const cJSON *after,
                          const cJSON *spec)
{
    cJSON *args = cJSON_CreateObject();
    const cJSON *images = cJSON_GetObjectItemCaseSensitive(spec, "images");
    cJSON_AddStringToObject(args, "id", id);
    cJSON_AddStringToObject(args, "user", user);
    cJSON_AddStringToObject(args, "kind", job_text(spec, "kind"));
    cJSON_AddStringToObject(args, "model", job_text(spec, "model"));
    cJSON_AddNumberToObject(args, "images", cJSON_IsNumber(images) ? images->valuedouble : 0);
    cJSON_AddNumberToObject(args, "priority", priority);
    cJSON_AddItemToObject(args, "needs", needs_of(spec));
    cJSON_AddItemToObject(args, "after", cJSON_Duplicate(after, true));
    static const char *const optional[] = {"name", "device"};
    for (size_t i = 0; i < countof(optional); i++)
        if (*job_text(spec, optional[i]))
            cJSON_AddStringToObject(args, optional[i], job_text(spec, optional[i]));
    cJSON_AddItemToObject(args, "spec", cJSON_Duplicate(spec, true));
    cJSON_AddBoolToObject(args, "new", new);
    return args;
}

/* --after ID,ID as a list of whole ids. */
static bool after_read(Cmd *cmd, cJSON *ids, Err *err)
{
    const char *given = cmd_value(cmd, "after");
    char *copy = xstrdup(given ? given : ""), *rest = copy, *word;
    bool ok = true;
    while (ok && (word = strsep(&rest, ","))) {
        char *id = NULL;
        if (!*word)
            continue;
        ok = job_resolve(cmd, word, &id, err) || err_wrap(err, "--after");
        if (ok)
            cJSON_AddItemToArray(ids, cJSON_CreateString(id));
        free(id);
    }
    free(copy);
    return ok;
}

/* *ret_id: the job's, which is an older one's where the queue knows this spec (*ret_known). Caller frees. */
static bool submit_one(Cmd *cmd, const cJSON *after, const cJSON *spec, char **ret_id, bool *ret_known, Err *err)
{
    char id[11];
    const char *user;
    double priority = 0;
    cJSON *reply;
    queue_new_id(id);
    if (!cmd_user(cmd, &user, err) || !cmd_number(cmd, "priority", -100, 100, &priority, err))
        return false;
    if (!cmd_call(cmd, QUEUE_SUBMIT, submit_args(id, user, priority, cmd_has(cmd, "new"), after, spec), &reply, err))
        return false;
    *ret_id = xstrdup(job_text(reply, "id"));
    *ret_known = strcmp(*ret_id, id) != 0;
    if (*ret_known)
        cmd_say(cmd, "this is job %s, which is %s; --new makes another one", *ret_id, job_text(reply, "state"));
    cJSON_Delete(reply);
    return true;
}

/* A name shared by several jobs would be a shared folder. */
static bool check_count(const Cmd *cmd, const cJSON *jobs, Err *err)
{
    int count = cJSON_GetArraySize(jobs);
    for (int i = 0; i < cmd->field_count && count > 1; i++)
        if (strcmp(cmd->fields[i].name, "name") == 0)
            return err_set(err, ERR_USAGE, "--name is for one job, and these are %d", count);
    return true;
}

bool submit_jobs(Cmd *cmd, Submitted *ret_done, Err *err)
{
    cJSON *jobs;
    if (!specs_read(cmd, &jobs, err))
        return false;
    Submitted done = {.ids = xcalloc((size_t)cJSON_GetArraySize(jobs), sizeof *done.ids)};
    cJSON *after = cJSON_CreateArray();
    bool ok = check_count(cmd, jobs, err) && registry_check(cmd, jobs, err) && after_read(cmd, after, err);
    for (const cJSON *spec = jobs->child; ok && spec; spec = spec->next) {
        bool known = false;
        ok = submit_one(cmd, after, spec, &done.ids[done.count], &known, err);
        done.count += ok;
        done.known += known;
        if (!ok && done.count)
            err_wrap(err, "%d of %d jobs are queued, the next one is not", done.count, cJSON_GetArraySize(jobs));
    }
    cJSON_Delete(jobs);
    cJSON_Delete(after);
    Err unremembered = {0};
    if (done.count && !cmd_remember(done.ids[done.count - 1], &unremembered))
        cmd_say(cmd, "ddq: '@' will not know this job: %s", unremembered.text);
    if (!ok) {
        for (int i = 0; i < done.count; i++)
            puts(done.ids[i]);
        submitted_free(&done);
        return false;
    }
    *ret_done = done;
    return true;
}

void submitted_free(Submitted *done)
{
    for (int i = 0; i < done->count; i++)
        free(done->ids[i]);
    free(done->ids);
    *done = (Submitted){0};
}

static void print_ids(const Cmd *cmd, const Submitted *done)
{
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject();
        if (done->count == 1)
            cJSON_AddStringToObject(object, "id", done->ids[0]);
        cJSON_AddItemToObject(object, "ids", cJSON_CreateStringArray((const char *const *)done->ids, done->count));
        cmd_json(object);
        return;
    }
    for (int i = 0; i < done->count; i++)
        puts(done->ids[i]);
    fflush(stdout);
}

static bool submit_run(Cmd *cmd, Err *err)
{
    Follow follow = {.progress = cmd_has(cmd, "watch")};
    bool waits = follow.progress || cmd_has(cmd, "wait") || cmd_has(cmd, "timeout");
    Submitted done;
    if (!cmd_number(cmd, "timeout", 0.001, 1e9, &follow.timeout_s, err))
        return false;
    if (waits)
        interrupt_detach(); /* from here on somebody must be told how to come back */
    if (!submit_jobs(cmd, &done, err))
        return false;
    print_ids(cmd, &done);
    bool ok = true;
    if (waits)
        ok = follow_jobs(cmd, done.ids, done.count, &follow, err);
    else if (!cmd->json && done.count == 1 && !done.known)
        cmd_say(cmd, "queued; ddq watch %s follows it, ddq cancel %s stops it", done.ids[0], done.ids[0]);
    else if (!cmd->json && done.count > done.known)
        cmd_say(cmd, "%d jobs queued; ddq ls lists them, ddq watch @ follows the last one", done.count - done.known);
    submitted_free(&done);
    return ok;
}

static const Flag flags[] = {
    {"watch", 'w', NULL, "show a progress bar, then where everything is; the exit status is the job's"},
    {"wait", 0, NULL, "wait without a bar; the exit status is the job's"},
    {"timeout", 0, "SECONDS", "stop waiting after so long, with status 101; the job goes on"},
    {"after", 0, "ID,...", "start when these jobs are done; fails if one of them does"},
    {"new", 0, NULL, "a job of its own, even if the same one was submitted within a day"},
    {"priority", 'p', "N", "among your own jobs, higher runs first (-100 to 100, default 0)"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_submit = {
    .name = "submit",
    .args = "[RECIPE|JOB.json|-]",
    .most = 1,
    .summary = "Queue a recipe, a job from a JSON file or stdin (-), or one made of flags",
    .detail = "  ddq submit digits-2step --watch\n"
              "  ddq submit l-2step --images 1000 --seed 7\n"
              "  ddq submit --model digits --t-list 0,20 --split-t 20 --images 64 --reference digits\n"
              "  ddq submit job.json --quiet            prints the id alone\n",
    .flags = flags,
    .job_flags = true,
    .run = submit_run,
};
