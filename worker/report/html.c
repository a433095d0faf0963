/* The page: headline, figures, where they come from, pictures, plots, times, and the rest of report.json. To show more:
 * a section here for what the JSON has. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "spec/report/figure.h"
#include "spec/report/html.h"
#include "worker/report/report.h"
#include "worker/report/svg.h"

static const cJSON *get(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* --- headline --------------------------------------------------------------------------------------- */

static void fact(Buf *page, const char *format, double value, const char *what)
{
    if (!isfinite(value))
        return;
    char number[64];
    snprintf(number, sizeof number, format, value);
    buf_printf(page, "<div><b>%s</b><span>%s</span></div>\n", number, what);
}

static void headline(Buf *page, const cJSON *json, const char *name)
{
    buf_printf(page, "<h1>");
    html_text(page, name);
    buf_printf(page, "</h1>\n<p class=sub>");
    html_text(page, json_text(json, "kind", ""));
    buf_printf(page, ", finished ");
    html_text(page, json_text(json, "finished", ""));
    buf_printf(page, ", ddq ");
    html_text(page, json_text(json, "version", ""));
    buf_printf(page, "</p>\n<div class=facts>\n");
    fact(page, "%.3f", json_number(json, "fid", NAN), "FID");
    fact(page, "%.3f", json_number(json, "published_fid", NAN), "published");
    fact(page, "%+.3f", json_number(json, "difference", NAN), "difference");
    fact(page, "%.0f", json_number(json, "images", NAN), "images");
    double rate = json_number(json, "images_per_second", NAN);
    fact(page, rate < 10 ? "%.2f" : "%.0f", rate, "images a second");
    fact(page, "%.1f", json_number(json, "seconds", NAN), "seconds of work");
    buf_printf(page, "</div>\n");
    if (get(json, "not_compared")) {
        buf_printf(page, "<p class=sub>");
        html_text(page, json_text(json, "not_compared", ""));
        buf_printf(page, "</p>\n");
    }
    const cJSON *warning;
    cJSON_ArrayForEach(warning, get(json, "warnings"))
        html_warning(page, cJSON_IsString(warning) ? warning->valuestring : "");
}

/* --- tables ----------------------------------------------------------------------------------------- */

static void rows_of(Buf *page, const char *title, const cJSON *object)
{
    if (!cJSON_IsObject(object) || !object->child)
        return;
    html_section(page, title);
    html_table(page);
    const cJSON *value;
    cJSON_ArrayForEach(value, object) html_row_json(page, value->string, value);
    html_table_end(page);
}

static void seconds(Buf *page, const char *title, const cJSON *object)
{
    if (!cJSON_IsObject(object) || !object->child)
        return;
    html_section(page, title);
    html_table(page);
    const cJSON *value;
    cJSON_ArrayForEach(value, object)
    {
        char text[32];
        snprintf(text, sizeof text, "%.2f", value->valuedouble);
        html_row(page, value->string, text);
    }
    html_table_end(page);
}

static void figures(Buf *page, const cJSON *json)
{
    const cJSON *second = get(json, "tf");
    html_section(page, second ? "Measured with the pt pipeline" : "Measured");
    html_figures(page, json, get(json, "spec"));
    if (!second)
        return;
    html_section(page, "Measured with the tf pipeline");
    html_figures(page, second, NULL);
}

/* What the numbers depend on. */
static void provenance(Buf *page, const cJSON *json)
{
    static const struct {
        const char *name, *in, *key;
    } rows[] = {
        {"reference", "reference", "name"},
        {"reference's content", "reference", "sha256"},
        {"reference is", "reference", "kind"},
        {"reference's images", "reference", "images"},
        {"reference's pipeline", "reference", "pipeline"},
        {"pipeline", NULL, "pipeline"},
        {"images measured", NULL, "n"},
        {"images' content", NULL, "images_sha256"},
        {"duplicates", NULL, "duplicates"},
        {"left out", NULL, "skipped"},
        {"network's weights", NULL, "weights_sha256"},
        {"arithmetic of the features", NULL, "feature_precision"},
        {"arithmetic of the sampler", NULL, "sampler_precision"},
        {"student", "networks", "student"},
        {"teacher", "networks", "teacher"},
        {"tokenizer", "networks", "tokenizer"},
        {"Inception", "networks", "inception"},
        {"seed", NULL, "seed"},
        {"classes", NULL, "labels"},
        {"device", NULL, "device_name"},
        {"ddq", NULL, "version"},
    };
    html_section(page, "Where the numbers come from");
    html_table(page);
    for (size_t i = 0; i < countof(rows); i++)
        html_row_json(page, rows[i].name, get(rows[i].in ? get(json, rows[i].in) : json, rows[i].key));
    if (cJSON_GetArraySize(get(json, "made")) > 1)
        html_row_json(page, "all workers", get(json, "made"));
    html_table_end(page);
}

static void inputs(Buf *page, const cJSON *list)
{
    html_section(page, "Inputs");
    html_table(page);
    const cJSON *input;
    cJSON_ArrayForEach(input, list)
    {
        buf_printf(page, "<tr><th>");
        html_text(page, json_text(input, "field", ""));
        buf_printf(page, "<td>");
        html_text(page, json_text(input, "path", ""));
        buf_printf(page, "<br><code>sha256 ");
        html_text(page, json_text(input, "sha256", ""));
        buf_printf(page, "</code>, %.0f bytes\n", json_number(input, "bytes", NAN));
    }
    html_table_end(page);
}

/* --- pictures --------------------------------------------------------------------------------------- */

static void gallery(Buf *page, const Gallery *gallery)
{
    html_section(page, gallery->title);
    if (gallery->about) {
        buf_printf(page, "<p class=dim>");
        html_text(page, gallery->about);
        buf_printf(page, "</p>\n");
    }
    buf_printf(page, "<div class=pictures>\n");
    for (int i = 0; i < gallery->count; i++) {
        const Picture *picture = &gallery->pictures[i];
        buf_printf(page, "<figure>");
        html_image(page, picture->caption, picture->png, picture->size);
        buf_printf(page, "<figcaption>");
        html_text(page, picture->caption);
        buf_printf(page, "</figcaption></figure>\n");
    }
    buf_printf(page, "</div>\n");
}

void gallery_done(Gallery *gallery)
{
    for (int i = 0; i < gallery->count; i++) {
        free(gallery->pictures[i].caption);
        free(gallery->pictures[i].png);
    }
    free(gallery->pictures);
    *gallery = (Gallery){0};
}

static void pictures(Buf *page, const Page *with)
{
    if (with->sheet_size) {
        html_section(page, "The first images");
        html_image(page, "the first images", with->sheet, with->sheet_size);
    }
    for (int i = 0; i < with->gallery_count; i++)
        if (with->galleries[i].count)
            gallery(page, &with->galleries[i]);
}

static void plot_title(Buf *page, const char *title, const char *which)
{
    char *text = xasprintf("%s%s", title, which);
    html_section(page, text);
    free(text);
}

static void plots(Buf *page, const cJSON *measured, const char *which)
{
    if (get(measured, "curve")) {
        plot_title(page, "FID against the number of images", which);
        svg_curve(page, measured);
    }
    if (get(measured, "histogram")) {
        plot_title(page, "Distances to the nearest reference image", which);
        svg_histogram(page, get(measured, "histogram"), (int)json_int(get(measured, "neighbours"), "k", 0));
    }
}

/* A run of a recipe with other parameters must not look like the recipe. */
static char *title_of(const cJSON *json)
{
    const char *name =
        json_text(json, "name", json_text(json, "recipe", json_text(json, "model", json_text(json, "kind", "report"))));
    const char *recipe = json_text(json, "recipe", name), *changed = json_text(json, "changed", "");
    const bool same = strcmp(name, recipe) == 0;
    return xasprintf("%s%s%s%s%s", name, same ? "" : ", recipe ", same ? "" : recipe, *changed ? ", changed: " : "",
                     changed);
}

char *report_html(const cJSON *json, const Page *with)
{
    Buf page = {0};
    char *title = title_of(json);
    html_open(&page, title);
    headline(&page, json, title);
    free(title);
    figures(&page, json);
    provenance(&page, json);
    pictures(&page, with);
    plots(&page, json, get(json, "tf") ? ", pt pipeline" : "");
    plots(&page, get(json, "tf"), ", tf pipeline");
    seconds(&page, "Seconds by phase", get(json, "seconds_by_phase"));
    seconds(&page, "Seconds by metric", get(json, "seconds_by_metric"));
    seconds(&page, "Seconds by metric, tf pipeline", get(get(json, "tf"), "seconds_by_metric"));
    rows_of(&page, "Terms of the FID", get(json, "fid_terms"));
    rows_of(&page, "Parameters", get(json, "spec"));
    inputs(&page, get(json, "inputs"));
    html_close(&page);
    return page.data;
}
