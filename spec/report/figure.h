/* The figures of an evaluation: the numbers that its metrics give. Their rows are FIGURE_ROWS of spec/metric.h;
 * report.json, report.html, the queue's `metrics` and every table on a terminal use their names, order and digits.
 *
 * A figure is a number under its key in a flat object: report.json, its object "tf", or the `metrics` of a job in the
 * queue. Its 95% interval is under key_low and key_high, its deviation under the key that `deviation` names. */
#ifndef SPEC_REPORT_FIGURE_H
#define SPEC_REPORT_FIGURE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/mem.h"
#include "spec/metric.h"

typedef struct Figure {
    const char *key;       /* "kid" */
    const char *title;     /* "Inception score" */
    const char *label;     /* "IS": short, for the lines of `ddq fid` */
    const char *deviation; /* key of its standard deviation, or NULL */
    const char *published; /* job field with the published value, or NULL */
    unsigned metric;       /* METRIC_ bit of its metric */
    int digits;            /* after the decimal point, as printed */
    bool more_is_better;
} Figure;

const Figure *figure_at(int i); /* NULL past the end */

/* NaN when the object has no such number. suffix: "", "_low" or "_high". */
double figure_value(const cJSON *object, const Figure *figure, const char *suffix);
double figure_deviation(const cJSON *object, const Figure *figure);
double figure_published(const cJSON *spec, const Figure *figure); /* also NaN where figures_not_compared */
/* A sentence with published values that the spec has and that do not apply, because the job changed what they depend
 * on; NULL: there are none. Caller frees. */
char *figures_not_compared(const cJSON *spec);
bool figures_have_deviation(const cJSON *object); /* whether a table of them needs that column */

/* Copies all figures of a flat object, with their intervals and deviations, to the flat object `to`; names get the
 * prefix. */
void figures_copy(cJSON *to, const char *prefix, const cJSON *object);

/* "1.234", "[1.201, 1.260]" (empty without an interval). Each fills text and returns it. */
#define FIGURE_TEXT 64
const char *figure_print(const Figure *figure, double value, char text[FIGURE_TEXT]);
const char *figure_interval(const cJSON *object, const Figure *figure, char text[FIGURE_TEXT]);

/* "within the interval", "above the interval" or "below the interval"; "difference +0.060" without one; "" without a
 * published value. */
const char *figure_verdict(const cJSON *object, const Figure *figure, double published, char text[FIGURE_TEXT]);

/* The table for a terminal: one line per figure that `object` has, for its top level and then for its second pipeline
 * (object "tf", or names with tf_), and what is not compared. Adds nothing when there is none. */
void figures_table(Buf *text, const cJSON *object, const cJSON *spec);

#endif
