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

static const ModelFamily *const families[] = {&model_llamagen_dd};

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
    return i >= 0 && (size_t)i < countof(families) ? families[i] : NULL;
}

const ModelFamily *model_family(const char *name)
{
    for (size_t i = 0; i < countof(families); i++)
        if (!name || !*name || strcmp(families[i]->name, name) == 0)
            return families[i];
    return NULL;
}

const char *model_family_word(const ModelFamily *family)
{
    return family == families[0] ? NULL : family->name;
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
