/* Rules that all models share; those between the fields of a family's sampler are in the family's file
 * (ModelFamily.check). What depends on the model's sizes is checked when it is loaded, what depends on the reference
 * when it is opened. */
#include "spec/jobspec_parts.h"

#include <stdlib.h>

#include "spec/model.h"

unsigned jobrules_metrics(const JobSpec *spec)
{
    JobMeasures measures = jobkind_of(spec->kind)->measures;
    bool compares = measures == MEASURES_ALWAYS || (measures == MEASURES_IF_ASKED && spec->reference);
    return compares ? METRIC_FID : 0;
}

static bool check_metrics(const JobSpec *spec, Err *err)
{
    JobMeasures measures = jobkind_of(spec->kind)->measures;
    if (measures == MEASURES_NOTHING)
        return true;
    if (measures == MEASURES_ALWAYS && !spec->metrics)
        return err_set(err, ERR_USAGE,
                       "job field metrics: empty, and an evaluate job needs at least one of" METRIC_WORDS_TEXT);
    if (!(spec->metrics & METRICS_OF_REFERENCE) || spec->reference)
        return true;
    char *alone = metric_list(METRICS_ALL & ~METRICS_OF_REFERENCE, ", ");
    err_set(err, ERR_USAGE,
            "job field reference: missing, and metrics %s needs it to compare with; without a reference metrics may "
            "be: %s",
            metric_word(spec->metrics & METRICS_OF_REFERENCE), alone);
    free(alone);
    return false;
}

/* In the queued form the daemon finds the network. */
static bool check_network(const JobSpec *spec, Err *err)
{
    if (spec->inception)
        return true;
    if (spec->reference)
        return err_set(err, ERR_USAGE, "job field inception: missing, and reference needs it to measure the FID");
    if (spec->metrics)
        return err_set(err, ERR_USAGE, "job field inception: missing, and metrics %s needs it",
                       metric_word(spec->metrics));
    if (spec->save & SAVE_FEATURES)
        return err_set(err, ERR_USAGE, "job field inception: missing, and save features needs it");
    return true;
}

bool jobrules_check(const JobSpec *spec, JobForm form, Err *err)
{
    if (!check_metrics(spec, err))
        return false;
    const ModelFamily *family = model_family(spec->family); /* the worker refuses one that it does not know */
    if (jobkind_of(spec->kind)->uses_model && family && !family->check(spec, form, err))
        return false;
    return form == FORM_QUEUED || check_network(spec, err);
}
