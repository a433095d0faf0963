/* ddq top: the whole queue on one page: hosts and workers, users and their shares, jobs that have not ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/terminal/interrupt.h"
#include "client/terminal/screen.h"
#include "client/verbs/top_page.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"

enum { JOBS_MAX = 200, SHOWN_MAX = 128 };

/* --- queries --------------------------------------------------------------------------------------------- */

/* The jobs that workers report, in full: their leases have rates. */
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
        else if (err->kind == ERR_NOT_FOUND) /* it was removed meanwhile */
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

/* --- the verb ----------------------------------------------------------------------------------------------------- */

typedef struct Top {
    Cmd *cmd;
    TopView view;
    cJSON *all;     /* the last answer; NULL: none, or Redis cannot be reached */
    bool sure;      /* the next key answers whether the selected job is to be cancelled */
    char said[600]; /* why there is no answer */
} Top;

/* A temporary loss of Redis does not end the program. */
static void refresh(Top *top)
{
    Err err = {0};
    cJSON *all;
    bool good = ask(top->cmd, &all, &err);
    cJSON_Delete(top->all);
    top->all = good ? all : NULL;
    snprintf(top->said, sizeof top->said, "%.500s\n\nTrying again. q ends.\n", err.text);
    if (good)
        top_sort(cJSON_GetObjectItemCaseSensitive(all, "jobs"), top->view.sort);
}

static void draw(Top *top)
{
    char *text = top->all ? top_draw(top->all, &top->view) : xstrdup(top->said);
    screen_draw(text);
    free(text);
}

static const cJSON *jobs_of(const Top *top)
{
    return cJSON_GetObjectItemCaseSensitive(top->all, "jobs");
}

static void move(Top *top, int to)
{
    int count = cJSON_GetArraySize(jobs_of(top));
    to = to < 0 ? 0 : to >= count ? count - 1 : to;
    snprintf(top->view.selected, sizeof top->view.selected, "%s",
             json_text(cJSON_GetArrayItem(jobs_of(top), to), "id", ""));
}

static void cancel(Top *top)
{
    Err err = {0};
    const char *user;
    cJSON *reply = NULL, *args = cJSON_CreateObject();
    bool ok = cmd_user(top->cmd, &user, &err);
    cJSON_AddStringToObject(args, "id", top->view.selected);
    cJSON_AddStringToObject(args, "user", ok ? user : "");
    if (!ok)
        cJSON_Delete(args);
    ok = ok && cmd_call(top->cmd, QUEUE_CANCEL, args, &reply, &err);
    cJSON_Delete(reply);
    if (ok)
        snprintf(top->view.message, sizeof top->view.message, "job %s is cancelled", top->view.selected);
    else
        snprintf(top->view.message, sizeof top->view.message, "%.290s", err.text);
    refresh(top);
}

static void ask_sure(Top *top)
{
    const cJSON *job = cJSON_GetArrayItem(jobs_of(top), top_place(jobs_of(top), top->view.selected));
    top->sure = job != NULL;
    if (job)
        snprintf(top->view.message, sizeof top->view.message,
                 "cancel job %s of %s, which is %s? y: yes; any other key: no", top->view.selected,
                 json_text(job, "user", ""), json_text(job, "state", ""));
}

static void press(Top *top, int key)
{
    TopView *view = &top->view;
    bool sure = top->sure;
    top->sure = false;
    view->message[0] = 0;
    if (sure) {
        if (key == 'y' || key == 'Y')
            cancel(top);
        return;
    }
    switch (key) {
    case SCREEN_UP:
    case 'k':
        move(top, view->place - 1);
        break;
    case SCREEN_DOWN:
    case 'j':
        move(top, view->place + 1);
        break;
    case SCREEN_PAGE_UP:
        move(top, view->place - view->rows);
        break;
    case SCREEN_PAGE_DOWN:
        move(top, view->place + view->rows);
        break;
    case SCREEN_HOME:
        move(top, 0);
        break;
    case SCREEN_LAST:
        move(top, cJSON_GetArraySize(jobs_of(top)) - 1);
        break;
    case 's':
        view->sort = (view->sort + 1) % top_sorts();
        refresh(top);
        break;
    case 'c':
        ask_sure(top);
        break;
    default:
        break;
    }
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
    top_print(all, stdout, term_width(stdout));
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
    if (!ask(cmd, &all, err)) /* without a first answer, fail as other verbs do */
        return false;
    cJSON_Delete(all);
    if (!screen_enter(err))
        return false;
    Top top = {.cmd = cmd};
    bool quiet = cmd->quiet;
    cmd->quiet = true; /* messages would run through the page */
    Mono next = 0;
    for (int key = SCREEN_NONE; key != SCREEN_LEAVE;) {
        if (mono_ms() >= next) {
            refresh(&top);
            next = mono_ms() + (Mono)(seconds * 1000);
        }
        draw(&top);
        Mono rest = next - mono_ms();
        key = screen_key(rest > 0 ? (int)rest : 0);
        if (key != SCREEN_NONE && key != SCREEN_LEAVE)
            press(&top, key);
    }
    cmd->quiet = quiet;
    cJSON_Delete(top.all);
    screen_leave();
    cmd->exit_code = interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
    return true;
}

static const Flag flags[] = {
    {"once", 0, NULL, "print the page once; needs no terminal"},
    {"interval", 'i', "TIME", "time between updates (default 1s)"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_top = {
    .name = "top",
    .args = "",
    .summary = "Show workers, users and jobs on one page that updates; q quits",
    .detail =
        "Keys: up, down, page up and down, home, end (or j, k) select a job, s sorts by the next order (newest, state, "
        "user, done, ETA), c cancels the selected job after a question, q ends.\n",
    .flags = flags,
    .run = top_run,
};
