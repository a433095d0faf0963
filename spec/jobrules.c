/* What depends on the model's sizes is checked when it is loaded, what depends on the reference when it is opened. */
#include "spec/jobspec_parts.h"

#include <stdlib.h>

unsigned jobrules_metrics(const JobSpec *spec)
{
    JobMeasures measures = jobkind_of(spec->kind)->measures;
    bool compares = measures == MEASURES_ALWAYS || (measures == MEASURES_IF_ASKED && spec->reference);
    return compares ? METRIC_FID : 0;
}

static bool check_teacher(const JobSpec *spec, JobForm form, Err *err)
{
    if (spec->teacher_start_t < 0)
        return true;
    if (spec->t_count != 2)
        return err_set(
            err, ERR_USAGE,
            "job field t_list: %d value%s, wanted two with teacher_start_t: 0 and the step at which the student "
            "takes over (L: only the teacher runs)",
            spec->t_count, spec->t_count == 1 ? "" : "s");
    if (spec->teacher_start_t >= spec->t_list[1])
        return err_set(err, ERR_USAGE,
                       "job field teacher_start_t: %d, wanted less than %d, the last of t_list: the teacher draws "
                       "the tokens between the two",
                       spec->teacher_start_t, spec->t_list[1]);
    if (form == FORM_EXEC && !spec->files[ROLE_TEACHER])
        return err_set(err, ERR_USAGE, "job field teacher: missing, and teacher_start_t %d needs it",
                       spec->teacher_start_t);
    return true;
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

static bool check_sampler(const JobSpec *spec, JobForm form, Err *err)
{
    bool student_is_optional = spec->teacher_start_t == 0; /* whether it runs depends on L */
    if (spec->split_t < 0 && !student_is_optional)
        return err_set(
            err, ERR_USAGE,
            "job field split_t: missing, and a sample job needs it: tokens before it come from the codebook, "
            "the others from the continuous head");
    if (!check_teacher(spec, form, err))
        return false;
    if (form == FORM_EXEC && !spec->files[ROLE_STUDENT] && !student_is_optional)
        return err_set(
            err, ERR_USAGE,
            "job field student: missing, and it is optional only where the teacher runs alone (teacher_start_t 0)");
    return true;
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
    const JobKindRow *kind = jobkind_of(spec->kind);
    if (kind->uses_model && !check_sampler(spec, form, err))
        return false;
    return form == FORM_QUEUED || check_network(spec, err);
}
