/* How the classes of the images were chosen, which the numbers depend on. The same model gives another FID with labels
 * drawn at random than with the same number of each. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/mem.h"
#include "worker/report/parts.h"

/* The number of classes of the model, from the shards; 0: older shards do not have it. */
int reporting_classes(const Reporting *r)
{
    const cJSON *classes = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(r->made, 0), "classes");
    return cJSON_IsNumber(classes) && classes->valuedouble > 0 && classes->valuedouble < 1e7 ? (int)classes->valuedouble
                                                                                             : 0;
}

typedef struct Spread {
    int classes; /* that any image has */
    int64_t least, most;
} Spread;

static Spread spread_of(const Reporting *r, int classes)
{
    Spread spread = {.least = INT64_MAX};
    int64_t *counts = xcalloc((size_t)classes, sizeof *counts);
    for (int64_t i = 0; i < r->run->images; i++) {
        int64_t label = inputs_label(&r->run->inputs, i, classes);
        if (label >= 0 && label < classes)
            counts[label]++;
    }
    for (int c = 0; c < classes; c++) {
        if (!counts[c])
            continue;
        spread.classes++;
        spread.least = counts[c] < spread.least ? counts[c] : spread.least;
        spread.most = counts[c] > spread.most ? counts[c] : spread.most;
    }
    free(counts);
    return spread;
}

static char *rule_of(const JobSpec *spec)
{
    if (spec->labels)
        return xasprintf("from the file %s", spec->labels);
    if (spec->classes == CLASSES_LIST)
        return xasprintf("a list of %d, repeated", spec->class_count);
    return xstrdup(spec->classes == CLASSES_BALANCED ? "balanced: image i has class i modulo the number of classes"
                                                     : "uniform: drawn by seed and index");
}

char *reporting_labels(Reporting *r)
{
    const JobSpec *spec = r->run->spec;
    if (!jobkind_of(spec->kind)->makes_images)
        return NULL;
    char *rule = rule_of(spec);
    const int classes = reporting_classes(r);
    if (!classes)
        return rule;
    Spread spread = spread_of(r, classes);
    char *text = spread.least == spread.most ? xasprintf("%s; %d of %d classes, %" PRId64 " images each", rule,
                                                         spread.classes, classes, spread.most)
                                             : xasprintf("%s; %d of %d classes, %" PRId64 " to %" PRId64 " images each",
                                                         rule, spread.classes, classes, spread.least, spread.most);
    free(rule);
    bool drawn = !spec->labels && spec->classes == CLASSES_UNIFORM; /* always unequal, and reported above */
    if (r->measured->child && !drawn && spread.most > spread.least + 1)
        run_note(r->run, r->hooks,
                 "classes are unequal, %" PRId64 " to %" PRId64 " images each: the FID is that of this mixture",
                 spread.least, spread.most);
    return text;
}
