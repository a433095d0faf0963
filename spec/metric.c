#include "spec/metric.h"

#include <stddef.h>

#define WORD(name, word, needs)  #word,
#define NEEDS(name, word, needs) needs,

const char *const metric_words[METRIC_COUNT + 1] = {METRIC_ROWS(WORD) NULL};
static const unsigned metric_needs[METRIC_COUNT] = {METRIC_ROWS(NEEDS)};

#define KEY(metric, key, title, label, deviation, published, digits, more) {metric, key, deviation},
static const struct {
    unsigned metric;
    const char *key, *deviation;
} figures[] = {FIGURE_ROWS(KEY)};

const char *metric_word(unsigned metrics)
{
    int i = 0;
    while (i + 1 < METRIC_COUNT && !(metrics & 1u << i))
        i++;
    return metric_words[i];
}

char *metric_list(unsigned metrics, const char *between)
{
    Buf text = {0};
    buf_printf(&text, "%s", "");
    for (int i = 0; i < METRIC_COUNT; i++)
        if (metrics & 1u << i)
            buf_printf(&text, "%s%s", text.len ? between : "", metric_words[i]);
    return text.data;
}

static const char *reference_needed(unsigned needs)
{
    if (!(needs & NEEDS_REFERENCE))
        return "nothing";
    if (needs & NEEDS_BOTH_ROWS)
        return "images, or ADM's .npz, which has them";
    if (needs & NEEDS_SPATIAL)
        return "mean and covariance of spatial features: ADM's .npz, or images";
    return "mean and covariance";
}

void metrics_print(Buf *text)
{
    buf_printf(text, "\n## metrics\n\n| word | figures | needs of the reference |\n|---|---|---|\n");
    for (int i = 0; i < METRIC_COUNT; i++) {
        buf_printf(text, "| `%s` |", metric_words[i]);
        const char *between = " ";
        for (size_t f = 0; f < countof(figures); f++) {
            if (figures[f].metric != 1u << i)
                continue;
            buf_printf(text, "%s`%s`", between, figures[f].key);
            between = ", ";
            if (figures[f].deviation)
                buf_printf(text, ", `%s`", figures[f].deviation);
        }
        buf_printf(text, " | %s |\n", reference_needed(metric_needs[i]));
    }
}
