/* ddq show: everything about one job or sweep. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/jobs/result.h"
#include "client/queue/group.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "client/terminal/when.h"
#include "core/json.h"

static void line(const char *label, const char *text)
{
    if (!text || !*text)
        return;
    printf("%-9s ", label);
    term_put(stdout, text, 0);
    putchar('\n');
}

static void print_leases(const cJSON *job)
{
    const cJSON *lease;
    cJSON_ArrayForEach(lease, cJSON_GetObjectItemCaseSensitive(job, "leases"))
    {
        char rate[TERM_TEXT];
        printf("%-9s %s/%s pid %.0f: images %.0f-%.0f, at %.0f, %s %s\n", "worker", json_text(lease, "host", ""),
               json_text(lease, "worker", ""), json_number(lease, "pid", 0), json_number(lease, "lo", 0),
               json_number(lease, "hi", 0) - 1, json_number(lease, "upto", 0),
               term_rate(json_number(lease, "rate", 0), rate), json_text(lease, "stage", ""));
    }
}

static void print_progress(const cJSON *job)
{
    char done[TERM_TEXT], images[TERM_TEXT], rate[TERM_TEXT], eta[TERM_TEXT];
    printf("%-9s %s of %s images", "done", term_count(json_number(job, "done", 0), done),
           term_count(json_number(job, "images", 0), images));
    if (job_state(job) == JOB_RUNNING && job_rate(job) > 0)
        printf(", %s", term_rate(job_rate(job), rate));
    if (job_eta(job) > 0)
        printf(", ready in %s", term_duration(job_eta(job), eta));
    if (job_state(job) == JOB_DONE && json_number(job, "seconds", 0) > 0)
        printf(" in %s", term_duration(json_number(job, "seconds", NAN), eta));
    putchar('\n');
}

/* The spec in one line with all defaults, as it can be submitted again. */
static void print_spec(const cJSON *job)
{
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(job, "spec");
    char *text = cJSON_IsObject(spec) ? cJSON_PrintUnformatted(spec) : NULL;
    line("spec", text);
    cJSON_free(text);
}

/* The time in the local zone. */
static void time_line(const char *label, const cJSON *job, const char *field)
{
    char *here = when_here(json_text(job, field, ""), wall_ms());
    line(label, here);
    free(here);
}

/* How it was queued; defaults are left out. */
static void print_placement(const cJSON *job)
{
    double most = json_number(job, "max_gpus", 0), priority = json_number(job, "priority", 0);
    char text[TERM_TEXT];
    const cJSON *parent;
    if (strcmp(json_text(job, "tier", ""), "normal") != 0)
        line("tier", json_text(job, "tier", ""));
    snprintf(text, sizeof text, "%.0f", priority);
    line("priority", priority != 0 ? text : "");
    snprintf(text, sizeof text, "%.0f", most);
    line("max-gpus", most > 0 ? text : "");
    time_line("at", job, "at");
    line("window", json_text(job, "window", ""));
    cJSON_ArrayForEach(parent, cJSON_GetObjectItemCaseSensitive(job, "after"))
        line("after", cJSON_GetStringValue(parent));
    line("sweep", json_text(job, "group", ""));
}

static void print_job(const cJSON *job)
{
    printf("%-9s %s%s%s\n", "job", term_color(stdout, COLOR_BOLD), json_text(job, "id", ""), term_reset(stdout));
    printf("%-9s %s%s%s\n", "state", term_color(stdout, job_color(job)), json_text(job, "state", ""),
           term_reset(stdout));
    line("reason", json_text(job, "reason", ""));
    print_placement(job);
    line("user", json_text(job, "user", ""));
    line("kind", json_text(job, "kind", ""));
    line("model", json_text(job, "model", ""));
    line("name", json_text(job, "name", ""));
    print_progress(job);
    time_line("queued", job, "created");
    time_line("started", job, "started");
    time_line("ended", job, "finished");
    print_leases(job);
    print_spec(job);
    if (job_state(job) == JOB_DONE)
        result_print(job);
    else
        line("output", json_text(job, "output", ""));
}

static void print_group(const cJSON *job)
{
    printf("%-9s %s%s%s\n", "sweep", term_color(stdout, COLOR_BOLD), json_text(job, "id", ""), term_reset(stdout));
    printf("%-9s %s%s%s\n", "state", term_color(stdout, job_color(job)), json_text(job, "state", ""),
           term_reset(stdout));
    line("jobs", json_text(job, "reason", ""));
    print_progress(job);
    putchar('\n');
    group_points(job);
}

static bool look(Cmd *cmd, const char *target, cJSON **ret_job, Err *err)
{
    if (!target_is_group(target))
        return job_show(cmd, target, ret_job, err);
    if (!target_group(cmd, target, ret_job, err))
        return false;
    *ret_job = group_as_job(*ret_job);
    return true;
}

static bool show_run(Cmd *cmd, Err *err)
{
    char *target;
    cJSON *job;
    if (!target_resolve(cmd, cmd->args[0], &target, err))
        return false;
    bool ok = look(cmd, target, &job, err);
    if (ok && cmd->json) {
        cmd_json(job);
    } else if (ok) {
        if (cmd->quiet)
            puts(json_text(job, "state", ""));
        else if (target_is_group(target))
            print_group(job);
        else
            print_job(job);
        cJSON_Delete(job);
    }
    free(target);
    return ok;
}

const Verb verb_show = {
    .name = "show",
    .args = "ID|SWEEP",
    .least = 1,
    .most = 1,
    .summary = "Show everything about a job or a sweep",
    .detail = "--quiet prints only the state.\n",
    .run = show_run,
};
