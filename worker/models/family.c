#include "worker/models/family.h"

#include <string.h>

#include "core/mem.h"

static const Family *const families[] = {&family_llamagen_dd};

const Family *family_find(const char *name, Err *err)
{
    const ModelFamily *known = model_family(name);
    for (size_t i = 0; known && i < countof(families); i++)
        if (strcmp(families[i]->name, known->name) == 0)
            return families[i];
    err_set(err, ERR_USAGE, "job field family: this worker has no model family '%s'", name);
    return NULL;
}

ModelFiles family_files(const JobSpec *spec, int grid)
{
    ModelFiles files = {.heads = spec->heads, .grid = spec->grid ? spec->grid : grid};
    const ModelFamily *family = model_family(spec->family);
    for (ModelRole role = 0; family && role < MODEL_ROLES; role++)
        if (family->use(spec, role) != FILE_UNUSED) {
            files.files[role] = spec->files[role];
            files.parts[role] = spec->parts[role];
        }
    return files;
}

void model_close(Model *model)
{
    if (model)
        model->family->close(model);
}
