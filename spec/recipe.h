/* Recipes are data: recipes/NAME.json, looked up in [daemon] recipes, then in the data folder (core/datadir.h: the
 * source tree or what was installed). An earlier folder hides the same name in a later one.
 *
 *     {"about": "one sentence", "source": "where the published number is from",
 *      "jobs": [{"name": "1-step", "kind": "sample", "model": "digits", "t_list": [0], ..., "published_fid": 1.715}]}
 *
 * A recipe with one job submits that job; with several, all of them (a table). */
#ifndef SPEC_RECIPE_H
#define SPEC_RECIPE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"

typedef struct Recipe {
    char *name, *about, *source;
    cJSON *jobs; /* array of job specs in QUEUED form, each checked with jobspec_parse; "recipe" is set */
} Recipe;

typedef struct RecipeList {
    Recipe *items; /* sorted by name */
    int count;
} RecipeList;

/* All recipes found. extra_dir may be NULL. A file that does not parse is an error that names it. */
bool recipes_load(const char *extra_dir, RecipeList *ret_list, Err *err);
const Recipe *recipe_find(const RecipeList *list, const char *name); /* NULL if there is none */
void recipes_free(RecipeList *list);

#endif
