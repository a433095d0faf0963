/* ddq ls: jobs, newest first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/job.h"
#include "client/table.h"
#include "client/target.h"
#include "client/tree.h"
#include "core/jobspec.h"
#include "core/mem.h"

enum { LIMIT = 1000 };

static bool check_state(const char *text, Err *err)
{
    JobState state;
    const char *names[JOB_STATES];
    Buf all = {0};
    if (job_state_parse(text, &state))
        return true;
    for (int i = 0; i < JOB_STATES; i++) {
        names[i] = job_state_name((JobState)i);
        buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    char meant[MEANT_TEXT];
    err_set(err, ERR_USAGE, "--state is '%.40s'%s States are %s", text,
            verb_meant(nearest_name(text, names, JOB_STATES), meant), all.data);
    buf_free(&all);
    return false;
}

static bool list_args(Cmd *cmd, double limit, cJSON **ret_args, Err *err)
{
    const char *state = cmd_value(cmd, "state"), *user = cmd_value(cmd, "user");
    if (state && !check_state(state, err))
        return false;
    if (!user && !cmd_has(cmd, "all") && !cmd_user(cmd, &user, err))
        return false;
    cJSON *args = cJSON_CreateObject();
    if (user)
        cJSON_AddStringToObject(args, "user", user);
    if (state)
        cJSON_AddStringToObject(args, "state", state);
    if (cmd_has(cmd, "active"))
        cJSON_AddTrueToObject(args, "active");
    cJSON_AddNumberToObject(args, "limit", limit);
    cJSON_AddBoolToObject(args, "rows",
                          !cmd->json && !cmd_has(cmd, "tree")); /* all that a table shows, and ten times as fast */
    *ret_args = args;
    return true;
}

/* "digits" or, for jobs without a model, what they do. */
static const char *what(const cJSON *job)
{
    return *job_text(job, "model") ? job_text(job, "model") : job_text(job, "kind");
}

/* The name its user gave it; one without has its id for a name. */
static const char *own_name(const cJSON *job)
{
    return strcmp(job_text(job, "name"), job_text(job, "id")) == 0 ? "" : job_text(job, "name");
}

static void add_row(Table *table, const cJSON *job, const char *id, const char *also)
{
    char text[TERM_TEXT], images[TERM_TEXT], both[2 * TERM_TEXT];
    double left = job_eta(job);
    snprintf(both, sizeof both, "%s/%s", term_count(job_number(job, "done", 0), text),
             term_count(job_number(job, "images", 0), images));
    table_cell(table, COLOR_BOLD, id);
    table_cell(table, job_color(job), job_text(job, "state"));
    table_cell(table, COLOR_PLAIN, job_text(job, "user"));
    table_cell(table, COLOR_PLAIN, what(job));
    table_cell(table, COLOR_PLAIN, both);
    table_cell(table, COLOR_PLAIN, job_state(job) == JOB_RUNNING ? term_rate(job_rate(job), text) : "");
    table_cell(table, COLOR_PLAIN, left > 0 ? term_duration(left, text) : "");
    table_cell(table, COLOR_PLAIN, term_duration(job_age(job), text));
    const char *why = *job_text(job, "reason") ? job_text(job, "reason") : own_name(job);
    char *more = also ? xasprintf("also after %s; %s", also, why) : NULL;
    table_cell(table, COLOR_DIM, more ? more : why);
    free(more);
}

static void print_table(const cJSON *jobs, bool tree)
{
    static const Column columns[] = {
        {"ID", false, 0},  {"STATE", false, 0}, {"USER", false, 3}, {"MODEL", false, 4},          {"DONE", true, 0},
        {"RATE", true, 6}, {"ETA", true, 2},    {"AGE", true, 5},   {"REASON OR NAME", false, 7},
    };
    Table *table = table_new(columns, countof(columns));
    const cJSON *job;
    int count = 0;
    TreeRow *rows = tree ? tree_rows(jobs, &count) : NULL;
    for (int i = 0; i < count; i++)
        add_row(table, rows[i].job, rows[i].label, rows[i].also);
    if (!tree)
        cJSON_ArrayForEach(job, jobs) add_row(table, job, job_text(job, "id"), NULL);
    tree_free(rows, count);
    table_print(table, stdout);
    table_free(table);
}

/* What ddq_list answered as whole objects. */
static bool list(Cmd *cmd, double limit, cJSON **ret_reply, cJSON **ret_jobs, Err *err)
{
    cJSON *args, *reply, *row;
    if (!list_args(cmd, limit, &args, err) || !cmd_call(cmd, QUEUE_LIST, args, &reply, err))
        return false;
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(reply, "rows");
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(reply, "columns");
    cJSON_ArrayForEach(row, rows) job_of_row(row, columns);
    *ret_reply = reply;
    *ret_jobs = rows ? rows : cJSON_GetObjectItemCaseSensitive(reply, "jobs");
    return true;
}

static bool list_jobs(Cmd *cmd, Err *err)
{
    double limit = LIMIT;
    cJSON *reply, *jobs, *job;
    if (!cmd_number(cmd, "limit", 1, 100000, &limit, err) || !list(cmd, limit, &reply, &jobs, err))
        return false;
    int count = cJSON_GetArraySize(jobs);
    if (cmd->json) {
        cJSON_ArrayForEach(job, jobs) job_tidy(job);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "jobs", cJSON_DetachItemViaPointer(reply, jobs));
        cmd_json(object);
    } else if (cmd->quiet) {
        cJSON_ArrayForEach(job, jobs) puts(job_text(job, "id"));
    } else {
        print_table(jobs, cmd_has(cmd, "tree"));
        if (!count)
            cmd_say(cmd, "no jobs%s", cmd_has(cmd, "all") ? "" : " of yours; ddq ls --all lists everybody's");
        else if (count >= (int)limit)
            cmd_say(cmd, "the newest %d; --limit N shows more", count);
    }
    cJSON_Delete(reply);
    return true;
}

static void print_groups(const cJSON *groups)
{
    static const Column columns[] = {{"SWEEP", false, 0}, {"JOBS", true, 0}, {"STATES", false, 1}};
    Table *table = table_new(columns, countof(columns));
    const cJSON *group, *count;
    cJSON_ArrayForEach(group, groups)
    {
        char *name = xasprintf("%s/%s", job_text(group, "user"), job_text(group, "group")), jobs[TERM_TEXT];
        Buf states = {0};
        cJSON_ArrayForEach(count, cJSON_GetObjectItemCaseSensitive(group, "states"))
            buf_printf(&states, "%s%.0f %s", states.len ? ", " : "", count->valuedouble, count->string);
        table_cell(table, COLOR_BOLD, name);
        table_cell(table, COLOR_PLAIN, term_count(job_number(group, "jobs", 0), jobs));
        table_cell(table, COLOR_PLAIN, states.data);
        buf_free(&states);
        free(name);
    }
    table_print(table, stdout);
    table_free(table);
}

static bool list_groups(Cmd *cmd, Err *err)
{
    double limit = 100;
    const char *user = cmd_value(cmd, "user");
    cJSON *reply, *args;
    const cJSON *group;
    if (!cmd_number(cmd, "limit", 1, 1000, &limit, err) ||
        (!user && !cmd_has(cmd, "all") && !cmd_user(cmd, &user, err)))
        return false;
    args = cJSON_CreateObject();
    if (user)
        cJSON_AddStringToObject(args, "user", user);
    cJSON_AddNumberToObject(args, "limit", limit);
    if (!cmd_call(cmd, QUEUE_GROUPS, args, &reply, err))
        return false;
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(reply, "groups");
    if (cmd->json) {
        cJSON_DeleteItemFromObjectCaseSensitive(reply, "status");
        cmd_json(reply);
        return true;
    }
    if (cmd->quiet)
        cJSON_ArrayForEach(group, groups) printf("%s/%s\n", job_text(group, "user"), job_text(group, "group"));
    else
        print_groups(groups);
    if (!cJSON_GetArraySize(groups))
        cmd_say(cmd, "no sweeps; ddq submit ... --sweep FIELD=A,B,C makes one");
    cJSON_Delete(reply);
    return true;
}

static bool ls_run(Cmd *cmd, Err *err)
{
    return cmd_has(cmd, "sweeps") ? list_groups(cmd, err) : list_jobs(cmd, err);
}

static const Flag flags[] = {
    {"all", 'a', NULL, "everybody's jobs"},
    {"user", 'u', "NAME", "the jobs of this user"},
    {"state", 's', "STATE", "queued, waiting, running, held, done, failed or cancelled"},
    {"tree", 't', NULL, "each job under the one that it waits for"},
    {"sweeps", 0, NULL, "sweeps instead of jobs; ddq show NAME lists the jobs of one"},
    {"active", 0, NULL, "only jobs that have not ended"},
    {"limit", 'n', "N", "at most so many (default 1000)"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_ls = {
    .name = "ls",
    .args = "",
    .summary = "List my jobs, newest first",
    .flags = flags,
    .run = ls_run,
};
