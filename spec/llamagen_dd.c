/* The family LlamaGen-DD: a student, a teacher or both over a tokenizer. Its row in the table of families, and the
 * rules between the fields of its sampler (t_list, split_t, teacher_start_t). worker/models/llamagen_dd.c runs it. */
#include "spec/jobspec.h"
#include "spec/model.h"

/* With teacher_start_t the teacher draws, and whether the student runs too depends on the number of tokens, which the
 * worker knows. Without it only the student runs. */
static FileUse use_of(const JobSpec *spec, ModelRole role)
{
    bool teacher = spec->teacher_start_t >= 0;
    switch (role) {
    case ROLE_STUDENT:
        return teacher ? FILE_OPTIONAL : FILE_REQUIRED;
    case ROLE_TEACHER:
        return teacher ? FILE_REQUIRED : FILE_UNUSED;
    default:
        return FILE_REQUIRED;
    }
}

static const char *why(const JobSpec *spec, ModelRole role)
{
    (void)role;
    return spec->teacher_start_t >= 0 ? "teacher_start_t is set" : "teacher_start_t is not set";
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

static bool check(const JobSpec *spec, JobForm form, Err *err)
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

static bool tokens_fit(const JobSpec *spec, int tokens, Err *err)
{
    bool teacher = spec->teacher_start_t >= 0;
    int last = spec->t_count ? spec->t_list[spec->t_count - 1] : 0, most = teacher ? tokens : tokens - 1;
    if (last > most)
        return err_set(err, ERR_USAGE,
                       "job field t_list: %d is past the end, this model has %d tokens, so the last value may be %d",
                       last, tokens, most);
    if (spec->split_t > tokens)
        return err_set(err, ERR_USAGE,
                       "job field split_t: it is %d, wanted 0 to %d, the number of tokens of this model", spec->split_t,
                       tokens);
    if (spec->split_t < 0 && last < tokens)
        return err_set(err, ERR_USAGE,
                       "job field split_t: missing, and the student runs at t %d (the teacher alone has t_list 0,%d)",
                       last, tokens);
    return true;
}

static bool fits(const JobSpec *spec, const ModelSizes *sizes, Err *err)
{
    if (sizes->tokens && !tokens_fit(spec, sizes->tokens, err))
        return false;
    for (int i = 0; sizes->classes && spec->classes == CLASSES_LIST && i < spec->class_count; i++)
        if (spec->class_list[i] < 0 || spec->class_list[i] >= sizes->classes)
            return err_set(err, ERR_USAGE,
                           "job field classes: label %d at place %d, and the model has the classes 0 to %d",
                           spec->class_list[i], i, sizes->classes - 1);
    return true;
}

const ModelFamily model_llamagen_dd = {
    .name = "llamagen-dd",
    .help = "a model is a tokenizer and a student, a teacher or both",
    .files = {[ROLE_STUDENT] = FILE_OPTIONAL, [ROLE_TEACHER] = FILE_OPTIONAL, [ROLE_TOKENIZER] = FILE_REQUIRED},
    .use = use_of,
    .why = why,
    .check = check,
    .fits = fits,
};
