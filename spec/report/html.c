#include "spec/report/html.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/report/figure.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--line:#8884;--dim:#6b7280;--mark:#b35900;--ink:#3b6ea5;--soft:#3b6ea533;--back:#fff}"
    "@media(prefers-color-scheme:dark){:root{--dim:#9ca3af;--mark:#e08a2e;--ink:#7fb0e0;--soft:#7fb0e033;--back:#"
    "121212}}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;background:var(--back)}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:2.2rem 0 .4rem}"
    ".sub,figcaption,.dim{color:var(--dim)}.sub{margin:.2rem 0 1.2rem}"
    ".facts{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1rem 0 1.5rem}"
    ".facts b{display:block;font-size:1.9rem;font-weight:600;line-height:1.1}.facts span{color:var(--dim)}"
    "table{border-collapse:collapse;width:100%}.facts b,td,th{font-variant-numeric:tabular-nums}"
    "td,th{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top;"
    "overflow-wrap:anywhere}"
    "th{font-weight:400;color:var(--dim);width:12rem}thead th{width:auto;font-size:.85em}code{font-size:.85em}"
    "td.n,th.n{text-align:right}td b{font-weight:600}.figures{table-layout:fixed}.figures "
    "th:first-child{width:22%}.figures th:last-child{width:30%}.odd{color:var(--mark);font-weight:600}"
    ".warn{border-left:4px solid var(--mark);padding:.3rem .8rem;margin:.4rem 0}"
    "img{max-width:100%;height:auto;image-rendering:pixelated;border:1px solid var(--line)}"
    ".pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(7rem,1fr));gap:.6rem}"
    ".pictures figure{margin:0}.pictures img{width:100%}figcaption{font-size:.8rem;line-height:1.3}"
    "svg{max-width:100%;height:auto;font:12px system-ui,sans-serif;fill:currentColor}"
    "@media "
    "print{body{max-width:none;margin:0;font-size:11px}h2{break-after:avoid}figure,tr,svg,.warn{break-inside:avoid}}";

/* --- text ------------------------------------------------------------------------------------------- */

void html_text(Buf *page, const char *text)
{
    for (; text && *text; text++) {
        const char *entity = *text == '&'    ? "&amp;"
                             : *text == '<'  ? "&lt;"
                             : *text == '>'  ? "&gt;"
                             : *text == '"'  ? "&quot;"
                             : *text == '\'' ? "&#39;"
                                             : NULL;
        if (entity)
            buf_add(page, entity, strlen(entity));
        else
            buf_add(page, text, 1);
    }
}

void html_open(Buf *page, const char *title)
{
    buf_printf(page, "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport "
                     "content=\"width=device-width\">\n<title>");
    html_text(page, title);
    buf_printf(page, "</title>\n<style>%s</style>\n", style);
}

void html_close(Buf *page)
{
    buf_printf(page, "</html>\n");
}

void html_section(Buf *page, const char *title)
{
    buf_printf(page, "<h2>");
    html_text(page, title);
    buf_printf(page, "</h2>\n");
}

void html_warning(Buf *page, const char *text)
{
    buf_printf(page, "<p class=warn>");
    html_text(page, text);
    buf_printf(page, "</p>\n");
}

/* --- images ----------------------------------------------------------------------------------------- */

static void base64(Buf *page, const unsigned char *data, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        unsigned bits = (unsigned)data[i] << 16 | (i + 1 < size ? (unsigned)data[i + 1] << 8 : 0) |
                        (i + 2 < size ? data[i + 2] : 0);
        char four[4] = {letters[bits >> 18], letters[bits >> 12 & 63], i + 1 < size ? letters[bits >> 6 & 63] : '=',
                        i + 2 < size ? letters[bits & 63] : '='};
        buf_add(page, four, sizeof four);
    }
}

void html_image(Buf *page, const char *alt, const void *png, size_t size)
{
    buf_printf(page, "<img alt=\"");
    html_text(page, alt);
    buf_printf(page, "\" src=\"data:image/png;base64,");
    base64(page, png, size);
    buf_printf(page, "\">\n");
}

/* --- tables ----------------------------------------------------------------------------------------- */

void html_table(Buf *page)
{
    buf_printf(page, "<table>\n");
}

void html_table_end(Buf *page)
{
    buf_printf(page, "</table>\n");
}

void html_row(Buf *page, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(page, "<tr><th>");
    html_text(page, name);
    buf_printf(page, "<td>");
    html_text(page, value);
    buf_printf(page, "\n");
}

void html_row_json(Buf *page, const char *name, const cJSON *value)
{
    if (!value || cJSON_IsNull(value))
        return;
    char *printed = cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);
    html_row(page, name, printed ? printed : value->valuestring);
    cJSON_free(printed);
}

typedef struct Columns { /* those that a table needs beside value and interval */
    bool deviation, published;
} Columns;

static Columns columns_of(const cJSON *object, const cJSON *spec)
{
    Columns columns = {.deviation = figures_have_deviation(object)};
    const Figure *figure;
    for (int i = 0; (figure = figure_at(i)); i++)
        if (isfinite(figure_value(object, figure, "")) && isfinite(figure_published(spec, figure)))
            columns.published = true;
    return columns;
}

static void figure_row(Buf *page, const cJSON *object, const cJSON *spec, const Figure *figure, Columns columns)
{
    char text[FIGURE_TEXT], said[FIGURE_TEXT];
    double published = figure_published(spec, figure);
    buf_printf(page, "<tr><th>%s<td class=n><b>%s</b>", figure->title,
               figure_print(figure, figure_value(object, figure, ""), text));
    buf_printf(page, "<td>%s", figure_interval(object, figure, text));
    if (columns.deviation)
        buf_printf(page, "<td class=n>%s", figure_print(figure, figure_deviation(object, figure), text));
    if (isfinite(published))
        buf_printf(page, "<td class=n>%.6g<td>%s", published, figure_verdict(object, figure, published, said));
    else if (columns.published)
        buf_printf(page, "<td><td>");
    buf_printf(page, "\n");
}

void html_figures(Buf *page, const cJSON *object, const cJSON *spec)
{
    const Figure *figure;
    const Columns columns = columns_of(object, spec);
    bool open = false;
    for (int i = 0; (figure = figure_at(i)); i++) {
        if (!isfinite(figure_value(object, figure, "")))
            continue;
        if (!open)
            buf_printf(page, "<table class=figures>\n<thead><tr><th><th class=n>value<th>95%% interval%s%s</thead>\n",
                       columns.deviation ? "<th class=n>deviation" : "",
                       columns.published ? "<th class=n>published<th>it lies" : "");
        open = true;
        figure_row(page, object, spec, figure, columns);
    }
    if (open)
        html_table_end(page);
}
