#include "spec/jobfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"

/* --- recipes ------------------------------------------------------------------------------------------------ */

static bool check_keys(const cJSON *recipe, const char *path, Err *err)
{
    static const char *const keys[] = {"name", "about", "source", "jobs", "ready", "why"};
    const cJSON *item;
    cJSON_ArrayForEach(item, recipe)
    {
        size_t i = 0;
        while (i < countof(keys) && strcmp(keys[i], item->string) != 0)
            i++;
        char meant[MEANT_TEXT];
        if (i == countof(keys))
            return err_set(err, ERR_USAGE, "%s: a recipe has no key '%.60s'%s It has about, source and jobs", path,
                           item->string, nearest_meant(nearest_name(item->string, keys, countof(keys)), meant));
    }
    return true;
}

/* "recipes/digits-2step.json" is digits-2step. */
static char *stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    bool json = len > 5 && strcmp(name + len - 5, ".json") == 0;
    return xasprintf("%.*s", (int)(json ? len - 5 : len), name);
}

static bool from_recipe(const cJSON *recipe, const char *path, cJSON **ret_jobs, Err *err)
{
    const cJSON *jobs = cJSON_GetObjectItemCaseSensitive(recipe, "jobs");
    cJSON *job;
    if (!check_keys(recipe, path, err))
        return false;
    if (!cJSON_IsArray(jobs) || !jobs->child)
        return err_set(err, ERR_USAGE, "%s: the recipe's jobs are no list of at least one job", path);
    char *name = *json_text(recipe, "name", "") ? xstrdup(json_text(recipe, "name", "")) : stem(path);
    *ret_jobs = cJSON_Duplicate(jobs, true);
    cJSON_ArrayForEach(job, *ret_jobs)
    {
        if (!cJSON_IsObject(job))
            continue; /* the job's reader says so */
        cJSON_DeleteItemFromObjectCaseSensitive(job, "recipe");
        cJSON_AddStringToObject(job, "recipe", name);
    }
    free(name);
    return true;
}

/* --- what a job left ---------------------------------------------------------------------------------------- */

static bool from_mark(const cJSON *mark, JobForm form, const char *path, cJSON **ret_jobs, Err *err)
{
    const cJSON *submitted = cJSON_GetObjectItemCaseSensitive(mark, "submitted");
    const cJSON *asked = cJSON_GetObjectItemCaseSensitive(submitted, "spec");
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(mark, "spec");
    const bool made_by_worker = cJSON_HasObjectItem(mark, "identity");
    if (form == FORM_QUEUED && cJSON_IsObject(asked))
        spec = asked;
    else if (form == FORM_QUEUED && made_by_worker)
        return err_set(err, ERR_USAGE,
                       "%s: `ddq-worker exec` made this job, from files; a queued job names a model. Run it again with "
                       "ddq-worker exec %s",
                       path, path);
    else if (form == FORM_EXEC && !made_by_worker)
        return err_set(err, ERR_USAGE,
                       "%s: this is a queued job, which ddq submit takes; exec takes one that names files", path);
    *ret_jobs = cJSON_CreateArray();
    cJSON_AddItemToArray(*ret_jobs, cJSON_Duplicate(spec, true));
    return true;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static bool read_shape(cJSON *value, JobForm form, const char *path, cJSON **ret_jobs, Err *err)
{
    const cJSON *recipes = cJSON_GetObjectItemCaseSensitive(value, "recipes");
    if (cJSON_IsArray(value) && value->child) {
        *ret_jobs = cJSON_Duplicate(value, true);
        return true;
    }
    if (cJSON_IsArray(recipes))
        return err_set(err, ERR_USAGE, "%s holds %d recipes; name one: ddq recipes NAME prints it", path,
                       cJSON_GetArraySize(recipes));
    if (!cJSON_IsObject(value))
        return err_set(err, ERR_USAGE, "%s is not a job: wanted one JSON object, or a list of them", path);
    /* No field of a job is called so. */
    if (cJSON_HasObjectItem(value, "jobs"))
        return from_recipe(value, path, ret_jobs, err);
    if (cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(value, "spec")))
        return from_mark(value, form, path, ret_jobs, err);
    *ret_jobs = cJSON_CreateArray();
    cJSON_AddItemToArray(*ret_jobs, cJSON_Duplicate(value, true));
    return true;
}

bool jobfile_jobs(cJSON *value, JobForm form, const char *path, cJSON **ret_jobs, Err *err)
{
    bool ok = read_shape(value, form, path, ret_jobs, err);
    cJSON_Delete(value);
    return ok;
}

char *jobfile_path(const char *path)
{
    struct stat st;
    const bool folder = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    return folder ? xasprintf("%s/job.json", path) : xstrdup(path);
}
