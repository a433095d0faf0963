/* The page: headline, the contact sheet, what was measured, parameters, inputs, times. Everything comes from
 * report.json. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/report.h"

static const char style[] =
    ":root{color-scheme:light dark;--line:#8884;--dim:#888;--mark:#b35900}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:2rem 0 .4rem}"
    ".sub{color:var(--dim);margin:.2rem 0 1.2rem}"
    ".facts{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;margin:1rem 0 1.5rem}"
    ".facts b{display:block;font-size:1.9rem;font-weight:600;line-height:1.1;font-variant-numeric:tabular-nums}"
    ".facts span{color:var(--dim)}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid "
    "var(--line);vertical-align:top;overflow-wrap:anywhere}"
    "th{font-weight:400;color:var(--dim);width:12rem}code{font-size:.85em}"
    ".warn{border-left:4px solid var(--mark);padding:.3rem .8rem;margin:.4rem 0}"
    "img{max-width:100%;height:auto;image-rendering:pixelated;border:1px solid var(--line)}";

static void escaped(Buf *page, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity)
            buf_add(page, entity, strlen(entity));
        else
            buf_add(page, text, 1);
    }
}

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

static const cJSON *get(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text_of(const cJSON *object, const char *name, const char *fallback)
{
    const cJSON *value = get(object, name);
    return cJSON_IsString(value) ? value->valuestring : fallback;
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *value = get(object, name);
    return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

static void fact(Buf *page, const char *format, double value, const char *what)
{
    if (!isfinite(value))
        return;
    char number[64];
    snprintf(number, sizeof number, format, value);
    buf_printf(page, "<div><b>%s</b><span>%s</span></div>\n", number, what);
}

static void headline(Buf *page, const cJSON *json)
{
    const char *name =
        text_of(json, "name", text_of(json, "recipe", text_of(json, "model", text_of(json, "kind", ""))));
    buf_printf(page, "<h1>");
    escaped(page, name);
    buf_printf(page, "</h1>\n<p class=sub>");
    escaped(page, text_of(json, "kind", ""));
    buf_printf(page, ", finished %s, ddq %s</p>\n<div class=facts>\n", text_of(json, "finished", ""),
               text_of(json, "version", ""));
    fact(page, "%.3f", number_of(json, "fid"), "FID");
    fact(page, "%.3f", number_of(json, "published_fid"), "published");
    fact(page, "%+.3f", number_of(json, "difference"), "difference");
    fact(page, "%.0f", number_of(json, "images"), "images");
    double rate = number_of(json, "images_per_second");
    fact(page, rate < 10 ? "%.2f" : "%.0f", rate, "images a second");
    fact(page, "%.1f", number_of(json, "seconds"), "seconds of work");
    buf_printf(page, "</div>\n");
    const cJSON *warning;
    cJSON_ArrayForEach(warning, get(json, "warnings"))
    {
        buf_printf(page, "<p class=warn>");
        escaped(page, cJSON_IsString(warning) ? warning->valuestring : "");
        buf_printf(page, "</p>\n");
    }
}

static void row(Buf *page, const char *name, const cJSON *value)
{
    if (!value || cJSON_IsNull(value))
        return;
    char *text = cJSON_IsString(value) ? xstrdup(value->valuestring) : NULL;
    char *printed = text ? NULL : cJSON_PrintUnformatted(value);
    buf_printf(page, "<tr><th>%s<td>", name);
    escaped(page, text ? text : printed);
    buf_printf(page, "\n");
    free(text);
    cJSON_free(printed);
}

static void rows_of(Buf *page, const char *title, const cJSON *object)
{
    if (!cJSON_IsObject(object) || !object->child)
        return;
    buf_printf(page, "<h2>%s</h2>\n<table>\n", title);
    const cJSON *value;
    cJSON_ArrayForEach(value, object) row(page, value->string, value);
    buf_printf(page, "</table>\n");
}

static void inputs(Buf *page, const cJSON *list)
{
    buf_printf(page, "<h2>Inputs</h2>\n<table>\n");
    const cJSON *input;
    cJSON_ArrayForEach(input, list)
    {
        buf_printf(page, "<tr><th>%s<td>", text_of(input, "field", ""));
        escaped(page, text_of(input, "path", ""));
        buf_printf(page, "<br><code>sha256 %s</code>, %.0f bytes\n", text_of(input, "sha256", ""),
                   number_of(input, "bytes"));
    }
    buf_printf(page, "</table>\n");
}

static void machine(Buf *page, const cJSON *json)
{
    static const char *const names[] = {"device", "device_name", "precision", "feature_precision", "batch", "seed"};
    buf_printf(page, "<h2>Made with</h2>\n<table>\n");
    for (size_t i = 0; i < countof(names); i++)
        row(page, names[i], get(json, names[i]));
    if (cJSON_GetArraySize(get(json, "made")) > 1)
        row(page, "all workers", get(json, "made"));
    buf_printf(page, "</table>\n");
}

char *report_html(const cJSON *json, const unsigned char *sheet, size_t sheet_size)
{
    Buf page = {0};
    const char *name = text_of(json, "name", text_of(json, "recipe", text_of(json, "model", "report")));
    buf_printf(&page, "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport "
                      "content=\"width=device-width\">\n<title>");
    escaped(&page, name);
    buf_printf(&page, "</title>\n<style>%s</style>\n", style);
    headline(&page, json);
    if (sheet_size) {
        buf_printf(&page, "<img alt=\"the first images\" src=\"data:image/png;base64,");
        base64(&page, sheet, sheet_size);
        buf_printf(&page, "\">\n");
    }
    rows_of(&page, "Terms of the FID", get(json, "fid_terms"));
    rows_of(&page, "Reference", get(json, "reference"));
    rows_of(&page, "Parameters", get(json, "spec"));
    machine(&page, json);
    inputs(&page, get(json, "inputs"));
    rows_of(&page, "Seconds by phase", get(json, "seconds_by_phase"));
    buf_printf(&page, "</html>\n");
    return page.data;
}
