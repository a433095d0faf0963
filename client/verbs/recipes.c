/* ddq recipes: what can be submitted by name. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/queue/registry.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"
#include "spec/recipe.h"

/* hosts: those that are alive, NULL where no queue could be asked. */
typedef enum Ready { READY_UNKNOWN, READY_NO, READY_YES } Ready;

static Ready ready(const cJSON *hosts, const Recipe *recipe, Err *why)
{
    if (!hosts)
        return READY_UNKNOWN;
    if (!hosts->child) {
        err_set(why, ERR_UNREACHABLE, "no daemon is alive");
        return READY_NO;
    }
    return registry_check_hosts(hosts, recipe->jobs, why) ? READY_YES : READY_NO;
}

static cJSON *recipe_json(const cJSON *hosts, const Recipe *recipe)
{
    Err why = {0};
    Ready is = ready(hosts, recipe, &why);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", recipe->name);
    cJSON_AddStringToObject(object, "about", recipe->about);
    cJSON_AddStringToObject(object, "source", recipe->source);
    if (is != READY_UNKNOWN)
        cJSON_AddBoolToObject(object, "ready", is == READY_YES);
    if (is == READY_NO)
        cJSON_AddStringToObject(object, "why", why.text);
    cJSON_AddItemToObject(object, "jobs", cJSON_Duplicate(recipe->jobs, true));
    return object;
}

static double number(const cJSON *job, const char *field)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(job, field));
}

static void print_table(const cJSON *hosts, const RecipeList *list)
{
    static const Column columns[] = {
        {"RECIPE", false, 0}, {"READY", false, 0},        {"JOBS", true, 1},
        {"IMAGES", true, 2},  {"PUBLISHED FID", true, 2}, {"ABOUT", false, 3},
    };
    Table *table = table_new(columns, countof(columns));
    for (int i = 0; i < list->count; i++) {
        const Recipe *recipe = &list->items[i];
        const cJSON *job = recipe->jobs->child;
        char text[TERM_TEXT];
        Err unread = {0};
        Ready is = ready(hosts, recipe, &unread);
        table_cell(table, COLOR_BOLD, recipe->name);
        table_cell(table, is == READY_YES ? COLOR_GREEN : COLOR_PLAIN,
                   is == READY_YES  ? "yes"
                   : is == READY_NO ? "no"
                                    : "");
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

/* Pretty JSON of cJSON, each line further right; its tabs, which stand nowhere else, become spaces. */
static void print_json(const cJSON *value, int indent)
{
    char *text = json_print(value, true);
    bool begins = false;
    for (const char *c = text; *c; c++) {
        if (*c == '\t')
            fputs(begins ? "    " : " ", stdout);
        else
            putchar(*c);
        if (*c == '\n')
            printf("%*s", indent, "");
        begins = *c == '\n' || (begins && *c == '\t');
    }
    free(text);
}

/* As a file for the folder `recipes`, or for `ddq submit`. */
static void print_one(const Recipe *recipe)
{
    cJSON *about = cJSON_CreateString(recipe->about), *source = cJSON_CreateString(recipe->source);
    fputs("{\n    \"about\": ", stdout);
    print_json(about, 0);
    fputs(",\n    \"source\": ", stdout);
    print_json(source, 0);
    fputs(",\n    \"jobs\": [", stdout);
    for (const cJSON *job = recipe->jobs->child; job; job = job->next) {
        cJSON *copy = cJSON_Duplicate(job, true);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "recipe"); /* follows from the file's name */
        fputs(job == recipe->jobs->child ? "\n        " : ",\n        ", stdout);
        print_json(copy, 8);
        cJSON_Delete(copy);
    }
    puts("\n    ]\n}");
    cJSON_Delete(about);
    cJSON_Delete(source);
}

static bool print_named(const Cmd *cmd, const cJSON *hosts, const RecipeList *list, const char *name, Err *err)
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
    Err why = {0};
    if (cmd->json)
        cmd_json(recipe_json(hosts, recipe));
    else
        print_one(recipe);
    if (!cmd->json && ready(hosts, recipe, &why) == READY_NO)
        cmd_say(cmd, "ddq: no host can run it now: %s", why.text);
    return true;
}

static void print_all(const Cmd *cmd, const cJSON *hosts, const RecipeList *list)
{
    if (cmd->json) {
        cJSON *object = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(object, "recipes");
        for (int i = 0; i < list->count; i++)
            cJSON_AddItemToArray(items, recipe_json(hosts, &list->items[i]));
        cmd_json(object);
    } else if (cmd->quiet) {
        for (int i = 0; i < list->count; i++)
            puts(list->items[i].name);
    } else {
        print_table(hosts, list);
    }
}

static bool recipes_run(Cmd *cmd, Err *err)
{
    const Conf *conf;
    RecipeList list;
    if (!cmd_conf(cmd, &conf, err) || !recipes_load(conf->recipes, &list, err))
        return false;
    bool ok = true;
    cJSON *hosts = NULL;
    Err unread = {0};
    if (!cmd->quiet && !registry_hosts(cmd, &hosts, &unread))
        hosts = NULL; /* recipes are files: no queue is needed to list them */
    if (cmd->arg_count)
        ok = print_named(cmd, hosts, &list, cmd->args[0], err);
    else
        print_all(cmd, hosts, &list);
    cJSON_Delete(hosts);
    recipes_free(&list);
    return ok;
}

const Verb verb_recipes = {
    .name = "recipes",
    .args = "[RECIPE]",
    .most = 1,
    .summary = "List the recipes, or print one in full",
    .detail = "  ddq recipes                              READY: a live daemon offers the model and the reference\n"
              "  ddq recipes l-2step > mine.json          a file to change, for ddq submit ./mine.json\n"
              "PUBLISHED FID is the paper's, not measured by ddq.\n",
    .run = recipes_run,
};
