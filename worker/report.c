/* report.json, field by field. To add one: a line here; the page shows it when report_html.c has a row for it. */
#include "worker/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "worker/folder.h"

void report_number(double value, char ret_text[32])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(ret_text, 32, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value)
            return;
    }
}

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(object, name, text);
}

/* cJSON prints fifteen digits; a FID is worth all of its bits, so numbers go in as text. */
static void add_number(cJSON *object, const char *name, double value)
{
    char text[32];
    report_number(value, text);
    if (isfinite(value))
        cJSON_AddRawToObject(object, name, text);
    else
        cJSON_AddNullToObject(object, name);
}

static double sum(const double seconds[PHASES], bool with_load_and_report)
{
    double total = 0;
    for (int phase = 0; phase < PHASES; phase++)
        if (with_load_and_report || (phase != PHASE_LOAD && phase != PHASE_REPORT))
            total += seconds[phase];
    return total;
}

static void add_fid(cJSON *json, const Report *report)
{
    const Frechet *f = report->frechet;
    const double published = report->spec->published_fid;
    if (f)
        add_number(json, "fid", f->fid);
    else
        cJSON_AddNullToObject(json, "fid");
    if (isfinite(published)) {
        add_number(json, "published_fid", published);
        if (f)
            add_number(json, "difference", f->fid - published);
    }
    if (!f)
        return;
    cJSON *terms = cJSON_AddObjectToObject(json, "fid_terms");
    add_number(terms, "raw", f->raw);
    add_number(terms, "mean_term", f->mean_term);
    add_number(terms, "trace_images", f->trace1);
    add_number(terms, "trace_reference", f->trace2);
    add_number(terms, "trace_sqrt", f->trace_sqrt);
}

static void add_statistics(cJSON *json, const char *name, const Statistics *stats)
{
    if (!stats)
        return;
    cJSON *object = cJSON_AddObjectToObject(json, name);
    add_number(object, "width", stats->dim);
    if (stats->count)
        add_number(object, "images", (double)stats->count);
    add_text(object, "pipeline", stats->pipeline ? stats->pipeline : "not said");
}

static void add_time(cJSON *json, const Report *report)
{
    double making = sum(report->seconds, false);
    add_number(json, "seconds", sum(report->seconds, true));
    add_number(json, "images_per_second", making > 0 ? (double)report->images / making : 0);
    cJSON_AddItemToObject(json, "seconds_by_phase", phases_to_json(report->seconds));
}

/* What a reader looks for first stands at the top level, taken from the first row of `made`. */
static void add_made(cJSON *json, const cJSON *made)
{
    static const char *const names[] = {"device", "device_name", "precision", "feature_precision", "batch"};
    const cJSON *first = cJSON_GetArrayItem(made, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(first, names[i]);
        if (value)
            cJSON_AddItemToObject(json, names[i], cJSON_Duplicate(value, true));
    }
    cJSON_AddItemToObject(json, "made", cJSON_Duplicate(made, true));
}

char *report_json(const Report *report)
{
    const JobSpec *spec = report->spec;
    char now[25];
    wall_iso(wall_ms(), now);
    cJSON *json = cJSON_CreateObject();
    add_text(json, "name", spec->name);
    add_text(json, "recipe", spec->recipe);
    add_text(json, "model", spec->model);
    add_text(json, "kind", jobspec_kind_name(spec->kind));
    add_text(json, "finished", now);
    add_number(json, "images", (double)report->images);
    add_time(json, report);
    add_fid(json, report);
    if (spec->kind == KIND_SAMPLE)
        add_number(json, "seed", (double)spec->seed);
    add_made(json, report->made);
    add_statistics(json, "statistics", report->stats);
    add_statistics(json, "reference", report->reference);
    cJSON_AddItemToObject(json, "inputs", folder_inputs_json(report->identity));
    add_text(json, "pixels_sha256", report->pixels_sha256);
    cJSON_AddItemToObject(json, "outputs", cJSON_Duplicate(report->outputs, true));
    cJSON_AddItemToObject(json, "warnings", cJSON_Duplicate(report->warnings, true));
    cJSON_AddItemToObject(json, "spec", jobspec_to_json(spec, FORM_EXEC));
    add_text(json, "identity", report->identity->images);
    add_text(json, "job_identity", report->identity->job);
    add_text(json, "version", DDQ_VERSION);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    return text;
}
