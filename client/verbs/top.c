/* ddq top: the whole queue on one page, from what is readable as state: hosts and their workers, users and their
 * shares, the jobs that have not ended. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/queue/users.h"
#include "client/terminal/interrupt.h"
#include "client/terminal/screen.h"
#include "client/terminal/table.h"
#include "client/terminal/when.h"
#include "core/json.h"
#include "core/mem.h"

enum { JOBS_MAX = 200, SHOWN_MAX = 128 };

/* --- what is asked --------------------------------------------------------------------------------------------- */

/* The jobs that workers say they have, whole: their leases tell rates. */
static bool ask_working(Cmd *cmd, const cJSON *hosts, cJSON *working, Err *err)
{
    const cJSON *host, *worker;
    cJSON_ArrayForEach(host, hosts) cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
    {
        const char *id = json_text(worker, "job", "");
        cJSON *job;
        if (!*id || cJSON_HasObjectItem(working, id) || cJSON_GetArraySize(working) >= SHOWN_MAX)
            continue;
        if (job_show(cmd, id, &job, err))
            cJSON_AddItemToObject(working, id, job);
        else if (err->kind == ERR_NOT_FOUND) /* it was forgotten meanwhile */
            err_clear(err);
        else
            return false;
    }
    return true;
}

static bool ask_jobs(Cmd *cmd, cJSON *all, Err *err)
{
    cJSON *args = cJSON_CreateObject(), *reply, *job;
    cJSON_AddTrueToObject(args, "active");
    cJSON_AddNumberToObject(args, "limit", JOBS_MAX);
    if (!cmd_call(cmd, QUEUE_LIST, args, &reply, err))
        return false;
    cJSON *jobs = cJSON_DetachItemFromObjectCaseSensitive(reply, "jobs");
    cJSON_ArrayForEach(job, jobs) job_tidy(job);
    cJSON_AddItemToObject(all, "jobs", jobs);
    cJSON_AddBoolToObject(all, "more", cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "more")));
    cJSON_Delete(reply);
    return true;
}

/* {hosts, working{id: job}, users, jobs, more}. */
static bool ask(Cmd *cmd, cJSON **ret_all, Err *err)
{
    cJSON *all = cJSON_CreateObject(), *hosts, *shares;
    cJSON *working = cJSON_AddObjectToObject(all, "working");
    bool ok = registry_hosts(cmd, &hosts, err);
    if (ok)
        cJSON_AddItemToObject(all, "hosts", hosts);
    ok = ok && ask_working(cmd, hosts, working, err) && ask_jobs(cmd, all, err) &&
         cmd_call(cmd, QUEUE_SHARE, NULL, &shares, err);
    if (ok) {
        cJSON_AddItemToObject(all, "users", cJSON_DetachItemFromObjectCaseSensitive(shares, "users"));
        cJSON_Delete(shares);
        *ret_all = all;
    } else {
        cJSON_Delete(all);
    }
    return ok;
}

/* --- how it is shown -------------------------------------------------------------------------------------------- */

static const cJSON *lease_of(const cJSON *job, const char *host, const char *worker)
{
    const cJSON *lease;
    cJSON_ArrayForEach(lease, cJSON_GetObjectItemCaseSensitive(
                                  job, "leases")) if (strcmp(json_text(lease, "host", ""), host) == 0 &&
                                                      strcmp(json_text(lease, "worker", ""), worker) == 0) return lease;
    return NULL;
}

static void add_worker(Table *table, const cJSON *host, const cJSON *worker, const cJSON *working)
{
    char text[TERM_TEXT], rate[TERM_TEXT], memory[REGISTRY_TEXT], usable[REGISTRY_TEXT];
    const char *name = json_text(host, "host", ""), *id = json_text(worker, "job", "");
    const cJSON *job = cJSON_GetObjectItemCaseSensitive(working, id);
    const cJSON *lease = lease_of(job, name, json_text(worker, "name", ""));
    const char *state =
        registry_drain(host, json_text(worker, "name", "")) ? "drained" : json_text(worker, "state", "");
    double images = json_number(job, "images", 0);
    Color color = strcmp(state, "busy") == 0 ? COLOR_BLUE : strcmp(state, "idle") == 0 ? COLOR_PLAIN : COLOR_RED;
    table_cell(table, COLOR_BOLD, name);
    table_cell(table, COLOR_PLAIN, json_text(worker, "name", ""));
    table_cell(table, color, state);
    table_cell(table, COLOR_PLAIN, registry_memory(worker, "memory_mib", memory));
    table_cell(table, COLOR_PLAIN, registry_memory(worker, "free_mib", usable));
    table_cell(table, COLOR_PLAIN,
               *json_text(job, "model", "") ? json_text(job, "model", "") : json_text(job, "kind", ""));
    table_cell(table, COLOR_BOLD, id);
    table_cell(table, COLOR_PLAIN, json_text(job, "user", ""));
    table_cell(table, COLOR_PLAIN, lease ? term_rate(json_number(lease, "rate", 0), rate) : "");
    snprintf(text, sizeof text, "%.0f%%", images > 0 ? floor(100 * json_number(job, "done", 0) / images) : 0);
    table_cell(table, COLOR_PLAIN, images > 0 ? text : "");
    table_cell(table, COLOR_DIM,
               *json_text(lease, "stage", "") ? json_text(lease, "stage", "") : json_text(worker, "about", ""));
}

static void print_workers(const cJSON *all, FILE *to, int width)
{
    static const Column columns[] = {
        {"HOST", false, 0},  {"WORKER", false, 0}, {"STATE", false, 0}, {"MEMORY", true, 5},
        {"USABLE", true, 5}, {"MODEL", false, 3},  {"JOB", false, 0},   {"USER", false, 4},
        {"RATE", true, 1},   {"DONE", true, 2},    {"", false, 6},
    };
    Table *table = table_new(columns, countof(columns));
    const cJSON *host, *worker, *working = cJSON_GetObjectItemCaseSensitive(all, "working");
    cJSON_ArrayForEach(host, cJSON_GetObjectItemCaseSensitive(all, "hosts"))
        cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
            add_worker(table, host, worker, working);
    table_print_in(table, to, width);
    table_free(table);
}

static void print_jobs(const cJSON *jobs, FILE *to, int width)
{
    static const Column columns[] = {
        {"ID", false, 0},  {"STATE", false, 0}, {"USER", false, 1},   {"MODEL", false, 2},
        {"DONE", true, 0}, {"ETA", true, 3},    {"REASON", false, 4},
    };
    Table *table = table_new(columns, countof(columns));
    char done[TERM_TEXT], images[TERM_TEXT], both[2 * TERM_TEXT], text[TERM_TEXT];
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs)
    {
        snprintf(both, sizeof both, "%s/%s", term_count(json_number(job, "done", 0), done),
                 term_count(json_number(job, "images", 0), images));
        table_cell(table, COLOR_BOLD, json_text(job, "id", ""));
        table_cell(table, job_color(job), json_text(job, "state", ""));
        table_cell(table, COLOR_PLAIN, json_text(job, "user", ""));
        table_cell(table, COLOR_PLAIN,
                   *json_text(job, "model", "") ? json_text(job, "model", "") : json_text(job, "kind", ""));
        table_cell(table, COLOR_PLAIN, both);
        table_cell(table, COLOR_PLAIN, job_eta(job) > 0 ? term_duration(job_eta(job), text) : "");
        table_cell(table, COLOR_DIM, json_text(job, "reason", ""));
    }
    table_print_in(table, to, width);
    table_free(table);
}

static void print_head(const cJSON *all, FILE *to)
{
    int workers = 0, busy = 0, hosts = 0, states[JOB_STATES] = {0};
    double rate = 0;
    char text[TERM_TEXT], now[25], *here;
    const cJSON *host, *worker, *job;
    cJSON_ArrayForEach(host, cJSON_GetObjectItemCaseSensitive(all, "hosts"))
    {
        hosts++;
        cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
        {
            workers++;
            busy += *json_text(worker, "job", "") != 0;
        }
    }
    cJSON_ArrayForEach(job, cJSON_GetObjectItemCaseSensitive(all, "working")) rate += job_rate(job);
    cJSON_ArrayForEach(job, cJSON_GetObjectItemCaseSensitive(all, "jobs")) states[job_state(job)]++;
    wall_iso(wall_ms(), now);
    here = when_here(now, wall_ms());
    fprintf(to, "%sddq%s %s  hosts %d  workers %d, busy %d  images %s", term_color(stdout, COLOR_BOLD),
            term_reset(stdout), here, hosts, workers, busy, term_rate(rate, text));
    free(here);
    for (int i = 0; i < JOB_STATES; i++)
        if (states[i])
            fprintf(to, "  %s%s %d%s", term_color(stdout, i == JOB_HELD ? COLOR_YELLOW : COLOR_PLAIN),
                    job_state_name((JobState)i), states[i], i == JOB_HELD ? term_reset(stdout) : "");
    fputs(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(all, "more")) ? " and more\n" : "\n", to);
}

static void print_page(const cJSON *all, FILE *to, int width)
{
    const cJSON *users = cJSON_GetObjectItemCaseSensitive(all, "users");
    const cJSON *jobs = cJSON_GetObjectItemCaseSensitive(all, "jobs");
    print_head(all, to);
    fputc('\n', to);
    print_workers(all, to, width);
    if (!cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(all, "hosts")))
        fputs("no daemon is alive; ddqd on any host that reaches this Redis takes work\n", to);
    if (cJSON_GetArraySize(users)) {
        fputc('\n', to);
        users_shares(users, to, width);
    }
    if (cJSON_GetArraySize(jobs)) {
        fputc('\n', to);
        print_jobs(jobs, to, width);
    }
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

/* A page, or what is wrong: a Redis that is away for a while ends nothing. */
static void draw(Cmd *cmd)
{
    cJSON *all;
    Err err = {0};
    char *text = NULL;
    size_t size;
    FILE *page = open_memstream(&text, &size);
    if (!page)
        return;
    if (ask(cmd, &all, &err)) {
        print_page(all, page, screen_columns());
        cJSON_Delete(all);
    } else {
        fprintf(page, "%s\n\nTrying again. q ends.\n", err.text);
    }
    fclose(page);
    screen_draw(text);
    free(text);
}

static bool once(Cmd *cmd, Err *err)
{
    cJSON *all;
    if (!ask(cmd, &all, err))
        return false;
    if (cmd->json) {
        cmd_json(all);
        return true;
    }
    print_page(all, stdout, term_width(stdout));
    cJSON_Delete(all);
    return true;
}

static bool top_run(Cmd *cmd, Err *err)
{
    double seconds = 1;
    cJSON *all;
    if (!flags_span(&cmd->line, "interval", 0.1, 3600, &seconds, err))
        return false;
    if (cmd_has(cmd, "once") || cmd->json)
        return once(cmd, err);
    if (!ask(cmd, &all, err)) /* what never answered is said in the ordinary way */
        return false;
    cJSON_Delete(all);
    if (!screen_enter(err))
        return false;
    do
        draw(cmd);
    while (screen_wait((int)(seconds * 1000)));
    screen_leave();
    cmd->exit_code = interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
    return true;
}

static const Flag flags[] = {
    {"once", 0, NULL, "print it once, also where there is no terminal"},
    {"interval", 'i', "TIME", "look again after this time (default 1s)"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_top = {
    .name = "top",
    .args = "",
    .summary = "The whole queue on one page, kept fresh: workers, users and their shares, jobs; q ends",
    .flags = flags,
    .run = top_run,
};
