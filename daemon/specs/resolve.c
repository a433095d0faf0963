/* All checks against hostile paths in specs; tests/daemon/test_resolve.c lists the attacks. */
#include "daemon/specs/resolve.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"
#include "spec/references.h"
#include "spec/roots.h"

/* --- paths ------------------------------------------------------------------------------------------ */

/* "ada/k3f9": path components that are names, so no "..", no absolute path and no hidden folder. */
static bool folder_ok(const char *folder)
{
    bool start = true;
    for (const char *c = folder; *c; c++) {
        if ((start && (*c == '.' || *c == '/')) || (unsigned char)*c < 32)
            return false;
        start = *c == '/';
    }
    return folder[0] && !start;
}

/* The real path of the deepest part of `path` that exists. */
static bool existing_part(const char *path, char ret_real[PATH_MAX])
{
    char *copy = xstrdup(path), *slash;
    bool found = realpath(copy, ret_real) != NULL;
    while (!found && errno == ENOENT && (slash = strrchr(copy, '/')) && slash != copy) {
        *slash = 0;
        found = realpath(copy, ret_real) != NULL;
    }
    free(copy);
    return found;
}

bool resolve_output(const char *output_root, const char *folder, char **ret_path, Err *err)
{
    char root[PATH_MAX], real[PATH_MAX];
    if (!folder || !folder_ok(folder))
        return err_set(err, ERR_PERMISSION, "output folder '%s' is no name below the output root",
                       folder ? folder : "");
    if (!realpath(output_root, root)) {
        err_errno(err, "output root %s", output_root);
        if (err && err->kind == ERR_NOT_FOUND)
            err->kind = ERR_IO; /* a person must fix it, and the job can wait */
        return false;
    }
    char *path = xasprintf("%s/%s", root, folder);
    bool ok = existing_part(path, real) || err_errno(err, "output folder %s", path);
    if (ok && !roots_below(real, root))
        ok = err_set(err, ERR_PERMISSION,
                     "output folder %s leads to %s, outside the output root %s: a symbolic link stands "
                     "in the way; remove it",
                     path, real, root);
    if (ok)
        *ret_path = path;
    else
        free(path);
    return ok;
}

/* --- names ------------------------------------------------------------------------------------------ */

static void set(char **field, const char *text)
{
    free(*field);
    *field = text ? xstrdup(text) : NULL;
}

static bool use_model(const Conf *conf, JobSpec *spec, Err *err)
{
    const ConfModel *model = conf_model(conf, spec->model);
    if (!model) {
        const char **names = xcalloc((size_t)conf->model_count + 1, sizeof *names);
        for (int i = 0; i < conf->model_count; i++)
            names[i] = conf->models[i].name;
        const char *near = nearest_name(spec->model, names, conf->model_count);
        err_set(err, ERR_NOT_FOUND, "no model '%s' on host %s%s%s%s; its ddq.conf needs a section [model %s]",
                spec->model, conf->host, near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "",
                spec->model);
        free(names);
        return false;
    }
    const ModelFamily *family = model_family(model->family);
    for (ModelRole role = 0; role < MODEL_ROLES; role++) {
        FileUse use = family->use(spec, role);
        if (use == FILE_REQUIRED && !model->files[role])
            return err_set(err, ERR_NOT_FOUND, "the job needs a %s (%s), and [model %s] of host %s has none",
                           model_role_name(role), family->why(spec, role), model->name, conf->host);
        set(&spec->files[role], use == FILE_UNUSED ? NULL : model->files[role]);
        set(&spec->parts[role], use == FILE_UNUSED ? NULL : model->parts[role]);
    }
    set(&spec->family, model_family_word(family));
    spec->heads = model->heads;
    spec->grid = model->grid;
    return true;
}

/* The reference's pipeline applies where the job names none; where both name one they must agree. */
static bool use_pipeline(const char *name, const char *pipeline, JobSpec *spec, Err *err)
{
    JobPipeline stated = pipeline && strcmp(pipeline, "tf") == 0 ? PIPELINE_TF : PIPELINE_PT;
    if (!pipeline || !*pipeline || spec->pipeline == stated)
        return true;
    if (spec->pipeline != PIPELINE_AUTO)
        return err_set(err, ERR_USAGE,
                       "job field pipeline: the reference %s is of the %s pipeline alone; leave the "
                       "field out, or take another reference",
                       name, pipeline);
    spec->pipeline = stated;
    return true;
}

/* A user wrote its path, so it must be where jobs may read (use_inputs). */
static bool use_registered(const cJSON *entry, ResolvePaths *paths, Err *err)
{
    JobSpec *spec = paths->spec;
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "path"));
    const char *pipeline = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "pipeline"));
    if (!path || path[0] != '/')
        return err_set(err, ERR_FORMAT, "reference %s: its entry has no path", spec->reference);
    if (!use_pipeline(spec->reference, pipeline, spec, err))
        return false;
    set(&spec->reference, path);
    paths->registered = true;
    return true;
}

static bool use_named(const Resolve *resolve, ResolvePaths *paths, const char **inception, Err *err)
{
    JobSpec *spec = paths->spec;
    const Conf *conf = resolve->conf;
    const Offers offers = {conf, resolve->registry, resolve->facts};
    const ConfReference *reference = conf_reference(conf, spec->reference);
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(resolve->registry, spec->reference);
    if (!reference && !entry)
        return err_set(
            err, ERR_NOT_FOUND,
            "no reference '%s' on host %s; its ddq.conf needs a section [reference %s], or register one with "
            "`ddq refs add`",
            spec->reference, conf->host, spec->reference);
    *inception = offers_network(&offers, spec->reference, err);
    if (!*inception)
        return false;
    if (!reference)
        return use_registered(entry, paths, err);
    if (!use_pipeline(reference->name, reference->pipeline, spec, err))
        return false;
    set(&spec->reference, conf_reference_path(reference));
    return true;
}

static bool use_reference(const Resolve *resolve, ResolvePaths *paths, Err *err)
{
    JobSpec *spec = paths->spec;
    const Conf *conf = resolve->conf;
    const char *inception = conf->inception;
    if (spec->reference && !use_named(resolve, paths, &inception, err))
        return false;
    bool wanted = spec->reference || jobspec_needs_network(spec);
    if (wanted && !inception)
        return err_set(err, ERR_NOT_FOUND,
                       "features need the Inception network, and ddq.conf of host %s has no 'weights' "
                       "in [inception]",
                       conf->host);
    set(&spec->inception, wanted ? inception : NULL);
    return true;
}

/* Names of the configuration and of other users are refused. */
static bool use_registration(const Resolve *resolve, JobSpec *spec, Err *err)
{
    const char *name = spec->register_as;
    if (!name)
        return true;
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(resolve->registry, name);
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "user"));
    if (!references_name_ok(name))
        return err_set(err, ERR_USAGE, "job field register: '%s' cannot be the name of a reference", name);
    if (conf_reference(resolve->conf, name))
        return err_set(err, ERR_USAGE,
                       "job field register: ddq.conf of host %s has a [reference %s]; take another name",
                       resolve->conf->host, name);
    if (entry && (!user || strcmp(user, resolve->user) != 0))
        return err_set(err, ERR_USAGE, "job field register: the reference %s belongs to %s; take another name", name,
                       user ? user : "somebody else");
    char *folder = references_folder(resolve->conf->output_root), *path = xasprintf("%s/%s", folder, name);
    set(&spec->register_as, path);
    set(&spec->owner, resolve->user);
    free(folder);
    free(path);
    return true;
}

/* --- the two steps ---------------------------------------------------------------------------------- */

bool resolve_names(const Resolve *resolve, const cJSON *queued, ResolvePaths *ret_paths, Err *err)
{
    const Conf *conf = resolve->conf;
    ResolvePaths paths = {0};
    if (!jobspec_parse(queued, FORM_QUEUED, &paths.spec, err))
        return false;
    if ((jobkind_of(paths.spec->kind)->uses_model && !use_model(conf, paths.spec, err)) ||
        !use_reference(resolve, &paths, err) || !use_registration(resolve, paths.spec, err)) {
        resolve_paths_done(&paths);
        return false;
    }
    set(&paths.spec->device, resolve->device);
    set(&paths.output_root, conf->output_root);
    set(&paths.input_roots, conf->input_roots);
    set(&paths.folder, resolve->folder);
    *ret_paths = paths;
    return true;
}

static bool use_input(const ResolvePaths *paths, const char *field, char **place, Err *err)
{
    char *real = NULL;
    if (!*place)
        return true;
    if (!roots_resolve(paths->output_root, paths->input_roots, *place, &real, err))
        return err_wrap(err, "job field %s", field);
    free(*place);
    *place = real;
    return true;
}

/* The paths that the user wrote, and that of a registered reference, which another user wrote. */
static bool use_inputs(const ResolvePaths *paths, Err *err)
{
    const char *field;
    char **place;
    for (int i = 0; (place = jobspec_path(paths->spec, FORM_QUEUED, LOCAL_FILE, i, &field)); i++)
        if (!use_input(paths, field, place, err))
            return false;
    return !paths->registered || use_input(paths, "reference", &paths->spec->reference, err);
}

bool resolve_paths(const ResolvePaths *paths, cJSON **ret_exec, Err *err)
{
    char *output = NULL;
    bool ok = use_inputs(paths, err) && resolve_output(paths->output_root, paths->folder, &output, err);
    if (ok) {
        set(&paths->spec->output, output);
        *ret_exec = jobspec_to_json(paths->spec, FORM_EXEC);
    }
    free(output);
    return ok;
}

void resolve_paths_done(ResolvePaths *paths)
{
    jobspec_free(paths->spec);
    free(paths->output_root);
    free(paths->input_roots);
    free(paths->folder);
    *paths = (ResolvePaths){0};
}

bool resolve_spec(const Resolve *resolve, const cJSON *queued, cJSON **ret_exec, Err *err)
{
    ResolvePaths paths;
    if (!resolve_names(resolve, queued, &paths, err))
        return false;
    bool ok = resolve_paths(&paths, ret_exec, err);
    resolve_paths_done(&paths);
    return ok;
}
