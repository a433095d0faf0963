#include "client/submit/dryrun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"

static bool ask(Cmd *cmd, const Plan *plan, const cJSON *spec, cJSON **ret_answer, Err *err)
{
    char id[11];
    const char *user;
    if (!cmd_user(cmd, &user, err))
        return false;
    cJSON *args = plan_args(plan, spec);
    queue_new_id(id);
    cJSON_AddStringToObject(args, "id", id);
    cJSON_AddStringToObject(args, "user", user);
    if (!cmd_call(cmd, QUEUE_ESTIMATE, args, ret_answer, err))
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(*ret_answer, "status");
    cJSON_DeleteItemFromObjectCaseSensitive(*ret_answer, "id"); /* there is no such job */
    cJSON_AddStringToObject(*ret_answer, "kind", json_text(spec, "kind", ""));
    cJSON_AddStringToObject(*ret_answer, "model", json_text(spec, "model", ""));
    cJSON_AddNumberToObject(*ret_answer, "images", json_number(spec, "images", 0));
    char *label =
        *json_text(spec, "name", "") && !plan->sweep ? xstrdup(json_text(spec, "name", "")) : plan_label(plan, spec);
    if (label)
        cJSON_AddStringToObject(*ret_answer, "name", label);
    free(label);
    if (plan->sweep)
        cJSON_AddItemToObject(*ret_answer, "point", sweep_point(plan->sweep, spec));
    return true;
}

/* Peak memory of such jobs; the larger value if both kinds of device have one. */
static double memory_of(const cJSON *answer)
{
    double most = 0;
    const cJSON *mib;
    cJSON_ArrayForEach(mib, cJSON_GetObjectItemCaseSensitive(answer, "memory")) if (mib->valuedouble > most) most =
        mib->valuedouble;
    return most;
}

static void add_ms(Table *table, const cJSON *answer, const char *field)
{
    char text[TERM_TEXT];
    double ms = json_number(answer, field, -1);
    table_cell(table, COLOR_PLAIN, ms >= 0 ? term_duration(ms / 1000, text) : "");
}

static void add_row(Table *table, const cJSON *answer)
{
    char text[TERM_TEXT];
    const char *model = json_text(answer, "model", ""), *name = json_text(answer, "name", "");
    const cJSON *point = cJSON_GetObjectItemCaseSensitive(answer, "point");
    char *values = point ? cJSON_PrintUnformatted(point) : NULL;
    table_cell(table, COLOR_BOLD, values ? values : *name ? name : *model ? model : json_text(answer, "kind", ""));
    table_cell(table, COLOR_PLAIN, term_count(json_number(answer, "images", 0), text));
    add_ms(table, answer, "work_ms");
    snprintf(text, sizeof text, "%.1f GiB", memory_of(answer) / 1024);
    table_cell(table, COLOR_PLAIN, memory_of(answer) > 0 ? text : "");
    add_ms(table, answer, "eta_ms");
    add_ms(table, answer, "left_ms");
    table_cell(table, COLOR_DIM, json_text(answer, "text", ""));
    free(values);
}

static void print_answers(const Cmd *cmd, const cJSON *answers, const Plan *plan)
{
    static const Column columns[] = {
        {"JOB", false, 1},      {"IMAGES", true, 0},  {"WORK", true, 0}, {"MEMORY", true, 2},
        {"STARTS IN", true, 0}, {"ENDS IN", true, 0}, {"", false, 3},
    };
    Table *table = table_new(columns, countof(columns));
    const cJSON *answer;
    double work = 0;
    bool known = true;
    char text[TERM_TEXT];
    cJSON_ArrayForEach(answer, answers)
    {
        add_row(table, answer);
        work += json_number(answer, "work_ms", 0);
        known &= cJSON_HasObjectItem(answer, "work_ms");
    }
    table_print(table, stdout);
    table_free(table);
    if (known && work > 0)
        cmd_say(cmd, "about %s of work on one worker in total; nothing is queued", term_duration(work / 1000, text));
    else
        cmd_say(cmd, "nothing is queued; WORK and MEMORY are known after such a job has run%s",
                plan->evaluations ? ", those of an evaluation after it is queued" : "");
}

bool dryrun_print(Cmd *cmd, const Plan *plan, Err *err)
{
    cJSON *object = cJSON_CreateObject(), *answers = cJSON_AddArrayToObject(object, "jobs"), *answer;
    bool ok = true;
    for (const cJSON *spec = plan->jobs->child; ok && spec; spec = spec->next) {
        ok = ask(cmd, plan, spec, &answer, err);
        if (ok)
            cJSON_AddItemToArray(answers, answer);
    }
    if (ok && cmd->json) {
        cmd_json(object);
        return true;
    }
    if (ok && cmd->quiet)
        cJSON_ArrayForEach(answer, answers) puts(json_text(answer, "text", ""));
    else if (ok)
        print_answers(cmd, answers, plan);
    cJSON_Delete(object);
    return ok;
}
