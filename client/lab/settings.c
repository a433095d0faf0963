/* ddq settings: the settings of the scheduler. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/queue/job.h"
#include "client/terminal/table.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"

/* The last one is a list of names, the others are times. */
static const struct {
    const char *name, *arg, *help;
} settings[] = {
    {"aging", "aging_ms", "a job that has waited this long moves up one tier (0s: never)"},
    {"interactive", "interactive_ms", "interactive work per user and hour"},
    {"slack", "slack_ms", "how far a job whose model is loaded may go before its turn"},
    {"half-life", "half_life_ms", "half-life of recorded usage"},
    {"same", "same_ms", "a job that is submitted again within this time is the same job"},
    {"admins", "admins", "users besides root who may change settings, weights and quotas"},
};
enum { ADMINS = countof(settings) - 1 };

static bool setting_of(const char *name, size_t *ret_i, Err *err)
{
    const char *names[countof(settings)];
    for (size_t i = 0; i < countof(settings); i++) {
        names[i] = settings[i].name;
        if (strcmp(name, names[i]) == 0) {
            *ret_i = i;
            return true;
        }
    }
    char meant[MEANT_TEXT];
    return err_set(err, ERR_USAGE, "ddq settings: there is no setting '%.40s'%s `ddq settings` lists them", name,
                   nearest_meant(nearest_name(name, names, countof(names)), meant));
}

/* ada,bob; "none": an empty list. The queue refuses an empty name. */
static cJSON *names_of(const char *text)
{
    cJSON *names = cJSON_CreateArray();
    char *copy = xstrdup(text), *rest = strcmp(text, "none") == 0 ? NULL : copy, *name;
    while ((name = strsep(&rest, ",")))
        cJSON_AddItemToArray(names, cJSON_CreateString(name));
    free(copy);
    return names;
}

static bool change(Cmd *cmd, cJSON *args, Err *err)
{
    size_t i = 0;
    double seconds = 0;
    const char *by;
    if (!setting_of(cmd->args[0], &i, err))
        return false;
    if (cmd->arg_count < 2)
        return err_set(err, ERR_USAGE, "ddq settings: a value for %s is missing; `ddq settings` shows it",
                       cmd->args[0]);
    if (i != ADMINS && !clock_span(cmd->args[1], false, &seconds))
        return err_set(err, ERR_USAGE, "ddq settings: %s is '%.40s', wanted " CLOCK_SPAN_TEXT, cmd->args[0],
                       cmd->args[1]);
    if (!cmd_user(cmd, &by, err))
        return false;
    cJSON_AddStringToObject(args, "by", by);
    cJSON_AddItemToObject(args, settings[i].arg,
                          i == ADMINS ? names_of(cmd->args[1]) : cJSON_CreateNumber(floor(seconds * 1000 + 0.5)));
    return true;
}

static void print(const cJSON *reply)
{
    static const Column columns[] = {{"SETTING", false, 0}, {"VALUE", true, 0}, {"", false, 1}};
    Table *table = table_new(columns, countof(columns));
    for (size_t i = 0; i < countof(settings); i++) {
        char text[TERM_TEXT];
        Buf names = {0};
        const cJSON *name, *value = cJSON_GetObjectItemCaseSensitive(reply, settings[i].arg);
        if (i == ADMINS)
            cJSON_ArrayForEach(name, value) buf_printf(&names, "%s%s", names.len ? "," : "", name->valuestring);
        else
            buf_printf(&names, "%s", term_duration(json_number(reply, settings[i].arg, 0) / 1000, text));
        table_cell(table, COLOR_BOLD, settings[i].name);
        table_cell(table, COLOR_PLAIN, names.data);
        table_cell(table, COLOR_DIM, settings[i].help);
        buf_free(&names);
    }
    table_print(table, stdout);
    table_free(table);
}

static bool settings_run(Cmd *cmd, Err *err)
{
    cJSON *args = cJSON_CreateObject(), *reply;
    if (cmd->arg_count && !change(cmd, args, err)) {
        cJSON_Delete(args);
        return false;
    }
    if (!cmd_call(cmd, QUEUE_SETTINGS, args, &reply, err))
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(reply, "status");
    if (cmd->json) {
        cmd_json(reply);
        return true;
    }
    if (!cmd->quiet)
        print(reply);
    cJSON_Delete(reply);
    return true;
}

const Verb verb_settings = {
    .name = "settings",
    .args = "[SETTING VALUE]",
    .most = 2,
    .summary = "Show the scheduler's settings, or change one (administrators)",
    .detail = "  ddq settings slack 2m\n"
              "  ddq settings admins ada,bob             besides root; none: only root\n",
    .run = settings_run,
};
