/* ddq show: all about one job. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/job.h"
#include "client/result.h"

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
        printf("%-9s %s/%s pid %.0f: images %.0f-%.0f, at %.0f, %s %s\n", "worker", job_text(lease, "host"),
               job_text(lease, "worker"), job_number(lease, "pid", 0), job_number(lease, "lo", 0),
               job_number(lease, "hi", 0) - 1, job_number(lease, "upto", 0),
               term_rate(job_number(lease, "rate", 0), rate), job_text(lease, "stage"));
    }
}

static void print_progress(const cJSON *job)
{
    char done[TERM_TEXT], images[TERM_TEXT], rate[TERM_TEXT], eta[TERM_TEXT];
    printf("%-9s %s of %s images", "done", term_count(job_number(job, "done", 0), done),
           term_count(job_number(job, "images", 0), images));
    if (job_state(job) == JOB_RUNNING && job_rate(job) > 0)
        printf(", %s", term_rate(job_rate(job), rate));
    if (job_eta(job) > 0)
        printf(", ready in %s", term_duration(job_eta(job), eta));
    if (job_state(job) == JOB_DONE)
        printf(" in %s", term_duration(job_number(job, "seconds", NAN), eta));
    putchar('\n');
}

/* The spec in one line, what is null or a default of no interest included: it is what would be submitted again. */
static void print_spec(const cJSON *job)
{
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(job, "spec");
    char *text = cJSON_IsObject(spec) ? cJSON_PrintUnformatted(spec) : NULL;
    line("spec", text);
    cJSON_free(text);
}

static void print_job(const cJSON *job)
{
    printf("%-9s %s%s%s\n", "job", term_color(stdout, COLOR_BOLD), job_text(job, "id"), term_reset(stdout));
    printf("%-9s %s%s%s\n", "state", term_color(stdout, job_color(job)), job_text(job, "state"), term_reset(stdout));
    line("reason", job_text(job, "reason"));
    line("user", job_text(job, "user"));
    line("kind", job_text(job, "kind"));
    line("model", job_text(job, "model"));
    line("name", job_text(job, "name"));
    print_progress(job);
    line("queued", job_text(job, "created"));
    line("started", job_text(job, "started"));
    line("ended", job_text(job, "finished"));
    print_leases(job);
    print_spec(job);
    if (job_state(job) == JOB_DONE)
        result_print(job);
    else
        line("output", job_text(job, "output"));
}

static bool show_run(Cmd *cmd, Err *err)
{
    char *id;
    cJSON *job;
    if (!cmd_id(cmd->args[0], &id, err))
        return false;
    bool ok = job_show(cmd, id, &job, err);
    free(id);
    if (!ok)
        return false;
    if (cmd->json) {
        cmd_json(job);
        return true;
    }
    if (cmd->quiet)
        puts(job_text(job, "state"));
    else
        print_job(job);
    cJSON_Delete(job);
    return true;
}

const Verb verb_show = {
    .name = "show",
    .args = "ID",
    .least = 1,
    .most = 1,
    .summary = "All about one job; with --quiet its state alone",
    .run = show_run,
};
