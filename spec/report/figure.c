#include "spec/report/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "spec/jobtraits.h"

#define SECOND "tf" /* the second pipeline of a job with both */

#define FIGURE(metric, key, title, label, deviation, published, digits, more)                                          \
    {key, title, label, deviation, published, metric, digits, more},
static const Figure figures[] = {FIGURE_ROWS(FIGURE)};

const Figure *figure_at(int i)
{
    return i >= 0 && (size_t)i < countof(figures) ? &figures[i] : NULL;
}

/* --- values ---------------------------------------------------------------------------------------- */

static double number(const cJSON *object, const char *prefix, const char *key, const char *suffix)
{
    char name[FIGURE_TEXT];
    snprintf(name, sizeof name, "%s%s%s", prefix, key, suffix);
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

double figure_value(const cJSON *object, const Figure *figure, const char *suffix)
{
    return number(object, "", figure->key, suffix);
}

double figure_deviation(const cJSON *object, const Figure *figure)
{
    return figure->deviation ? number(object, "", figure->deviation, "") : NAN;
}

double figure_published(const cJSON *spec, const Figure *figure)
{
    if (!jobspec_changes_keep_published(json_text(spec, "changed", NULL)))
        return NAN;
    return figure->published ? number(spec, "", figure->published, "") : NAN;
}

char *figures_not_compared(const cJSON *spec)
{
    const char *changed = json_text(spec, "changed", NULL);
    Buf text = {0};
    if (jobspec_changes_keep_published(changed))
        return NULL;
    for (size_t i = 0; i < countof(figures); i++) {
        double published = figures[i].published ? number(spec, "", figures[i].published, "") : NAN;
        if (isfinite(published))
            buf_printf(&text, "%s%s %.6g", text.len ? ", " : "", figures[i].title, published);
    }
    if (!text.data)
        return NULL;
    char *sentence =
        xasprintf("this job changes %s of the recipe %s, so what was published (%s) is not compared with it", changed,
                  json_text(spec, "recipe", "it came from"), text.data);
    buf_free(&text);
    return sentence;
}

/* Every name that a figure has. */
typedef void (*NameFn)(const char *key, const char *suffix, void *ctx);
static void each_name(NameFn fn, void *ctx)
{
    for (size_t i = 0; i < countof(figures); i++) {
        fn(figures[i].key, "", ctx);
        fn(figures[i].key, "_low", ctx);
        fn(figures[i].key, "_high", ctx);
        if (figures[i].deviation)
            fn(figures[i].deviation, "", ctx);
    }
}

typedef struct Copy {
    cJSON *to;
    const char *drop, *put; /* a prefix of the names in `from`, and in its place one of the names in `to` */
    const cJSON *from;
} Copy;

static void copy_one(const char *key, const char *suffix, void *ctx)
{
    const Copy *copy = ctx;
    double value = number(copy->from, copy->drop, key, suffix);
    char name[FIGURE_TEXT];
    snprintf(name, sizeof name, "%s%s%s", copy->put, key, suffix);
    if (isfinite(value))
        cJSON_AddNumberToObject(copy->to, name, value);
}

void figures_copy(cJSON *to, const char *prefix, const cJSON *object)
{
    Copy copy = {to, "", prefix, object};
    each_name(copy_one, &copy);
}

/* --- printing ------------------------------------------------------------------------------------ */

const char *figure_print(const Figure *figure, double value, char text[FIGURE_TEXT])
{
    if (isfinite(value))
        snprintf(text, FIGURE_TEXT, "%.*f", figure->digits, value);
    else
        text[0] = 0;
    return text;
}

const char *figure_interval(const cJSON *object, const Figure *figure, char text[FIGURE_TEXT])
{
    double low = figure_value(object, figure, "_low"), high = figure_value(object, figure, "_high");
    if (isfinite(low) && isfinite(high))
        snprintf(text, FIGURE_TEXT, "[%.*f, %.*f]", figure->digits, low, figure->digits, high);
    else
        text[0] = 0;
    return text;
}

const char *figure_verdict(const cJSON *object, const Figure *figure, double published, char text[FIGURE_TEXT])
{
    double value = figure_value(object, figure, ""), low = figure_value(object, figure, "_low"),
           high = figure_value(object, figure, "_high");
    text[0] = 0;
    if (!isfinite(published) || !isfinite(value))
        return text;
    if (isfinite(low) && isfinite(high))
        snprintf(text, FIGURE_TEXT, "%s the interval",
                 published < low    ? "below"
                 : published > high ? "above"
                                    : "within");
    else
        snprintf(text, FIGURE_TEXT, "difference %+.*f", figure->digits, value - published);
    return text;
}

bool figures_have_deviation(const cJSON *object)
{
    for (size_t i = 0; i < countof(figures); i++)
        if (isfinite(figure_value(object, &figures[i], "")) && isfinite(figure_deviation(object, &figures[i])))
            return true;
    return false;
}

static void table_row(Buf *text, const cJSON *object, const cJSON *spec, const Figure *figure, bool deviations)
{
    char value[FIGURE_TEXT], interval[FIGURE_TEXT], deviation[FIGURE_TEXT], verdict[FIGURE_TEXT];
    double published = figure_published(spec, figure);
    figure_print(figure, figure_deviation(object, figure), deviation);
    buf_printf(text, "%-16s %12s", figure->title, figure_print(figure, figure_value(object, figure, ""), value));
    buf_printf(text, "  %-22s", figure_interval(object, figure, interval));
    if (deviations)
        buf_printf(text, " %-10s", deviation);
    if (isfinite(published))
        buf_printf(text, " published %.*g, %s", 6, published, figure_verdict(object, figure, published, verdict));
    while (text->len && text->data[text->len - 1] == ' ')
        text->data[--text->len] = 0;
    buf_printf(text, "\n");
}

static void table_of(Buf *text, const char *title, const cJSON *object, const cJSON *spec)
{
    if (!cJSON_GetArraySize(object))
        return;
    bool deviations = figures_have_deviation(object);
    buf_printf(text, "%-16s %12s  %s%s\n", title, "value", "95% interval", deviations ? "           deviation" : "");
    for (size_t i = 0; i < countof(figures); i++)
        if (isfinite(figure_value(object, &figures[i], "")))
            table_row(text, object, spec, &figures[i], deviations);
}

void figures_table(Buf *text, const cJSON *object, const cJSON *spec)
{
    const cJSON *second = cJSON_GetObjectItemCaseSensitive(object, SECOND);
    cJSON *first = cJSON_CreateObject(), *other = cJSON_CreateObject();
    figures_copy(first, "", object);
    Copy flat = {other, SECOND "_", "", object}, nested = {other, "", "", second};
    each_name(copy_one, second ? &nested : &flat);
    table_of(text, other->child ? "pipeline pt" : "metric", first, spec);
    table_of(text, "pipeline " SECOND, other, NULL);
    char *sentence = text->len ? figures_not_compared(spec) : NULL;
    if (sentence)
        buf_printf(text, "%s\n", sentence);
    free(sentence);
    cJSON_Delete(first);
    cJSON_Delete(other);
}
