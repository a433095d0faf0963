/* ddq compare: runs side by side, from their reports. A word that contains a slash or names an existing file is a path
 * and needs no Redis; any other is a job. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/jobs/compare_html.h"
#include "client/jobs/compare_runs.h"
#include "client/queue/job.h"
#include "client/queue/target.h"
#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"

enum { NAME_MAX_COLUMNS = 40 };

/* --- the runs --------------------------------------------------------------------------------------- */

static char *last_part(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return xasprintf("%.*s", (int)(len - start), path + start);
}

static bool open_path(const char *path, cJSON **ret_report, char **ret_name, Err *err)
{
    if (!compare_read(path, ret_report, err))
        return false;
    const char *name = json_text(*ret_report, "name", "");
    *ret_name = *name ? xstrdup(name) : last_part(path);
    return true;
}

/* "split_t 80, seed 1": what a job of a sweep has of its own. */
static char *point_name(const cJSON *point)
{
    Buf text = {0};
    const cJSON *value;
    cJSON_ArrayForEach(value, point)
    {
        char *number = cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);
        buf_printf(&text, "%s%s %s", text.len ? ", " : "", value->string, number ? number : value->valuestring);
        cJSON_free(number);
    }
    return text.data;
}

/* A name that its user gave it stands; of a sweep its point, of a recipe that and the id. */
static void name_job(const cJSON *job, char **name)
{
    const char *id = json_text(job, "id", ""), *label = json_text(job, "name", "");
    const cJSON *point = cJSON_GetObjectItemCaseSensitive(job, "point");
    char *better = cJSON_GetArraySize(point)                                    ? point_name(point)
                   : strcmp(*name, id) == 0 && *label && strcmp(label, id) != 0 ? xasprintf("%s %s", label, id)
                                                                                : NULL;
    if (!better)
        return;
    free(*name);
    *name = better;
}

static bool open_job(Cmd *cmd, const char *word, cJSON **ret_report, char **ret_name, Err *err)
{
    char *id;
    cJSON *job;
    if (!target_job(cmd, word, &id, err))
        return false;
    bool good = job_show(cmd, id, &job, err);
    free(id);
    if (!good)
        return false;
    const char *folder = json_text(job, "output", "");
    if (job_state(job) != JOB_DONE)
        good = err_set(err, ERR_USAGE, "job %s is %s; only a job that is done has a report", json_text(job, "id", ""),
                       json_text(job, "state", ""));
    else if (access(folder, F_OK) != 0)
        good =
            err_set(err, ERR_NOT_FOUND,
                    "the report of job %s is in %s, which is not visible from this machine; compare on the host that "
                    "runs ddqd",
                    json_text(job, "id", ""), folder);
    good = good && open_path(folder, ret_report, ret_name, err);
    if (good)
        name_job(job, ret_name);
    cJSON_Delete(job);
    return good;
}

static bool is_path(const char *word)
{
    return (strchr(word, '/') || strcmp(word, "@") != 0) && access(word, F_OK) == 0;
}

static bool open_run(Cmd *cmd, const char *word, cJSON **ret_report, char **ret_name, Err *err)
{
    return is_path(word) ? open_path(word, ret_report, ret_name, err) : open_job(cmd, word, ret_report, ret_name, err);
}

/* Leaves out the jobs of a sweep that are not done, with a message. */
static bool add_sweep(Cmd *cmd, const char *target, cJSON *words, Err *err)
{
    cJSON *group;
    const cJSON *point;
    int missing = 0;
    if (!target_group(cmd, target, &group, err))
        return false;
    cJSON_ArrayForEach(point, cJSON_GetObjectItemCaseSensitive(group, "points"))
    {
        if (job_state(point) == JOB_DONE)
            cJSON_AddItemToArray(words, cJSON_CreateString(json_text(point, "id", "")));
        else
            missing++;
    }
    if (missing)
        cmd_say(cmd, "ddq: %d jobs of %s are not done and are left out", missing, target);
    cJSON_Delete(group);
    return true;
}

/* The command line's words, with each sweep replaced by its jobs. */
static bool expand(Cmd *cmd, cJSON *words, Err *err)
{
    bool ok = true;
    for (int i = 0; ok && i < cmd->arg_count; i++) {
        const char *word = cmd->args[i];
        char *target = NULL;
        bool slash = strchr(word, '/') != NULL;
        Err unread = {0};
        if (is_path(word) || (slash && !target_resolve(cmd, word, &target, &unread)))
            cJSON_AddItemToArray(words, cJSON_CreateString(word)); /* open_path reports what is wrong with it */
        else if (!slash && !target_resolve(cmd, word, &target, err))
            ok = false;
        else if (target_is_group(target))
            ok = add_sweep(cmd, target, words, err);
        else
            cJSON_AddItemToArray(words, cJSON_CreateString(target));
        free(target);
    }
    int count = cJSON_GetArraySize(words);
    if (ok && count < 2)
        ok = err_set(err, ERR_USAGE, "ddq compare: wanted at least two runs, got %s", count ? "one" : "none");
    return ok;
}

/* Runs of the same name get numbers. */
static void number_names(char **names, int count)
{
    for (int i = 0; i < count; i++) {
        int same = 0;
        for (int k = 0; k < count; k++)
            same += strcmp(names[i], names[k]) == 0;
        for (int k = count - 1, nth = same; same > 1 && k >= i; k--)
            if (k != i && strcmp(names[k], names[i]) == 0) {
                char *numbered = xasprintf("%s (%d)", names[k], nth--);
                free(names[k]);
                names[k] = numbered;
            }
    }
}

/* --- on the terminal -------------------------------------------------------------------------------- */

static void print_marks(const cJSON *all)
{
    const cJSON *row, *value;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(all, "differs"))
    {
        printf("%sNOT MEASURED ALIKE: %s differs%s\n", term_color(stdout, COLOR_RED), json_text(row, "what", ""),
               term_reset(stdout));
        int i = 0;
        cJSON_ArrayForEach(value, cJSON_GetObjectItemCaseSensitive(row, "values"))
        {
            const cJSON *run = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(all, "runs"), i++);
            fputs("    ", stdout);
            term_put(stdout, json_text(run, "name", ""), NAME_MAX_COLUMNS);
            fputs(": ", stdout);
            term_put(stdout, *value->valuestring ? value->valuestring : "unknown", 0);
            putchar('\n');
        }
    }
}

static const Figure *figure_of(const char *key)
{
    const Figure *figure = NULL;
    for (int i = 0; (figure = figure_at(i)) && strcmp(figure->key, key) != 0;)
        i++;
    return figure;
}

static void print_value(const Figure *figure, const cJSON *value)
{
    char number[FIGURE_TEXT], interval[2 * FIGURE_TEXT] = "";
    double low = json_number(value, "low", NAN), delta = json_number(value, "delta", NAN);
    bool odd = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(value, "comparable"));
    if (isfinite(low))
        snprintf(interval, sizeof interval, "[%.*f, %.*f]", figure->digits, low, figure->digits,
                 json_number(value, "high", NAN));
    printf("%s%c %12s%s  %-22s", odd ? term_color(stdout, COLOR_RED) : "", odd ? '!' : ' ',
           figure_print(figure, json_number(value, "value", NAN), number), odd ? term_reset(stdout) : "", interval);
    if (isfinite(delta))
        printf(" %+.*f", figure->digits, delta);
    const cJSON *differs = cJSON_GetObjectItemCaseSensitive(value, "differs"), *what;
    const char *overlap = compare_overlap(value), *before = "  ! ";
    printf("%s%s", *overlap ? ", " : "", overlap);
    cJSON_ArrayForEach(what, differs)
    {
        printf("%s%s", before, what->valuestring);
        before = ", ";
    }
    fputs(cJSON_GetArraySize(differs) > 1 ? " differ" : cJSON_GetArraySize(differs) ? " differs" : "", stdout);
}

static void print_figure(const cJSON *row, const cJSON *runs, int width)
{
    const Figure *figure = figure_of(json_text(row, "figure", ""));
    const cJSON *run, *value = cJSON_GetObjectItemCaseSensitive(row, "values")->child;
    printf("\n%s%s%s%s", term_color(stdout, COLOR_BOLD), json_text(row, "title", ""), term_reset(stdout),
           *json_text(row, "pipeline", "") ? ", pipeline " : "");
    term_put(stdout, json_text(row, "pipeline", ""), 0);
    putchar('\n');
    cJSON_ArrayForEach(run, runs)
    {
        int columns = term_columns(json_text(run, "name", ""));
        fputs("    ", stdout);
        term_put(stdout, json_text(run, "name", ""), width);
        printf("%*s ", columns < width ? width - columns : 0, "");
        if (cJSON_IsObject(value))
            print_value(figure, value);
        else
            printf("  %12s", "-");
        putchar('\n');
        value = value ? value->next : NULL;
    }
}

static void print_comparison(const cJSON *all)
{
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(all, "runs"), *run, *row;
    int width = 0;
    cJSON_ArrayForEach(run, runs)
    {
        int columns = term_columns(json_text(run, "name", ""));
        width = columns > width ? columns : width;
    }
    width = width < NAME_MAX_COLUMNS ? width : NAME_MAX_COLUMNS;
    print_marks(all);
    const cJSON *figures = cJSON_GetObjectItemCaseSensitive(all, "figures");
    cJSON_ArrayForEach(row, figures) print_figure(row, runs, width);
    if (!figures->child)
        puts("none of these runs measured anything");
}

/* --- the verb --------------------------------------------------------------------------------------- */

static bool write_page(const char *path, const cJSON *all, Err *err)
{
    Buf page = {0};
    compare_html(&page, all);
    bool good = file_write(path, page.data, page.len, err);
    buf_free(&page);
    return good || err_wrap(err, "--html");
}

static bool compare(Cmd *cmd, const cJSON *words, cJSON **reports, char **names, Err *err)
{
    int count = 0;
    for (const cJSON *word = words->child; word; word = word->next, count++)
        if (!open_run(cmd, word->valuestring, &reports[count], &names[count], err))
            return false;
    number_names(names, count);
    cJSON *all = compare_runs((const cJSON *const *)reports, (const char *const *)names, count);
    const char *page = cmd_value(cmd, "html");
    bool good = !page || write_page(page, all, err);
    if (good && cmd->json)
        cmd_json(cJSON_Duplicate(all, true));
    else if (good && !cmd->quiet)
        print_comparison(all);
    cJSON_Delete(all);
    return good;
}

static bool compare_run(Cmd *cmd, Err *err)
{
    cJSON *words = cJSON_CreateArray();
    bool good = expand(cmd, words, err);
    const int count = cJSON_GetArraySize(words);
    cJSON **reports = xcalloc((size_t)count + 1, sizeof *reports);
    char **names = xcalloc((size_t)count + 1, sizeof *names);
    good = good && compare(cmd, words, reports, names, err);
    for (int i = 0; i < count; i++) {
        cJSON_Delete(reports[i]);
        free(names[i]);
    }
    free(reports);
    free(names);
    cJSON_Delete(words);
    return good;
}

static const Flag flags[] = {
    {"html", 0, "FILE", "also write the comparison as an HTML page"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_compare = {
    .name = "compare",
    .args = "JOB|SWEEP...",
    .least = 1,
    .most = -1,
    .summary = "Show runs side by side; mark results that are not comparable",
    .detail = "A JOB is an id, or the path of a job's folder or report.json (a path needs no Redis). A SWEEP, NAME or "
              "USER/NAME, stands for all of its jobs that are done.\n"
              "Results are comparable if reference, pipeline, network and number of images are the same.\n",
    .flags = flags,
    .run = compare_run,
};
