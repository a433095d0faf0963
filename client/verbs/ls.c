/* ddq ls: jobs, newest first. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/rows.h"
#include "client/queue/tree.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/report/figure.h"
#include "spec/jobspec.h"

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
            nearest_meant(nearest_name(text, names, JOB_STATES), meant), all.data);
    buf_free(&all);
    return false;
}

/* rows: ask only for what a table shows. */
static bool list_args(Cmd *cmd, bool rows, double *ret_limit, cJSON **ret_args, Err *err)
{
    const char *state = cmd_value(cmd, "state"), *user = cmd_value(cmd, "user");
    *ret_limit = LIMIT;
    if (!cmd_number(cmd, "limit", 1, 100000, ret_limit, err) || (state && !check_state(state, err)))
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
    cJSON_AddNumberToObject(args, "limit", *ret_limit);
    cJSON_AddBoolToObject(args, "rows", rows);
    *ret_args = args;
    return true;
}

/* --- the table ------------------------------------------------------------------------------------------- */

static const Column columns[] = {
    {"ID", false, 0},
    {"STATE", false, 0},
    {"USER", false, 5},
    {"RECIPE", false, 3},
    {"MODEL", false, 6},
    {"DONE", true, 0},
    {"RATE", true, 8},
    {"ETA", true, 4},
    {"FID", true, 2},
    {"AGE", true, 7},
    {"REASON OR NAME", false, 9},
};

/* The reason why it does not run, else its name, unless that is the default, its recipe or its id. */
static const char *remark(const JobRow *row)
{
    bool plain = strcmp(row->name, row->id) == 0 || strcmp(row->name, row->recipe) == 0;
    return *row->reason ? row->reason : plain ? "" : row->name;
}

static void add_row(Table *table, Wall now, const JobRow *row, const char *label, const char *also)
{
    char text[TERM_TEXT], both[2 * TERM_TEXT], number[FIGURE_TEXT];
    double left = row_eta(row), age = fmax(0, ((double)now - row->created) / 1000);
    size_t len = strlen(term_count(row->done, both));
    both[len] = '/';
    term_count(row->images, both + len + 1);
    table_cell(table, COLOR_BOLD, label);
    table_cell(table, job_state_color(row->state), job_state_name(row->state));
    table_cell(table, COLOR_PLAIN, row->user);
    table_cell(table, COLOR_PLAIN, row->recipe);
    table_cell(table, COLOR_PLAIN, *row->model ? row->model : row->kind);
    table_cell(table, COLOR_PLAIN, both);
    table_cell(table, COLOR_PLAIN, row->state == JOB_RUNNING ? term_rate(row->rate, text) : "");
    table_cell(table, COLOR_PLAIN, left > 0 ? term_duration(left, text) : "");
    table_cell(table, COLOR_BOLD, row->fid >= 0 ? figure_print(figure_at(0), row->fid, number) : "");
    table_cell(table, COLOR_PLAIN, row->created > 0 ? term_duration(age, text) : "");
    char *more = also ? xasprintf("also after %s; %s", also, remark(row)) : NULL;
    table_cell(table, COLOR_DIM, more ? more : remark(row));
    free(more);
}

static void say_how_many(const Cmd *cmd, int count, double limit)
{
    if (!count)
        cmd_say(cmd, "no jobs%s", cmd_has(cmd, "all") ? "" : " of yours; ddq ls --all lists those of all users");
    else if (count >= (int)limit)
        cmd_say(cmd, "the newest %d; --limit N shows more", count);
}

static bool list_rows(Cmd *cmd, Err *err)
{
    double limit;
    cJSON *args;
    cJSON *reply;
    Rows rows = {0};
    if (!list_args(cmd, true, &limit, &args, err) || !cmd_call(cmd, QUEUE_LIST, args, &reply, err))
        return false;
    Wall now = wall_ms();
    bool ok = rows_read(reply, &rows, err);
    Table *table = table_new(columns, countof(columns));
    for (int i = 0; ok && i < rows.count; i++)
        if (cmd->quiet)
            puts(rows.items[i].id);
        else
            add_row(table, now, &rows.items[i], rows.items[i].id, NULL);
    table_print(table, stdout);
    table_free(table);
    if (ok)
        say_how_many(cmd, rows.count, limit);
    rows_free(&rows);
    return ok;
}

static void print_tree(const cJSON *jobs)
{
    int count;
    Wall now = wall_ms();
    TreeRow *rows = tree_rows(jobs, &count);
    Table *table = table_new(columns, countof(columns));
    for (int i = 0; i < count; i++) {
        JobRow row = row_of_job(rows[i].job);
        add_row(table, now, &row, rows[i].label, rows[i].also);
    }
    tree_free(rows, count);
    table_print(table, stdout);
    table_free(table);
}

/* Whole jobs: for JSON, and for the tree, which needs their `after`. */
static bool list_jobs(Cmd *cmd, Err *err)
{
    double limit;
    cJSON *args, *reply, *job;
    if (!list_args(cmd, false, &limit, &args, err) || !cmd_call(cmd, QUEUE_LIST, args, &reply, err))
        return false;
    cJSON *jobs = cJSON_GetObjectItemCaseSensitive(reply, "jobs");
    if (cmd->json) {
        cJSON_ArrayForEach(job, jobs) job_tidy(job);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "jobs", cJSON_DetachItemViaPointer(reply, jobs));
        cmd_json(object);
    } else if (cmd->quiet) {
        cJSON_ArrayForEach(job, jobs) puts(json_text(job, "id", ""));
    } else {
        print_tree(jobs);
        say_how_many(cmd, cJSON_GetArraySize(jobs), limit);
    }
    cJSON_Delete(reply);
    return true;
}

/* --- sweeps ------------------------------------------------------------------------------------------------ */

static void print_groups(const cJSON *groups)
{
    static const Column group_columns[] = {{"SWEEP", false, 0}, {"JOBS", true, 0}, {"STATES", false, 1}};
    Table *table = table_new(group_columns, countof(group_columns));
    const cJSON *group, *count;
    cJSON_ArrayForEach(group, groups)
    {
        char *name = xasprintf("%s/%s", json_text(group, "user", ""), json_text(group, "group", "")), jobs[TERM_TEXT];
        Buf states = {0};
        cJSON_ArrayForEach(count, cJSON_GetObjectItemCaseSensitive(group, "states"))
            buf_printf(&states, "%s%.0f %s", states.len ? ", " : "", count->valuedouble, count->string);
        table_cell(table, COLOR_BOLD, name);
        table_cell(table, COLOR_PLAIN, term_count(json_number(group, "jobs", 0), jobs));
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
        cJSON_ArrayForEach(group, groups)
            printf("%s/%s\n", json_text(group, "user", ""), json_text(group, "group", ""));
    else
        print_groups(groups);
    if (!cJSON_GetArraySize(groups))
        cmd_say(cmd, "no sweeps; ddq submit ... --sweep FIELD=A,B,C makes one");
    cJSON_Delete(reply);
    return true;
}

static bool ls_run(Cmd *cmd, Err *err)
{
    return cmd_has(cmd, "sweeps")              ? list_groups(cmd, err)
           : cmd->json || cmd_has(cmd, "tree") ? list_jobs(cmd, err)
                                               : list_rows(cmd, err);
}

static const Flag flags[] = {
    {"all", 'a', NULL, "jobs of all users"},
    {"user", 'u', "NAME", "jobs of this user"},
    {"state", 's', "STATE", "queued, waiting, running, held, done, failed or cancelled"},
    {"tree", 't', NULL, "show each job below the job that it waits for"},
    {"sweeps", 0, NULL, "list sweeps; ddq show NAME lists the jobs of one"},
    {"active", 0, NULL, "only jobs that have not ended"},
    {"limit", 'n', "N", "list at most N (default 1000)"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_ls = {
    .name = "ls",
    .args = "",
    .summary = "List your jobs, newest first",
    .flags = flags,
    .run = ls_run,
};
