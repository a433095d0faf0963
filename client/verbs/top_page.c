#include "client/verbs/top_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/queue/users.h"
#include "client/terminal/screen.h"
#include "client/terminal/table.h"
#include "client/terminal/when.h"
#include "core/json.h"
#include "core/mem.h"

enum { LEAST_ROWS = 3 };

/* --- the order of the jobs ------------------------------------------------------------------------------------ */

typedef struct Ranked {
    cJSON *job;
    const char *text; /* sorts first */
    double number;
    int place; /* as it came: newest first */
} Ranked;

static void by_newest(Ranked *row)
{
    row->number = 0;
}

static void by_user(Ranked *row)
{
    row->text = json_text(row->job, "user", "");
}

static void by_state(Ranked *row)
{
    static const int ranks[JOB_STATES] = {[JOB_HELD] = 0, [JOB_RUNNING] = 1, [JOB_QUEUED] = 2, [JOB_WAITING] = 3};
    row->number = ranks[job_state(row->job)];
}

static void by_share(Ranked *row)
{
    double images = json_number(row->job, "images", 0);
    row->number = images > 0 ? -json_number(row->job, "done", 0) / images : 0;
}

static void by_end(Ranked *row)
{
    row->number = job_eta(row->job) > 0 ? job_eta(row->job) : HUGE_VAL;
}

static const struct {
    const char *name;
    void (*rank)(Ranked *row);
} sorts[] = {{"newest", by_newest}, {"state", by_state}, {"user", by_user}, {"done", by_share}, {"ETA", by_end}};

static int compare(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    int texts = strcmp(x->text, y->text);
    return texts ? texts : x->number != y->number ? (x->number < y->number ? -1 : 1) : x->place - y->place;
}

int top_sorts(void)
{
    return countof(sorts);
}

void top_sort(cJSON *jobs, int sort)
{
    int count = cJSON_GetArraySize(jobs);
    Ranked *rows = xcalloc((size_t)count + 1, sizeof *rows);
    for (int i = 0; i < count; i++) {
        rows[i] = (Ranked){.job = cJSON_DetachItemFromArray(jobs, 0), .text = "", .place = i};
        sorts[sort].rank(&rows[i]);
    }
    qsort(rows, (size_t)count, sizeof *rows, compare);
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(jobs, rows[i].job);
    free(rows);
}

/* --- the parts of the page ------------------------------------------------------------------------------------ */

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

/* most: rows; 0: all. */
static void print_workers(const cJSON *all, int most, FILE *to, int width)
{
    static const Column columns[] = {
        {"HOST", false, 0},  {"WORKER", false, 0}, {"STATE", false, 0}, {"MEMORY", true, 5},
        {"USABLE", true, 5}, {"MODEL", false, 3},  {"JOB", false, 0},   {"USER", false, 4},
        {"RATE", true, 1},   {"DONE", true, 2},    {"", false, 6},
    };
    Table *table = table_new(columns, countof(columns));
    const cJSON *host, *worker, *working = cJSON_GetObjectItemCaseSensitive(all, "working");
    int count = 0;
    cJSON_ArrayForEach(host, cJSON_GetObjectItemCaseSensitive(all, "hosts"))
        cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers")) if (!most || count++ < most)
            add_worker(table, host, worker, working);
    table_print_in(table, to, width);
    table_free(table);
    if (count > most)
        fprintf(to, "and %d more; ddq gpus lists all\n", count - most);
}

/* view NULL: all of them, and no mark at one. */
static void print_jobs(const cJSON *jobs, const TopView *view, int rows, FILE *to, int width)
{
    static const Column columns[] = {
        {"", false, 0},      {"ID", false, 0},  {"STATE", false, 0}, {"USER", false, 1},   {"RECIPE", false, 4},
        {"MODEL", false, 2}, {"DONE", true, 0}, {"ETA", true, 3},    {"REASON", false, 5},
    };
    int skip = view ? 0 : 1, i = 0;
    Table *table = table_new(columns + skip, (int)countof(columns) - skip);
    char done[TERM_TEXT], images[TERM_TEXT], both[2 * TERM_TEXT], text[TERM_TEXT];
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs)
    {
        if (view && (i++ < view->first || i > view->first + rows))
            continue;
        snprintf(both, sizeof both, "%s/%s", term_count(json_number(job, "done", 0), done),
                 term_count(json_number(job, "images", 0), images));
        if (view)
            table_cell(table, COLOR_BOLD, strcmp(json_text(job, "id", ""), view->selected) == 0 ? ">" : " ");
        table_cell(table, COLOR_BOLD, json_text(job, "id", ""));
        table_cell(table, job_color(job), json_text(job, "state", ""));
        table_cell(table, COLOR_PLAIN, json_text(job, "user", ""));
        table_cell(table, COLOR_PLAIN, json_text(job, "recipe", ""));
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

/* --- the page --------------------------------------------------------------------------------------------------- */

static void print_top(const cJSON *all, int most_workers, FILE *to, int width)
{
    const cJSON *users = cJSON_GetObjectItemCaseSensitive(all, "users");
    print_head(all, to);
    fputc('\n', to);
    print_workers(all, most_workers, to, width);
    if (!cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(all, "hosts")))
        fputs("no daemon is alive; ddqd on any host that reaches this Redis takes work\n", to);
    if (cJSON_GetArraySize(users)) {
        fputc('\n', to);
        users_shares(users, to, width);
    }
}

void top_print(const cJSON *all, FILE *to, int width)
{
    const cJSON *jobs = cJSON_GetObjectItemCaseSensitive(all, "jobs");
    print_top(all, 0, to, width);
    if (!cJSON_GetArraySize(jobs))
        return;
    fputc('\n', to);
    print_jobs(jobs, NULL, 0, to, width);
}

int top_place(const cJSON *jobs, const char *id)
{
    int place = 0;
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs)
    {
        if (strcmp(json_text(job, "id", ""), id) == 0)
            return place;
        place++;
    }
    return -1;
}

/* The selected job is on the screen, and so is one when the selected one has gone. */
static void scroll(TopView *view, const cJSON *jobs, int rows)
{
    int count = cJSON_GetArraySize(jobs), place = top_place(jobs, view->selected);
    if (place < 0)
        place = view->place < count ? view->place : count - 1;
    view->place = place < 0 ? 0 : place;
    snprintf(view->selected, sizeof view->selected, "%s", json_text(cJSON_GetArrayItem(jobs, view->place), "id", ""));
    view->rows = rows;
    if (view->first > view->place)
        view->first = view->place;
    if (view->first < view->place - rows + 1)
        view->first = view->place - rows + 1;
    if (view->first > count - rows)
        view->first = count > rows ? count - rows : 0;
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

char *top_draw(const cJSON *all, TopView *view)
{
    const cJSON *jobs = cJSON_GetObjectItemCaseSensitive(all, "jobs");
    int width = screen_columns(), lines = screen_lines(), used;
    char *above = NULL, *page = NULL;
    size_t size;
    FILE *to = open_memstream(&above, &size);
    if (!to)
        return xstrdup("");
    print_top(all, lines / 3 > LEAST_ROWS ? lines / 3 : LEAST_ROWS, to, width);
    fclose(to);
    used = lines_of(above) + 3; /* an empty line, the titles, the last line */
    scroll(view, jobs, lines - used > LEAST_ROWS ? lines - used : LEAST_ROWS);
    if (!(to = open_memstream(&page, &size))) {
        free(above);
        return xstrdup("");
    }
    fputs(above, to);
    free(above);
    if (cJSON_GetArraySize(jobs)) {
        fputc('\n', to);
        print_jobs(jobs, view, view->rows, to, width);
    }
    fprintf(to, "%s", term_color(stdout, COLOR_DIM));
    if (*view->message)
        term_put(to, view->message, width);
    else
        fprintf(to, "q ends, arrows select, s sorts (now: %s), c cancels", sorts[view->sort].name);
    fputs(term_reset(stdout), to);
    fclose(to);
    return page;
}
