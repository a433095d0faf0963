#include "client/jobs/compare_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/queue/job.h"
#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"

enum { REPORT_MAX = 64 << 20 }; /* bytes; a report with a list of 100,000 classes is far below */

/* --- reading ---------------------------------------------------------------------------------------- */

bool compare_read(const char *path, cJSON **ret_report, Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "%s", path);
    char *file = S_ISDIR(st.st_mode) ? xasprintf("%s/report.json", path) : xstrdup(path);
    char *text = NULL;
    file_read_text("report", file, REPORT_MAX, &text, err);
    cJSON *report = text ? cJSON_Parse(text) : NULL;
    bool good = report != NULL;
    if (text && !report)
        err_set(err, ERR_FORMAT, "report %s: not JSON", file);
    else if (!text && S_ISDIR(st.st_mode))
        err_wrap(err, "%s holds no report; a job has one when it is done", path);
    if (good && (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(report, "job_identity")) ||
                 !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(report, "spec"))))
        good = err_set(err, ERR_FORMAT, "report %s: JSON, but not the report of a job (no job_identity or spec)", file);
    if (good)
        *ret_report = report;
    else
        cJSON_Delete(report);
    free(text);
    free(file);
    return good;
}

/* --- what results depend on --------------------------------------------------------------------------- */

typedef struct Ground {
    const char *what;
    unsigned metrics;                                          /* that depend on it */
    char *(*of)(const cJSON *report, const char *pipeline);    /* "": the report lacks it */
    char *(*shown)(const cJSON *report, const char *pipeline); /* NULL: the same */
} Ground;

static char *text_at(const cJSON *object, const char *name)
{
    return xstrdup(json_text(object, name, ""));
}

/* By content: the same file under two names is one reference. */
static char *reference_of(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    const cJSON *reference = cJSON_GetObjectItemCaseSensitive(report, "reference");
    const char *hash = json_text(reference, "sha256", "");
    return xstrdup(*hash ? hash : json_text(reference, "name", ""));
}

static char *reference_shown(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    const cJSON *reference = cJSON_GetObjectItemCaseSensitive(report, "reference");
    const char *name = json_text(reference, "name", "");
    return xasprintf("%s%s%.12s", name, *name ? " " : "", json_text(reference, "sha256", ""));
}

static char *pipeline_of(const cJSON *report, const char *pipeline)
{
    (void)report;
    return xstrdup(pipeline);
}

static char *weights_of(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    return xasprintf("%.12s", json_text(report, "weights_sha256", ""));
}

static char *number_text(double number)
{
    return isfinite(number) ? xasprintf("%.0f", number) : xstrdup("");
}

static char *images_of(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    return number_text(json_number(report, "n", json_number(report, "images", NAN)));
}

static char *k_of(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    return number_text(json_number(cJSON_GetObjectItemCaseSensitive(report, "spec"), "neighbours", NAN));
}

static char *like_of(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    return text_at(cJSON_GetObjectItemCaseSensitive(report, "spec"), "like");
}

static char *arithmetic_of(const cJSON *report, const char *pipeline)
{
    (void)pipeline;
    return text_at(report, "feature_precision");
}

static const Ground grounds[] = {
    {"reference", METRICS_OF_REFERENCE, reference_of, reference_shown},
    {"pipeline", METRICS_ALL, pipeline_of, NULL},
    {"weights", METRICS_ALL, weights_of, NULL},
    {"number of images", METRICS_ALL, images_of, NULL},
    {"neighbours", METRIC_PRDC, k_of, NULL},
    {"like", METRIC_FID | METRIC_SFID, like_of, NULL},
    {"arithmetic of the features", METRICS_ALL, arithmetic_of, NULL},
};

/* --- one number ------------------------------------------------------------------------------------- */

/* The figures of a pipeline in a report: its own level, its object "tf", or, when it has no such pipeline, its own
 * level under its own pipeline. */
static const cJSON *figures_of(const cJSON *report, const char *pipeline, const char **ret_pipeline)
{
    const cJSON *second = cJSON_GetObjectItemCaseSensitive(report, "tf");
    const char *own = json_text(report, "pipeline", "");
    bool other = strcmp(pipeline, "tf") == 0 && strcmp(own, "tf") != 0 && cJSON_IsObject(second);
    *ret_pipeline = other ? "tf" : own;
    return other ? second : report;
}

static void add_finite(cJSON *object, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
}

static void add_delta(cJSON *value, const cJSON *first)
{
    double a = json_number(first, "value", NAN), b = json_number(value, "value", NAN);
    double low = json_number(value, "low", NAN), high = json_number(value, "high", NAN);
    double first_low = json_number(first, "low", NAN), first_high = json_number(first, "high", NAN);
    add_finite(value, "delta", b - a);
    if (isfinite(low) && isfinite(high) && isfinite(first_low) && isfinite(first_high))
        cJSON_AddBoolToObject(value, "overlap", low <= first_high && first_low <= high);
}

/* In what the two reports differ, of the things that this figure depends on. */
static cJSON *differences(const Figure *figure, const cJSON *first, const char *first_pipeline, const cJSON *report,
                          const char *pipeline)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < countof(grounds); i++) {
        char *a = grounds[i].of(first, first_pipeline), *b = grounds[i].of(report, pipeline);
        if (grounds[i].metrics & figure->metric && strcmp(a, b) != 0)
            cJSON_AddItemToArray(list, cJSON_CreateString(grounds[i].what));
        free(a);
        free(b);
    }
    return list;
}

static cJSON *value_of(const Figure *figure, const cJSON *figures)
{
    double value = figure_value(figures, figure, "");
    if (!isfinite(value))
        return cJSON_CreateNull();
    cJSON *object = cJSON_CreateObject();
    add_finite(object, "value", value);
    add_finite(object, "low", figure_value(figures, figure, "_low"));
    add_finite(object, "high", figure_value(figures, figure, "_high"));
    add_finite(object, "deviation", figure_deviation(figures, figure));
    return object;
}

static cJSON *figure_row(const Figure *figure, const char *pipeline, const cJSON *const *reports, int count)
{
    cJSON *row = cJSON_CreateObject(), *values = cJSON_CreateArray();
    const char *first_pipeline, *its;
    const cJSON *first_figures = figures_of(reports[0], pipeline, &first_pipeline);
    cJSON *first = value_of(figure, first_figures);
    int found = 0;
    for (int i = 0; i < count; i++) {
        const cJSON *figures = figures_of(reports[i], pipeline, &its);
        cJSON *value = value_of(figure, figures);
        if (cJSON_IsObject(value)) {
            cJSON *differs = differences(figure, reports[0], first_pipeline, reports[i], its);
            cJSON_AddBoolToObject(value, "comparable", cJSON_GetArraySize(differs) == 0);
            cJSON_AddItemToObject(value, "differs", differs);
            if (i > 0)
                add_delta(value, first);
            found++;
        }
        cJSON_AddItemToArray(values, value);
    }
    cJSON_Delete(first);
    cJSON_AddStringToObject(row, "figure", figure->key);
    cJSON_AddStringToObject(row, "title", figure->title);
    cJSON_AddStringToObject(row, "pipeline", pipeline);
    cJSON_AddItemToObject(row, "values", values);
    if (found)
        return row;
    cJSON_Delete(row);
    return NULL;
}

/* --- all of them ------------------------------------------------------------------------------------ */

static cJSON *run_of(const cJSON *report, const char *name)
{
    cJSON *run = cJSON_CreateObject();
    const cJSON *reference = cJSON_GetObjectItemCaseSensitive(report, "reference");
    cJSON_AddStringToObject(run, "name", name);
    add_finite(run, "images", json_number(report, "images", NAN));
    add_finite(run, "n", json_number(report, "n", json_number(report, "images", NAN)));
    cJSON_AddStringToObject(run, "pipeline", json_text(report, "pipeline", ""));
    cJSON_AddStringToObject(run, "reference", json_text(reference, "name", ""));
    cJSON_AddStringToObject(run, "reference_sha256", json_text(reference, "sha256", ""));
    cJSON_AddStringToObject(run, "weights_sha256", json_text(report, "weights_sha256", ""));
    add_finite(run, "neighbours", json_number(cJSON_GetObjectItemCaseSensitive(report, "spec"), "neighbours", NAN));
    return run;
}

static bool ground_differs(const Ground *ground, const cJSON *const *reports, int count)
{
    char *first = ground->of(reports[0], json_text(reports[0], "pipeline", ""));
    bool differ = false;
    for (int i = 1; i < count && !differ; i++) {
        char *text = ground->of(reports[i], json_text(reports[i], "pipeline", ""));
        differ = strcmp(text, first) != 0;
        free(text);
    }
    free(first);
    return differ;
}

/* In what the first pipelines of the runs differ, of the things that any of these metrics depends on. */
static cJSON *differs_of(const cJSON *const *reports, int count, unsigned metrics)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t g = 0; g < countof(grounds); g++) {
        if (!(grounds[g].metrics & metrics) || !ground_differs(&grounds[g], reports, count))
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "what", grounds[g].what);
        cJSON *values = cJSON_AddArrayToObject(row, "values");
        for (int i = 0; i < count; i++) {
            char *text = (grounds[g].shown ? grounds[g].shown : grounds[g].of)(reports[i],
                                                                               json_text(reports[i], "pipeline", ""));
            cJSON_AddItemToArray(values, cJSON_CreateString(text));
            free(text);
        }
        cJSON_AddItemToArray(list, row);
    }
    return list;
}

const char *compare_overlap(const cJSON *value)
{
    const cJSON *overlap = cJSON_GetObjectItemCaseSensitive(value, "overlap");
    return !overlap                ? ""
           : cJSON_IsTrue(overlap) ? "intervals overlap, so the difference may be chance"
                                   : "intervals do not overlap";
}

cJSON *compare_runs(const cJSON *const *reports, const char *const *names, int count)
{
    cJSON *all = cJSON_CreateObject(), *runs = cJSON_AddArrayToObject(all, "runs");
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(runs, run_of(reports[i], names[i]));
    cJSON *rows = cJSON_CreateArray();
    unsigned metrics = 0; /* that any run has */
    const char *own = json_text(reports[0], "pipeline", "");
    bool both = cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(reports[0], "tf"));
    const char *const pipelines[] = {own, both ? "tf" : NULL};
    const Figure *figure;
    for (size_t p = 0; p < countof(pipelines) && pipelines[p]; p++)
        for (int i = 0; (figure = figure_at(i)); i++) {
            cJSON *row = figure_row(figure, pipelines[p], reports, count);
            if (!row)
                continue;
            cJSON_AddItemToArray(rows, row);
            metrics |= figure->metric;
        }
    cJSON_AddItemToObject(all, "differs", differs_of(reports, count, metrics));
    cJSON_AddItemToObject(all, "figures", rows);
    return all;
}
