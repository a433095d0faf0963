#include "client/submit/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/queue/target.h"
#include "client/sieve.h"
#include "client/submit/placement.h"
#include "client/submit/specs.h"
#include "client/submit/then.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/jobtraits.h"

/* --- reading ------------------------------------------------------------------------------------------------ */

/* Several jobs with one name would share a folder; the name of a sweep is the group's. */
static bool check_count(const Cmd *cmd, const Plan *plan, Err *err)
{
    int count = cJSON_GetArraySize(plan->jobs);
    for (int i = 0; i < cmd->field_count && count > 1 && !plan->sweep; i++)
        if (strcmp(cmd->fields[i].name, "name") == 0)
            return err_set(err, ERR_USAGE, "--name names one job, but there are %d", count);
    return true;
}

/* Images of a sweep that is already queued: submitting it again adds nothing. */
static double images_known(Cmd *cmd, const char *group)
{
    cJSON *known;
    Err none;
    if (!group || !target_group(cmd, group, &known, &none))
        return 0;
    double images = json_number(known, "images", 0);
    cJSON_Delete(known);
    return images;
}

/* Several jobs are queued only if all of them fit into the quota; the queue checks a single job itself. */
static bool check_room(Cmd *cmd, const Plan *plan, Err *err)
{
    const char *user;
    double images = 0;
    cJSON *reply;
    const cJSON *job;
    if (cJSON_GetArraySize(plan->jobs) < 2)
        return true;
    cJSON_ArrayForEach(job, plan->jobs) images += json_number(job, "images", 0);
    images -= images_known(cmd, plan->group);
    if (!cmd_user(cmd, &user, err))
        return false;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "user", user);
    if (!cmd_call(cmd, QUEUE_QUOTA, args, &reply, err))
        return false;
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(reply, "users"), 0);
    double queued = json_number(row, "queued", 0);
    double most = json_number(cJSON_GetObjectItemCaseSensitive(row, "quota"), "queued", 1e300);
    cJSON_Delete(reply);
    if (images > 0 && queued + images > most)
        return err_set(err, ERR_REFUSED,
                       "these %d jobs have %.0f images, %s has %.0f queued, and the quota is %.0f; wait until some "
                       "are done, or ask for a larger quota (ddq quota)",
                       cJSON_GetArraySize(plan->jobs), images, user, queued, most);
    return true;
}

static bool split(const Cmd *cmd, Plan *plan, Err *err)
{
    const char *then = cmd_value(cmd, "then");
    if (!then)
        return true;
    if (strcmp(then, "evaluate") != 0)
        return err_set(err, ERR_USAGE, "--then is '%.40s', wanted evaluate", then);
    plan->evaluations = cJSON_CreateArray();
    for (cJSON *job = plan->jobs->child; job; job = job->next) {
        cJSON *evaluation;
        if (!then_split(job, &evaluation, err))
            return false;
        cJSON_AddItemToArray(plan->evaluations, evaluation);
    }
    return true;
}

/* An evaluation is named after its job, if that has a name. */
static void name_evaluations(Plan *plan)
{
    cJSON *evaluation = plan->evaluations ? plan->evaluations->child : NULL;
    for (const cJSON *job = plan->jobs->child; job && evaluation; job = job->next, evaluation = evaluation->next) {
        if (!*json_text(job, "name", ""))
            continue;
        char *name = xasprintf("%.54s.evaluate", json_text(job, "name", ""));
        cJSON_DeleteItemFromObjectCaseSensitive(evaluation, "name");
        cJSON_AddStringToObject(evaluation, "name", name);
        free(name);
    }
}

bool plan_read(Cmd *cmd, Plan *ret_plan, Err *err)
{
    *ret_plan = (Plan){0};
    Plan *plan = ret_plan;
    if (!sweep_read(cmd, &plan->sweep, err) || !specs_read(cmd, plan->sweep, &plan->jobs, err) ||
        !check_count(cmd, plan, err) || !split(cmd, plan, err) || !placement_read(cmd, &plan->placement, err) ||
        !registry_check(cmd, plan->jobs, cmd_has(cmd, "after"), err) ||
        (plan->evaluations && !registry_check(cmd, plan->evaluations, true, err)))
        return false;
    if (plan->sweep)
        plan->group = sweep_name(plan->sweep, plan->jobs, cmd_has(cmd, "new"));
    name_evaluations(plan);
    return check_room(cmd, plan, err);
}

void plan_free(Plan *plan)
{
    cJSON_Delete(plan->jobs);
    cJSON_Delete(plan->evaluations);
    cJSON_Delete(plan->placement);
    sweep_free(plan->sweep);
    free(plan->group);
    *plan = (Plan){0};
}

/* --- what the queue gets -------------------------------------------------------------------------------------- */

static cJSON *args_of(const cJSON *spec)
{
    cJSON *args = jobspec_submission(spec);
    cJSON_AddItemToObject(args, "spec", cJSON_Duplicate(spec, true));
    return args;
}

char *plan_label(const Plan *plan, const cJSON *spec)
{
    const char *recipe = json_text(spec, "recipe", "");
    int number = 1;
    for (const cJSON *job = plan->jobs->child; job && job != spec; job = job->next)
        number++;
    bool several = !plan->sweep && cJSON_GetArraySize(plan->jobs) > 1;
    char *label = several ? xasprintf("%s-%d", recipe, number) : xstrdup(recipe);
    if (sieve_is_name(recipe) && sieve_is_name(label))
        return label;
    free(label);
    return NULL;
}

static void add_label(const Plan *plan, const cJSON *spec, const char *what, cJSON *args)
{
    char *label = plan_label(plan, spec), *whole = xasprintf("%s%s", label ? label : "", what);
    if (label && sieve_is_name(whole))
        cJSON_AddStringToObject(args, "label", whole);
    free(label);
    free(whole);
}

static void add_group(const Plan *plan, const cJSON *job, const char *what, cJSON *args)
{
    if (!plan->group)
        return;
    char *group = xasprintf("%s%s", plan->group, what);
    cJSON_AddStringToObject(args, "group", group);
    cJSON_AddItemToObject(args, "point", sweep_point(plan->sweep, job));
    free(group);
}

cJSON *plan_args(const Plan *plan, const cJSON *spec)
{
    cJSON *args = args_of(spec);
    const cJSON *item;
    cJSON_ArrayForEach(item, plan->placement) cJSON_AddItemToObject(args, item->string, cJSON_Duplicate(item, true));
    add_group(plan, spec, "", args);
    add_label(plan, spec, "", args);
    return args;
}

cJSON *plan_evaluation_args(const Plan *plan, const cJSON *evaluation, const char *parent)
{
    static const char *const shared[] = {"tier", "max_gpus", "window", "priority", "new"};
    cJSON *args = args_of(evaluation);
    const cJSON *job = plan->jobs->child;
    for (const cJSON *each = plan->evaluations->child; each && each != evaluation; each = each->next)
        job = job->next;
    for (size_t i = 0; i < countof(shared); i++)
        if (cJSON_HasObjectItem(plan->placement, shared[i]))
            cJSON_AddItemToObject(args, shared[i],
                                  cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(plan->placement, shared[i]), true));
    cJSON_AddItemToObject(args, "after", cJSON_CreateStringArray(&parent, 1));
    add_group(plan, job, ".evaluate", args);
    add_label(plan, job, ".evaluate", args);
    return args;
}
