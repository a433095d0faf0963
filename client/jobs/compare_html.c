#include "client/jobs/compare_html.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/jobs/compare_runs.h"
#include "client/queue/job.h"
#include "core/json.h"
#include "spec/report/figure.h"
#include "spec/report/html.h"

static const cJSON *get(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const Figure *figure_of(const cJSON *row)
{
    const Figure *figure;
    for (int i = 0; (figure = figure_at(i)); i++)
        if (strcmp(figure->key, json_text(row, "figure", "")) == 0)
            return figure;
    return figure_at(0);
}

static void runs(Buf *page, const cJSON *list)
{
    static const struct {
        const char *title, *key;
        int letters; /* at most; hashes are cut */
    } columns[] = {
        {"images measured", "n", 0},       {"pipeline", "pipeline", 8},
        {"reference", "reference", 80},    {"reference's content", "reference_sha256", 12},
        {"weights", "weights_sha256", 12}, {"neighbours", "neighbours", 0},
    };
    const cJSON *run;
    html_section(page, "Runs");
    buf_printf(page, "<table>\n<thead><tr><th>run");
    for (size_t i = 0; i < countof(columns); i++)
        buf_printf(page, "<th>%s", columns[i].title);
    buf_printf(page, "</thead>\n");
    cJSON_ArrayForEach(run, list)
    {
        buf_printf(page, "<tr><td>");
        html_text(page, json_text(run, "name", ""));
        for (size_t i = 0; i < countof(columns); i++) {
            double number = json_number(run, columns[i].key, NAN);
            char *text = isfinite(number) ? xasprintf("%.0f", number)
                                          : xasprintf("%.*s", columns[i].letters, json_text(run, columns[i].key, ""));
            buf_printf(page, "<td>");
            html_text(page, text);
            free(text);
        }
        buf_printf(page, "\n");
    }
    html_table_end(page);
}

static void marks(Buf *page, const cJSON *comparison)
{
    const cJSON *row, *value;
    cJSON_ArrayForEach(row, get(comparison, "differs"))
    {
        Buf text = {0};
        int i = 0;
        buf_printf(&text, "Not measured alike: %s differs", json_text(row, "what", ""));
        cJSON_ArrayForEach(value, get(row, "values"))
        {
            const cJSON *run = cJSON_GetArrayItem(get(comparison, "runs"), i++);
            buf_printf(&text, "%s %s: %s", i == 1 ? "." : ";", json_text(run, "name", ""),
                       *value->valuestring ? value->valuestring : "unknown");
        }
        html_warning(page, text.data);
        buf_free(&text);
    }
}

static void cell(Buf *page, const Figure *figure, const cJSON *value)
{
    char text[FIGURE_TEXT];
    bool odd = cJSON_IsFalse(get(value, "comparable"));
    double low = json_number(value, "low", NAN), delta = json_number(value, "delta", NAN);
    buf_printf(page, "<td class=\"n%s\"><b>%s</b>%s<td>", odd ? " odd" : "",
               figure_print(figure, json_number(value, "value", NAN), text), odd ? " !" : "");
    if (isfinite(low))
        buf_printf(page, "[%.*f, %.*f]", figure->digits, low, figure->digits, json_number(value, "high", NAN));
    buf_printf(page, "<td class=n>");
    if (isfinite(delta))
        buf_printf(page, "%+.*f", figure->digits, delta);
    buf_printf(page, "<td>");
    const cJSON *differs = get(value, "differs"), *what;
    const char *overlap = compare_overlap(value);
    html_text(page, overlap);
    if (odd)
        buf_printf(page, "%s<span class=odd>", *overlap ? "; " : "");
    cJSON_ArrayForEach(what, differs)
    {
        html_text(page, what->valuestring);
        buf_printf(page, "%s",
                   what->next                        ? ", "
                   : cJSON_GetArraySize(differs) > 1 ? " differ</span>"
                                                     : " differs</span>");
    }
}

static void figure_table(Buf *page, const cJSON *row, const cJSON *list)
{
    const Figure *figure = figure_of(row);
    char *title = xasprintf("%s%s%s", json_text(row, "title", ""), *json_text(row, "pipeline", "") ? ", pipeline " : "",
                            json_text(row, "pipeline", ""));
    html_section(page, title);
    free(title);
    buf_printf(
        page,
        "<table class=figures>\n<thead><tr><th>run<th class=n>value<th>95%% interval<th class=n>against the first<th>"
        "</thead>\n");
    const cJSON *run, *value = get(row, "values")->child;
    cJSON_ArrayForEach(run, list)
    {
        buf_printf(page, "<tr><td>");
        html_text(page, json_text(run, "name", ""));
        if (cJSON_IsObject(value))
            cell(page, figure, value);
        else
            buf_printf(page, "<td class=n>-<td><td><td>");
        buf_printf(page, "\n");
        value = value ? value->next : NULL;
    }
    html_table_end(page);
}

void compare_html(Buf *page, const cJSON *comparison)
{
    const cJSON *list = get(comparison, "runs"), *row;
    html_open(page, "Runs compared");
    buf_printf(page, "<h1>Runs compared</h1>\n<p class=sub>%d runs; differences are against the first</p>\n",
               cJSON_GetArraySize(list));
    marks(page, comparison);
    cJSON_ArrayForEach(row, get(comparison, "figures")) figure_table(page, row, list);
    runs(page, list);
    html_close(page);
}
