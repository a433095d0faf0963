/* report.json, field by field. To add one: a line here; the page shows it when html.c has a row for it. */
#include "worker/report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"
#include "worker/job/folder.h"

/* cJSON prints fifteen digits; a FID is worth all of its bits, so numbers go in as text. */
static double sum(const double seconds[STAGES], bool with_load_and_report)
{
    double total = 0;
    for (int stage = 0; stage < STAGES; stage++)
        if (with_load_and_report || (stage != STAGE_LOAD && stage != STAGE_REPORT))
            total += seconds[stage];
    return total;
}

/* --- what was measured ----------------------------------------------------------------------------- */

/* {figure, measured, published, verdict, text}: "measured 11.410 [11.200, 11.600] vs published 11.35: within the
 * interval". */
static cJSON *comparison(const cJSON *figures, const Figure *figure, double published)
{
    char value[FIGURE_TEXT], interval[FIGURE_TEXT], verdict[FIGURE_TEXT];
    cJSON *object = cJSON_CreateObject();
    double measured = figure_value(figures, figure, "");
    figure_interval(figures, figure, interval);
    figure_verdict(figures, figure, published, verdict);
    json_add_text(object, "figure", figure->key);
    json_add_number(object, "measured", measured);
    json_add_number(object, "published", published);
    json_add_number(object, "difference", measured - published);
    json_add_text(object, "verdict", verdict);
    char *text = xasprintf("measured %s%s%s vs published %.6g: %s", figure_print(figure, measured, value),
                           *interval ? " " : "", interval, published, verdict);
    json_add_text(object, "text", text);
    free(text);
    return object;
}

static void add_published(cJSON *json, const cJSON *figures, const cJSON *spec)
{
    cJSON *list = cJSON_CreateArray();
    const Figure *figure;
    for (int i = 0; (figure = figure_at(i)); i++) {
        double published = figure_published(spec, figure);
        if (isfinite(published) && isfinite(figure_value(figures, figure, "")))
            cJSON_AddItemToArray(list, comparison(figures, figure, published));
    }
    if (list->child)
        cJSON_AddItemToObject(json, "published", list);
    else
        cJSON_Delete(list);
}

/* The figures as numbers that can be read, which raw items are not. */
static cJSON *readable(const cJSON *measured)
{
    char *text = measured ? cJSON_PrintUnformatted(measured) : NULL;
    cJSON *copy = text ? cJSON_Parse(text) : cJSON_CreateObject();
    cJSON_free(text);
    return copy;
}

static void add_measured(cJSON *json, const Report *report, const cJSON *spec)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, report->measured) cJSON_AddItemToObject(json, item->string, cJSON_Duplicate(item, true));
    if (!cJSON_HasObjectItem(json, "fid"))
        cJSON_AddNullToObject(json, "fid");
    const double published = report->spec->published_fid, fid = json_number(json, "fid", NAN);
    char *sentence = figures_not_compared(spec);
    json_add_text(json, "not_compared", sentence);
    if (isfinite(published) && !sentence) {
        json_add_number(json, "published_fid", published);
        if (isfinite(fid))
            json_add_number(json, "difference", fid - published);
    }
    free(sentence);
    cJSON *figures = readable(report->measured);
    add_published(json, figures, spec);
    cJSON_Delete(figures);
}

static void add_statistics(cJSON *json, const char *name, const Statistics *stats)
{
    if (!stats)
        return;
    cJSON *object = cJSON_AddObjectToObject(json, name);
    json_add_number(object, "width", stats->dim);
    if (stats->count)
        json_add_number(object, "images", (double)stats->count);
    json_add_text(object, "pipeline", stats->pipeline ? stats->pipeline : "not said");
}

static void add_time(cJSON *json, const Report *report)
{
    double making = sum(report->seconds, false);
    json_add_number(json, "seconds", sum(report->seconds, true));
    json_add_number(json, "images_per_second", making > 0 ? (double)report->images / making : 0);
    cJSON_AddItemToObject(json, "seconds_by_phase", stages_to_json(report->seconds));
}

/* The most important facts are at the top level, taken from the first row of `made`. */
static void add_made(cJSON *json, const cJSON *made)
{
    static const struct {
        const char *name, *in_made;
    } names[] = {{"device", "device"},
                 {"device_name", "device_name"},
                 {"sampler_precision", "precision"}, /* "precision" is a figure */
                 {"feature_precision", "feature_precision"},
                 {"batch", "batch"},
                 {"networks", "networks"}};
    const cJSON *first = cJSON_GetArrayItem(made, 0);
    for (size_t i = 0; i < countof(names); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(first, names[i].in_made);
        if (value)
            cJSON_AddItemToObject(json, names[i].name, cJSON_Duplicate(value, true));
    }
    cJSON_AddItemToObject(json, "made", cJSON_Duplicate(made, true));
}

char *report_json(const Report *report)
{
    const JobSpec *spec = report->spec;
    char now[25];
    wall_iso(wall_ms(), now);
    cJSON *json = cJSON_CreateObject(), *fields = jobspec_to_json(spec, FORM_EXEC);
    json_add_text(json, "name", spec->name);
    json_add_text(json, "recipe", spec->recipe);
    json_add_text(json, "changed", spec->changed);
    json_add_text(json, "model", spec->model);
    json_add_text(json, "kind", jobspec_kind_name(spec->kind));
    json_add_text(json, "finished", now);
    json_add_number(json, "images", (double)report->images);
    add_time(json, report);
    add_measured(json, report, fields);
    if (jobkind_of(spec->kind)->uses_model)
        json_add_number(json, "seed", (double)spec->seed);
    json_add_text(json, "labels", report->labels);
    add_made(json, report->made);
    add_statistics(json, "statistics", report->stats);
    cJSON_AddItemToObject(json, "inputs", folder_inputs_json(report->identity));
    cJSON_AddItemToObject(json, "outputs", cJSON_Duplicate(report->outputs, true));
    cJSON_AddItemToObject(json, "warnings", cJSON_Duplicate(report->warnings, true));
    cJSON_AddItemToObject(json, "spec", fields);
    json_add_text(json, "identity", report->identity->images);
    json_add_text(json, "job_identity", report->identity->job);
    json_add_text(json, "version", DDQ_VERSION);
    char *text = json_print(json, true);
    cJSON_Delete(json);
    return text;
}
