/* ddq recipes: what can be submitted by name. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/terminal/table.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"
#include "spec/recipe.h"

static cJSON *recipe_json(const Recipe *recipe)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", recipe->name);
    cJSON_AddStringToObject(object, "about", recipe->about);
    cJSON_AddStringToObject(object, "source", recipe->source);
    cJSON_AddItemToObject(object, "jobs", cJSON_Duplicate(recipe->jobs, true));
    return object;
}

static double number(const cJSON *job, const char *field)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(job, field));
}

static void print_table(const RecipeList *list)
{
    static const Column columns[] = {
        {"RECIPE", false, 0}, {"JOBS", true, 1}, {"IMAGES", true, 2}, {"FID", true, 2}, {"ABOUT", false, 3},
    };
    Table *table = table_new(columns, countof(columns));
    for (int i = 0; i < list->count; i++) {
        const Recipe *recipe = &list->items[i];
        const cJSON *job = recipe->jobs->child;
        char text[TERM_TEXT];
        table_cell(table, COLOR_BOLD, recipe->name);
        table_cell(table, COLOR_PLAIN, term_count(cJSON_GetArraySize(recipe->jobs), text));
        table_cell(table, COLOR_PLAIN,
                   cJSON_HasObjectItem(job, "images") ? term_count(number(job, "images"), text) : "");
        snprintf(text, sizeof text, "%.4g", number(job, "published_fid"));
        table_cell(table, COLOR_PLAIN, !job->next && cJSON_HasObjectItem(job, "published_fid") ? text : "");
        table_cell(table, COLOR_PLAIN, recipe->about);
    }
    table_print(table, stdout);
    table_free(table);
}

static void print_one(const Recipe *recipe)
{
    printf("%s: %s\nsource: %s\n", recipe->name, recipe->about, recipe->source);
    for (const cJSON *job = recipe->jobs->child; job; job = job->next) {
        char *text = cJSON_Print(job);
        printf("%s\n", text);
        cJSON_free(text);
    }
}

static bool print_named(const Cmd *cmd, const RecipeList *list, const char *name, Err *err)
{
    const Recipe *recipe = recipe_find(list, name);
    if (!recipe) {
        const char **names = xcalloc((size_t)list->count + 1, sizeof *names);
        for (int i = 0; i < list->count; i++)
            names[i] = list->items[i].name;
        char meant[MEANT_TEXT];
        err_set(err, ERR_NOT_FOUND, "no recipe '%.60s'%s `ddq recipes` lists them", name,
                nearest_meant(nearest_name(name, names, list->count), meant));
        free(names);
        return false;
    }
    if (cmd->json)
        cmd_json(recipe_json(recipe));
    else
        print_one(recipe);
    return true;
}

static void print_all(const Cmd *cmd, const RecipeList *list)
{
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(object, "recipes");
        for (int i = 0; i < list->count; i++)
            cJSON_AddItemToArray(items, recipe_json(&list->items[i]));
        cmd_json(object);
    } else if (cmd->quiet) {
        for (int i = 0; i < list->count; i++)
            puts(list->items[i].name);
    } else {
        print_table(list);
    }
}

static bool recipes_run(Cmd *cmd, Err *err)
{
    const Conf *conf;
    RecipeList list;
    if (!cmd_conf(cmd, &conf, err) || !recipes_load(conf->recipes, &list, err))
        return false;
    bool ok = true;
    if (cmd->arg_count)
        ok = print_named(cmd, &list, cmd->args[0], err);
    else
        print_all(cmd, &list);
    recipes_free(&list);
    return ok;
}

const Verb verb_recipes = {
    .name = "recipes",
    .args = "[RECIPE]",
    .most = 1,
    .summary = "What can be submitted by name, or one recipe in full",
    .run = recipes_run,
};
