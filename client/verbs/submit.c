/* ddq submit: all jobs are checked (client/submit/plan.h) before any is sent; then each is queued under an id that is
 * made here, so that a repeated send does not make a second job. */
#include "client/verbs/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/jobs/follow.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/submit/dryrun.h"
#include "client/submit/placement.h"
#include "client/submit/then.h"
#include "client/terminal/interrupt.h"
#include "client/terminal/when.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"

/* How the state of a job that is there already is told. */
static void say_duplicate(const cJSON *reply, bool waits)
{
    char ago[TERM_TEXT];
    const char *id = json_text(reply, "id", ""), *state = json_text(reply, "state", "");
    term_duration(json_number(reply, "since_ms", 0) / 1000, ago);
    bool done = strcmp(state, "done") == 0;
    if (done && waits)
        fprintf(stderr, "ddq: already run: job %s finished %s ago; its result is shown. Use --new to run it again.\n",
                id, ago);
    else if (done)
        fprintf(stderr, "ddq: already run: job %s finished %s ago; nothing was queued. Use --new to run it again.\n",
                id, ago);
    else
        fprintf(stderr, "ddq: already submitted: job %s, which is %s; nothing was queued. Use --new to run it twice.\n",
                id, state);
}

/* There is a job of the same spec, and its files are others now. */
static void say_changed(const Cmd *cmd, const cJSON *reply)
{
    const cJSON *field, *changed = cJSON_GetObjectItemCaseSensitive(reply, "changed");
    const char *earlier = json_text(reply, "earlier", "");
    Buf names = {0};
    cJSON_ArrayForEach(field, changed) if (cJSON_IsString(field))
        buf_printf(&names, "%s%s", names.len ? ", " : "", field->valuestring);
    if (*earlier && names.len)
        cmd_say(cmd, "ddq: job %s has the same spec, and was made from other files (%s); this is a new job", earlier,
                names.data);
    else if (*earlier)
        cmd_say(cmd,
                "ddq: job %s has the same spec; whether its files are still the same is not known, so this is a "
                "new job",
                earlier);
    buf_free(&names);
}

/* args: consumed. The queue may ask the hosts to look at their files first. */
static bool call_submit(Cmd *cmd, cJSON *args, cJSON **ret_reply, Err *err)
{
    cJSON *again = cJSON_Duplicate(args, true);
    double since = 0;
    cJSON_AddStringToObject(args, "looks", "ask");
    bool ok = cmd_call(cmd, QUEUE_SUBMIT, args, ret_reply, err);
    if (ok && strcmp(json_text(*ret_reply, "status", ""), "look") == 0) {
        cJSON *paths = cJSON_CreateArray();
        const cJSON *input;
        cJSON_ArrayForEach(input, cJSON_GetObjectItemCaseSensitive(again, "inputs"))
            cJSON_AddItemToArray(paths, cJSON_CreateString(input->valuestring));
        cJSON_Delete(*ret_reply);
        registry_look(cmd, paths, &since);
        cJSON_Delete(paths);
        cJSON_AddNumberToObject(again, "since", since);
        return cmd_call(cmd, QUEUE_SUBMIT, again, ret_reply, err);
    }
    cJSON_Delete(again);
    return ok;
}

/* Adds the job's id to `done`: an existing job's if the queue has the same spec (done->known). args is consumed. */
static bool send_one(Cmd *cmd, cJSON *args, Submitted *done, char **ret_folder, Err *err)
{
    char id[11];
    const char *user;
    cJSON *reply;
    queue_new_id(id);
    if (!cmd_user(cmd, &user, err)) {
        cJSON_Delete(args);
        return false;
    }
    cJSON_AddStringToObject(args, "id", id);
    cJSON_AddStringToObject(args, "user", user);
    if (!call_submit(cmd, args, &reply, err))
        return false;
    const char *is = json_text(reply, "id", "");
    done->is_known[done->count] = strcmp(is, id) != 0;
    done->ids[done->count++] = xstrdup(is);
    *ret_folder = xstrdup(json_text(reply, "folder", ""));
    if (strcmp(is, id) != 0) {
        done->known++;
        say_duplicate(reply, done->waits);
    } else {
        say_changed(cmd, reply);
    }
    cJSON_Delete(reply);
    return true;
}

/* A job and, with --then, its evaluation. */
static bool send_job(Cmd *cmd, const Plan *plan, const cJSON *spec, cJSON *evaluation, Submitted *done, Err *err)
{
    char *folder = NULL, *unread = NULL;
    bool ok = send_one(cmd, plan_args(plan, spec), done, &folder, err);
    if (ok && evaluation) {
        then_source(evaluation, folder);
        ok = send_one(cmd, plan_evaluation_args(plan, evaluation, done->ids[done->count - 1]), done, &unread, err);
    }
    free(folder);
    free(unread);
    return ok;
}

/* '@' from now on: the last job, or the sweep as a whole. */
static void remember(Cmd *cmd, const Submitted *done)
{
    Err unremembered = {0};
    const char *what = done->group ? done->group : done->count ? done->ids[done->count - 1] : NULL;
    if (what && done->count && !cmd_remember(what, &unremembered))
        cmd_say(cmd, "ddq: the last job's id could not be saved, so '@' does not refer to this job: %s",
                unremembered.text);
}

/* Once, whatever the number of jobs. */
static void say_not_compared(Cmd *cmd, const Plan *plan)
{
    char *sentence = NULL;
    for (const cJSON *job = plan->jobs->child; job && !sentence; job = job->next)
        sentence = figures_not_compared(job);
    for (const cJSON *job = plan->evaluations ? plan->evaluations->child : NULL; job && !sentence; job = job->next)
        sentence = figures_not_compared(job);
    if (sentence)
        cmd_say(cmd, "ddq: %s", sentence);
    free(sentence);
}

bool submit_jobs(Cmd *cmd, const Plan *plan, Submitted *ret_done, Err *err)
{
    int wanted = cJSON_GetArraySize(plan->jobs) * (plan->evaluations ? 2 : 1);
    Submitted done = {.ids = xcalloc((size_t)wanted, sizeof *done.ids),
                      .is_known = xcalloc((size_t)wanted, sizeof *done.is_known),
                      .waits = plan->waits};
    cJSON *evaluation = plan->evaluations ? plan->evaluations->child : NULL;
    const char *user;
    bool ok = cmd_user(cmd, &user, err);
    if (ok && plan->group)
        done.group = xasprintf("%s/%s%s", user, plan->group, plan->evaluations ? ".evaluate" : "");
    for (const cJSON *spec = plan->jobs->child; ok && spec; spec = spec->next) {
        ok = send_job(cmd, plan, spec, evaluation, &done, err);
        evaluation = evaluation ? evaluation->next : NULL;
    }
    if (!ok && done.count)
        err_wrap(err, "%d of %d jobs are queued, the next one is not", done.count, wanted);
    remember(cmd, &done);
    if (!ok) {
        for (int i = 0; i < done.count; i++)
            puts(done.ids[i]);
        submitted_free(&done);
        return false;
    }
    say_not_compared(cmd, plan);
    *ret_done = done;
    return true;
}

void submitted_free(Submitted *done)
{
    for (int i = 0; i < done->count; i++)
        free(done->ids[i]);
    free(done->ids);
    free(done->is_known);
    free(done->group);
    *done = (Submitted){0};
}

bool submitted_follow(Cmd *cmd, const Submitted *done, const Follow *how, Err *err)
{
    return done->group ? follow_jobs(cmd, &done->group, 1, how, err)
                       : follow_jobs(cmd, done->ids, done->count, how, err);
}

static void print_ids(const Cmd *cmd, const Submitted *done)
{
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject();
        if (done->count == 1)
            cJSON_AddStringToObject(object, "id", done->ids[0]);
        if (done->group)
            cJSON_AddStringToObject(object, "group", done->group);
        cJSON_AddItemToObject(object, "ids", cJSON_CreateStringArray((const char *const *)done->ids, done->count));
        cJSON_AddBoolToObject(object, "duplicate", done->known == done->count);
        cJSON *duplicates = cJSON_AddArrayToObject(object, "duplicates");
        for (int i = 0; i < done->count; i++)
            if (done->is_known[i])
                cJSON_AddItemToArray(duplicates, cJSON_CreateString(done->ids[i]));
        cmd_json(object);
        return;
    }
    for (int i = 0; i < done->count; i++)
        puts(done->ids[i]);
    fflush(stdout);
}

/* at: 0, or when they may start. */
static void say_queued(const Cmd *cmd, const Submitted *done, double at)
{
    int count = done->count - done->known;
    char *when = at > 0 ? when_text((Wall)at, wall_ms()) : NULL,
         *start = when ? xasprintf(", to start at %s", when) : xstrdup("");
    if (count && done->group)
        cmd_say(cmd, "%d jobs queued as %s%s; ddq watch @ follows them, ddq compare @ compares them", count,
                done->group, start);
    else if (count && done->count == 1)
        cmd_say(cmd, "queued%s; ddq watch %s follows it, ddq cancel %s stops it", start, done->ids[0], done->ids[0]);
    else if (count)
        cmd_say(cmd, "%d jobs queued%s; ddq ls lists them, ddq watch @ follows the last one", count, start);
    free(when);
    free(start);
}

static bool submit_run(Cmd *cmd, Err *err)
{
    Follow follow = {.progress = cmd_has(cmd, "watch")};
    bool waits = follow.progress || cmd_has(cmd, "wait") || cmd_has(cmd, "timeout");
    Submitted done;
    if (!flags_span(&cmd->line, "timeout", 0.001, 1e9, &follow.timeout_s, err))
        return false;
    Plan plan;
    if (waits)
        interrupt_detach(); /* from here on Ctrl-C must print how to follow the job again */
    bool ok = plan_read(cmd, &plan, err), dry = cmd_has(cmd, "dry-run");
    plan.waits = waits;
    ok = ok && (dry ? dryrun_print(cmd, &plan, err) : submit_jobs(cmd, &plan, &done, err));
    double at = json_number(plan.placement, "at", 0);
    plan_free(&plan);
    if (!ok || dry)
        return ok;
    print_ids(cmd, &done);
    if (waits)
        ok = submitted_follow(cmd, &done, &follow, err);
    else if (!cmd->json)
        say_queued(cmd, &done, at);
    submitted_free(&done);
    return ok;
}

static const Flag flags[] = {
    {"watch", 'w', NULL, "show progress until the job ends, then its results; the exit status is the job's"},
    {"wait", 0, NULL, "wait until the job ends; the exit status is the job's"},
    {"timeout", 0, "TIME",
     "stop waiting after this time (5s, 30m, 2h; a bare number: seconds), with exit status 101; the job continues"},
    PLACEMENT_FLAGS,
    {NULL, 0, NULL, NULL},
};

const Verb verb_submit = {
    .name = "submit",
    .args = "[RECIPE|JOB.json|-]",
    .most = 1,
    .summary = "Queue a recipe, a job from JSON (a file, or - for stdin) or from flags",
    .detail = "  ddq submit digits-2step --watch\n"
              "  ddq submit l-2step --images 1000 --seed 7\n"
              "  ddq submit --model digits --t-list 0,20 --split-t 20 --images 64 --reference digits\n"
              "  ddq submit job.json --quiet                               prints only the id\n"
              "  ddq submit l-2step --sweep split_t=80,130,180 --watch     three jobs, watched as one\n"
              "  ddq submit l-2step --tier scavenger --window 22:00-07:00 --max-gpus 2\n"
              "  ddq submit l-2step --images 50000 --dry-run               what would it cost?\n"
              "  ddq submit l-2step --then evaluate --after k3f9x2m7qa --after-failed run\n"
              "A job of the same spec that was made from the same files within a day is not run again: it is named.\n",
    .flags = flags,
    .job_flags = true,
    .run = submit_run,
};
