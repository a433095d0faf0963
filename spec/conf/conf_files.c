#include "spec/conf/conf_files.h"

#include <stdio.h>
#include <unistd.h>

#include "core/mem.h"
#include "spec/recipe.h"

static bool readable(const char *section, const char *name, const char *path, Err *err)
{
    return !path || access(path, R_OK) == 0 ||
           err_errno(err, "[%s%s%s] %s cannot be read on this machine (download it, or correct ddq.conf)", section,
                     *name ? " " : "", name, path);
}

static bool models(const Conf *conf, char ret_note[CONF_NOTE], Err *err)
{
    for (int i = 0; i < conf->model_count; i++) {
        const ConfModel *model = &conf->models[i];
        for (ModelRole role = 0; role < MODEL_ROLES; role++)
            if (!readable("model", model->name, model->files[role], err))
                return false;
    }
    snprintf(ret_note, CONF_NOTE, "%d, all files are there", conf->model_count);
    return true;
}

static bool references(const Conf *conf, char ret_note[CONF_NOTE], Err *err)
{
    if (!readable("inception", "", conf->inception, err))
        return false;
    for (int i = 0; i < conf->reference_count; i++) {
        const ConfReference *reference = &conf->references[i];
        if (!readable("reference", reference->name, conf_reference_path(reference), err) ||
            !readable("reference", reference->name, reference->inception, err))
            return false;
        if (!reference->inception && !conf->inception)
            return err_set(err, ERR_USAGE,
                           "[reference %s] has no network: set weights in [inception], or inception there",
                           reference->name);
    }
    snprintf(ret_note, CONF_NOTE, "%d, all files are there", conf->reference_count);
    return true;
}

static bool recipes(const Conf *conf, char ret_note[CONF_NOTE], Err *err)
{
    RecipeList list;
    if (!recipes_load(conf->recipes, &list, err))
        return false;
    snprintf(ret_note, CONF_NOTE, "%d", list.count);
    recipes_free(&list);
    return true;
}

static const ConfCheck checks[] = {{"models", models}, {"references", references}, {"recipes", recipes}};

const ConfCheck *conf_check(int index)
{
    return index >= 0 && index < (int)countof(checks) ? &checks[index] : NULL;
}
