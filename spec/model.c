#include "spec/model.h"

#include <string.h>

#include "core/mem.h"
#include "spec/jobspec.h"

static const struct {
    const char *name, *part, *help;
} roles[MODEL_ROLES] = {
    [ROLE_STUDENT] = {"student", "student_part",
                      "Checkpoint of the distilled model. A model has a student, a teacher or both."},
    [ROLE_TEACHER] = {"teacher", "teacher_part",
                      "Checkpoint of the autoregressive model that the student was distilled from."},
    [ROLE_TOKENIZER] = {"tokenizer", "tokenizer_part",
                        "Checkpoint of the tokenizer: codebook and decoder. Every model needs it."},
};

/* --- LlamaGen-DD ----------------------------------------------------------------------------------- */

/* With teacher_start_t the teacher draws, and whether the student runs too depends on the number of tokens, which the
 * worker knows. Without it only the student runs. */
static FileUse llamagen_dd_use(const JobSpec *spec, ModelRole role)
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

static const char *llamagen_dd_why(const JobSpec *spec, ModelRole role)
{
    (void)role;
    return spec->teacher_start_t >= 0 ? "teacher_start_t is set" : "teacher_start_t is not set";
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

static bool llamagen_dd_fits(const JobSpec *spec, const ModelSizes *sizes, Err *err)
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

static const ModelFamily families[] = {
    {"llamagen-dd",
     "a model is a tokenizer and a student, a teacher or both",
     {[ROLE_STUDENT] = FILE_OPTIONAL, [ROLE_TEACHER] = FILE_OPTIONAL, [ROLE_TOKENIZER] = FILE_REQUIRED},
     llamagen_dd_use,
     llamagen_dd_why,
     llamagen_dd_fits},
};

/* --- entry points ---------------------------------------------------------------------------------- */

const char *model_role_name(ModelRole role)
{
    return roles[role].name;
}

const char *model_role_help(ModelRole role)
{
    return roles[role].help;
}

const char *model_role_part(ModelRole role)
{
    return roles[role].part;
}

const ModelFamily *model_family_at(int i)
{
    return i >= 0 && (size_t)i < countof(families) ? &families[i] : NULL;
}

const ModelFamily *model_family(const char *name)
{
    for (size_t i = 0; i < countof(families); i++)
        if (!name || !*name || strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}

const char *model_family_word(const ModelFamily *family)
{
    return family == &families[0] ? NULL : family->name;
}

char *model_settings(const char *family, int heads, int grid, char *const parts[MODEL_ROLES])
{
    const ModelFamily *known = model_family(family);
    Buf text = {0};
    buf_printf(&text, "%s heads %d grid %d", known ? known->name : family, heads, grid);
    for (ModelRole role = 0; role < MODEL_ROLES; role++)
        if (parts[role])
            buf_printf(&text, " %s %s", model_role_part(role), parts[role]);
    return text.data;
}

bool model_check(const ModelFamily *family, char *const files[MODEL_ROLES], Err *err)
{
    bool optional = false, any = false;
    Buf missing = {0};
    for (ModelRole role = 0; role < MODEL_ROLES; role++) {
        if (files[role] && family->files[role] == FILE_UNUSED)
            return err_set(err, ERR_USAGE, "models of the family %s use no %s", family->name, roles[role].name);
        if (!files[role] && family->files[role] == FILE_REQUIRED)
            return err_set(err, ERR_USAGE, "no %s; %s", roles[role].name, family->help);
    }
    for (ModelRole role = 0; role < MODEL_ROLES; role++)
        if (family->files[role] == FILE_OPTIONAL) {
            buf_printf(&missing, "%s%s", optional ? " and no " : "", roles[role].name);
            optional = true;
            any = any || files[role];
        }
    bool good = any || !optional || err_set(err, ERR_USAGE, "no %s; %s", missing.data, family->help);
    buf_free(&missing);
    return good;
}

const char *model_main_file(char *const files[MODEL_ROLES])
{
    for (ModelRole role = 0; role < MODEL_ROLES; role++)
        if (files[role])
            return files[role];
    return NULL;
}
