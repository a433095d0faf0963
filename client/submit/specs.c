#include "client/submit/specs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobfile.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"
#include "spec/recipe.h"

enum { FILE_MAX = 4 << 20 }; /* bytes; a list of 100,000 classes fits */

/* --- where the jobs come from --------------------------------------------------------------------------- */

static bool parse_jobs(const char *text, const char *name, cJSON **ret_jobs, Err *err)
{
    if (!*text)
        return err_set(err, ERR_USAGE, "%s is empty, wanted a job as JSON", name);
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithOpts(text, &end, true);
    if (value)
        return jobfile_jobs(value, FORM_QUEUED, name, ret_jobs, err);
    int line = 1;
    for (const char *c = text; end && c < end; c++)
        line += *c == '\n';
    return err_set(err, ERR_USAGE, "%s is not JSON at line %d, near \"%.30s\"", name, line, end ? end : "");
}

/* path "-": standard input. */
static bool from_path(const char *path, cJSON **ret_jobs, Err *err)
{
    char *text = NULL, *file = jobfile_path(path);
    bool ok = file_read_text_or_stdin("job file", file, FILE_MAX, &text, err) &&
              parse_jobs(text, strcmp(path, "-") == 0 ? "stdin" : file, ret_jobs, err);
    free(text);
    free(file);
    return ok;
}

static bool from_recipe(Cmd *cmd, const char *name, cJSON **ret_jobs, Err *err)
{
    const Conf *conf;
    RecipeList list;
    if (!cmd_conf(cmd, &conf, err) || !recipes_load(conf->recipes, &list, err))
        return false;
    const Recipe *recipe = recipe_find(&list, name);
    if (recipe) {
        *ret_jobs = cJSON_Duplicate(recipe->jobs, true);
    } else if (access(name, F_OK) == 0) {
        recipes_free(&list);
        return from_path(name, ret_jobs, err);
    } else {
        const char **names = xcalloc((size_t)list.count + 1, sizeof *names);
        for (int i = 0; i < list.count; i++)
            names[i] = list.items[i].name;
        char meant[MEANT_TEXT];
        err_set(err, ERR_USAGE, "no recipe and no file '%.80s'%s `ddq recipes` lists the recipes", name,
                nearest_meant(nearest_name(name, names, list.count), meant));
        free(names);
    }
    recipes_free(&list);
    return recipe != NULL;
}

static bool read_source(Cmd *cmd, cJSON **ret_jobs, Err *err)
{
    if (!cmd->arg_count && !cmd->field_count)
        return err_set(
            err, ERR_USAGE,
            "ddq %s: no job given; name a recipe (`ddq recipes`) or a JSON file, - for stdin, or flags such as "
            "--model digits --t-list 0,20 --split-t 20 --images 64",
            cmd->verb->name);
    if (!cmd->arg_count) {
        *ret_jobs = cJSON_CreateArray();
        cJSON_AddItemToArray(*ret_jobs, cJSON_CreateObject());
        return true;
    }
    const char *word = cmd->args[0], *dot = strrchr(word, '.');
    if (strcmp(word, "-") == 0 || strchr(word, '/') || (dot && strcmp(dot, ".json") == 0))
        return from_path(word, ret_jobs, err);
    return from_recipe(cmd, word, ret_jobs, err);
}

/* --- flags on top --------------------------------------------------------------------------------------- */

static bool apply_flags(const Cmd *cmd, const Sweep *sweep, int point, cJSON *job, Err *err)
{
    for (int pass = 0; pass < 2; pass++) /* kind first: it decides which values the others may have */
        for (int i = 0; i < cmd->field_count; i++) {
            const FlagValue *flag = &cmd->fields[i];
            if ((strcmp(flag->name, "kind") == 0) == (pass == 0) &&
                !jobspec_set_text(job, flag->name, flag->value, err))
                return false;
        }
    return sweep_apply(sweep, point, job, err);
}

/* The daemon resolves relative paths below its output root, so a file that exists here gets its absolute path. */
static void make_absolute(cJSON *job)
{
    const char *field;
    for (int i = 0; (field = jobspec_field_name(i)); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(job, field);
        if (!jobspec_field_has(field, LOCAL_FILE) || !cJSON_IsString(value) || value->valuestring[0] == '/' ||
            !value->valuestring[0])
            continue;
        char *here = getcwd(NULL, 0), *path = xasprintf("%s/%s", here ? here : "", value->valuestring);
        if (access(path, F_OK) == 0)
            cJSON_ReplaceItemInObjectCaseSensitive(job, field, cJSON_CreateString(path));
        free(path);
        free(here);
    }
}

/* A copy with every field that it does not state; NULL with an error. */
static cJSON *whole_of(const cJSON *job, Err *err)
{
    JobSpec *spec;
    if (!jobspec_parse(job, FORM_QUEUED, &spec, err))
        return NULL;
    cJSON *whole = jobspec_to_json(spec, FORM_QUEUED);
    jobspec_free(spec);
    return whole;
}

static bool complete(const Cmd *cmd, const Sweep *sweep, int point, cJSON *job, cJSON **ret_job, Err *err)
{
    if (!cJSON_IsObject(job))
        return err_set(err, ERR_USAGE, "not a JSON object");
    cJSON *recipe = cJSON_HasObjectItem(job, "recipe") ? whole_of(job, NULL) : NULL;
    bool good = apply_flags(cmd, sweep, point, job, err);
    if (good) {
        make_absolute(job);
        *ret_job = whole_of(job, err);
        good = *ret_job != NULL;
    }
    char *changed = good && recipe ? jobspec_changes(recipe, *ret_job) : NULL;
    if (changed)
        cJSON_AddStringToObject(*ret_job, "changed", changed);
    free(changed);
    cJSON_Delete(recipe);
    return good;
}

bool specs_read(Cmd *cmd, const Sweep *sweep, cJSON **ret_jobs, Err *err)
{
    cJSON *raw;
    if (!read_source(cmd, &raw, err))
        return false;
    cJSON *jobs = cJSON_CreateArray();
    int count = cJSON_GetArraySize(raw), points = sweep_points(sweep);
    bool ok = true;
    if (sweep && count != 1)
        ok = err_set(err, ERR_USAGE, "--sweep varies one job, but there are %d", count);
    for (int i = 0; ok && i < count * points; i++) {
        cJSON *job = cJSON_Duplicate(cJSON_GetArrayItem(raw, i / points), true), *whole = NULL;
        ok = complete(cmd, sweep, i % points, job, &whole, err);
        cJSON_Delete(job);
        if (ok)
            cJSON_AddItemToArray(jobs, whole);
        else if (count > 1)
            err_wrap(err, "job %d of %d", i + 1, count);
    }
    cJSON_Delete(raw);
    if (ok)
        *ret_jobs = jobs;
    else
        cJSON_Delete(jobs);
    return ok;
}
