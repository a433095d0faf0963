/* Recipes: *.json files of up to three folders. A name found in an earlier folder hides the same name in a later one,
 * so a lab can replace a recipe with its own. Each job is checked when the file is read: a recipe that is listed can
 * be submitted. To add a recipe, add a file. */
#include "spec/recipe.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/datadir.h"
#include "core/file.h"
#include "core/mem.h"
#include "spec/jobspec.h"

#define RECIPE_MAX (1 << 20) /* bytes of a file */

/* A copy of a key's text; any other value is an error. */
static bool take_text(const cJSON *object, const char *key, char **ret_text, Err *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsString(value) || !value->valuestring[0])
        return err_set(err, ERR_FORMAT, "%s is %s, wanted a sentence", key, value ? "not a text" : "missing");
    *ret_text = xstrdup(value->valuestring);
    return true;
}

/* `name`, `ready` and `why` are what `ddq recipes --json` adds: the file's name counts. */
static bool check_keys(const cJSON *object, Err *err)
{
    static const char *const keys[] = {"about", "source", "jobs", "name", "ready", "why"};
    if (!cJSON_IsObject(object))
        return err_set(err, ERR_FORMAT, "not a JSON object with about, source and jobs");
    for (const cJSON *item = object->child; item; item = item->next) {
        size_t i = 0;
        while (i < countof(keys) && strcmp(keys[i], item->string) != 0)
            i++;
        if (i == countof(keys)) {
            const char *nearest = nearest_name(item->string, keys, countof(keys));
            return err_set(err, ERR_FORMAT, "unknown key '%s'%s%s%s", item->string, nearest ? ". Did you mean '" : "",
                           nearest ? nearest : "", nearest ? "'?" : "");
        }
    }
    return true;
}

static bool check_jobs(const cJSON *jobs, const char *recipe, Err *err)
{
    if (!cJSON_IsArray(jobs) || !jobs->child)
        return err_set(err, ERR_FORMAT, "jobs is %s, wanted a list of at least one job",
                       jobs ? "empty or no list" : "missing");
    int i = 0;
    for (cJSON *job = jobs->child; job; job = job->next, i++) {
        JobSpec *spec;
        if (!jobspec_parse(job, FORM_QUEUED, &spec, err))
            return err_wrap(err, "jobs[%d]", i);
        jobspec_free(spec);
        cJSON_DeleteItemFromObjectCaseSensitive(job, "recipe");
        cJSON_AddStringToObject(job, "recipe", recipe);
    }
    return true;
}

static void recipe_free(Recipe *recipe)
{
    free(recipe->name);
    free(recipe->about);
    free(recipe->source);
    cJSON_Delete(recipe->jobs);
}

static bool recipe_read(const char *path, const char *name, Recipe *ret_recipe, Err *err)
{
    char *text = NULL;
    file_read_text("recipe", path, RECIPE_MAX, &text, err);
    if (!text)
        return false;
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithOpts(text, &end, true);
    Recipe recipe = {.name = xstrdup(name)};
    bool ok;
    if (!*text) {
        ok = err_set(err, ERR_FORMAT, "0 bytes, wanted JSON text");
    } else if (!object) {
        int line = 1;
        for (const char *c = text; c < end; c++)
            line += *c == '\n';
        ok = err_set(err, ERR_FORMAT, "not JSON at line %d", line);
    } else {
        ok = check_keys(object, err) && take_text(object, "about", &recipe.about, err) &&
             take_text(object, "source", &recipe.source, err) &&
             check_jobs(cJSON_GetObjectItemCaseSensitive(object, "jobs"), name, err);
    }
    if (ok) {
        recipe.jobs = cJSON_DetachItemFromObjectCaseSensitive(object, "jobs");
        *ret_recipe = recipe;
    } else {
        err_wrap(err, "recipe %s", path);
        recipe_free(&recipe);
    }
    cJSON_Delete(object);
    free(text);
    return ok;
}

/* *ret_files: how many recipes are there, also those whose name is taken already. */
static bool folder_load(const char *folder, RecipeList *list, int *ret_files, Err *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return err_errno(err, "recipes folder %s", folder);
    bool ok = true;
    struct dirent *entry;
    *ret_files = 0;
    while (ok && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || len <= 5 || strcmp(entry->d_name + len - 5, ".json") != 0)
            continue;
        ++*ret_files;
        char *name = xasprintf("%.*s", (int)(len - 5), entry->d_name);
        char *path = xasprintf("%s/%s", folder, entry->d_name);
        if (!recipe_find(list, name)) {
            list->items = xrealloc(list->items, (size_t)(list->count + 1) * sizeof *list->items);
            ok = recipe_read(path, name, &list->items[list->count], err);
            list->count += ok;
        }
        free(path);
        free(name);
    }
    closedir(dir);
    return ok;
}

/* The recipes that come with ddq: a folder without any is a broken installation. */
static bool own_load(const char *folder, RecipeList *list, Err *err)
{
    int files;
    if (!folder_load(folder, list, &files, err))
        return err_wrap(err, "the recipes that come with ddq");
    return files > 0 ||
           err_set(err, ERR_NOT_FOUND, "the recipes that come with ddq: recipes folder %s contains none", folder);
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(((const Recipe *)a)->name, ((const Recipe *)b)->name);
}

bool recipes_load(const char *extra_dir, RecipeList *ret_list, Err *err)
{
    RecipeList list = {0};
    char *own = xasprintf("%s/recipes", datadir());
    int files;
    bool ok = (!extra_dir || folder_load(extra_dir, &list, &files, err)) && own_load(own, &list, err);
    free(own);
    if (!ok) {
        recipes_free(&list);
        return false;
    }
    if (list.count)
        qsort(list.items, (size_t)list.count, sizeof *list.items, by_name);
    *ret_list = list;
    return true;
}

const Recipe *recipe_find(const RecipeList *list, const char *name)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

void recipes_free(RecipeList *list)
{
    for (int i = 0; i < list->count; i++)
        recipe_free(&list->items[i]);
    free(list->items);
    *list = (RecipeList){0};
}
