#include "client/queue/users.h"

#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "client/terminal/table.h"
#include "core/json.h"
#include "core/mem.h"

const char *users_quota(const cJSON *quota, const char *kind, char text[USERS_TEXT])
{
    char number[TERM_TEXT];
    double most = json_number(quota, kind, NAN);
    snprintf(text, USERS_TEXT, "%s", isfinite(most) ? term_count(most, number) : "-");
    return text;
}

static void add_ms(Table *table, Color color, double ms)
{
    char text[TERM_TEXT];
    table_cell(table, color, ms > 0 ? term_duration(ms / 1000, text) : "");
}

static void add_count(Table *table, double count)
{
    char text[TERM_TEXT];
    table_cell(table, COLOR_PLAIN, count > 0 ? term_count(count, text) : "");
}

static double all_weights(const cJSON *users)
{
    double sum = 0;
    const cJSON *user;
    cJSON_ArrayForEach(user, users) if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(user, "runnable")) ||
                                        json_number(user, "workers", 0) > 0) sum += json_number(user, "weight", 1);
    return sum;
}

static void add_share(Table *table, const cJSON *user, double weights)
{
    char text[TERM_TEXT];
    bool has_work =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(user, "runnable")) || json_number(user, "workers", 0) > 0;
    table_cell(table, COLOR_BOLD, json_text(user, "user", ""));
    snprintf(text, sizeof text, "%g", json_number(user, "weight", 1));
    table_cell(table, COLOR_PLAIN, text);
    snprintf(text, sizeof text, "%.0f%%", weights > 0 ? 100 * json_number(user, "weight", 1) / weights : 0);
    table_cell(table, COLOR_PLAIN, has_work ? text : "");
    add_ms(table, COLOR_PLAIN, json_number(user, "used_ms", 0));
    add_ms(table, COLOR_PLAIN, json_number(user, "ahead_ms", 0));
    add_count(table, json_number(user, "workers", 0));
    add_count(table, json_number(user, "queued", 0));
    add_count(table, json_number(user, "day", 0));
}

void users_shares(const cJSON *users, FILE *to, int width)
{
    static const Column columns[] = {
        {"USER", false, 0}, {"WEIGHT", true, 4},  {"SHARE", true, 0},  {"USED", true, 1},
        {"AHEAD", true, 2}, {"WORKERS", true, 0}, {"QUEUED", true, 0}, {"TODAY", true, 3},
    };
    Table *table = table_new(columns, countof(columns));
    double weights = all_weights(users);
    const cJSON *user;
    cJSON_ArrayForEach(user, users) add_share(table, user, weights);
    table_print_in(table, to, width);
    table_free(table);
}

static void add_quota(Table *table, const cJSON *user, const cJSON *quota, const char *name)
{
    static const char *const kinds[] = {"workers", "queued", "day"};
    char text[USERS_TEXT], count[TERM_TEXT];
    table_cell(table, COLOR_BOLD, name);
    for (size_t i = 0; i < countof(kinds); i++) {
        double now = json_number(user, kinds[i], 0);
        table_cell(table, COLOR_PLAIN, now > 0 ? term_count(now, count) : user ? "0" : "");
        table_cell(table, COLOR_PLAIN, users_quota(quota, kinds[i], text));
    }
}

void users_quotas(const cJSON *users, const cJSON *everybody, FILE *to)
{
    static const Column columns[] = {
        {"USER", false, 0}, {"WORKERS", true, 0}, {"OF", true, 0}, {"QUEUED", true, 0},
        {"OF", true, 0},    {"TODAY", true, 0},   {"OF", true, 0},
    };
    Table *table = table_new(columns, countof(columns));
    const cJSON *user;
    cJSON_ArrayForEach(user, users)
        add_quota(table, user, cJSON_GetObjectItemCaseSensitive(user, "quota"), json_text(user, "user", ""));
    add_quota(table, NULL, everybody, "all others");
    table_print(table, to);
    table_free(table);
}

bool users_answer(Cmd *cmd, QueueFn fn, cJSON *args, void (*print)(Cmd *cmd, const cJSON *reply), Err *err)
{
    cJSON *reply;
    if (!cmd_call(cmd, fn, args, &reply, err))
        return false;
    if (cmd->json) {
        cJSON_DeleteItemFromObjectCaseSensitive(reply, "status");
        cmd_json(reply);
        return true;
    }
    const cJSON *user;
    if (cmd->quiet)
        cJSON_ArrayForEach(user, cJSON_GetObjectItemCaseSensitive(reply, "users")) puts(json_text(user, "user", ""));
    else
        print(cmd, reply);
    cJSON_Delete(reply);
    return true;
}

bool users_check(Cmd *cmd, const char *name, bool changes, Err *err)
{
    const char *self;
    if (!cmd_user(cmd, &self, err))
        return false;
    cJSON *args = cJSON_CreateObject(), *reply;
    cJSON_AddStringToObject(args, "user", name);
    if (strcmp(name, self) == 0 || strcmp(name, "*") == 0 || (changes && cmd_has(cmd, "new-user"))) {
        cJSON_Delete(args);
        return true;
    }
    if (!cmd_call(cmd, QUEUE_SHARE, args, &reply, err))
        return false;
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(reply, "users"), 0);
    bool known = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(row, "known")) || getpwnam(name) != NULL;
    cJSON_Delete(reply);
    if (known)
        return true;
    return err_set(err, ERR_NOT_FOUND,
                   "the queue has seen no user '%.60s', and no login here has that name; `ddq %s` "
                   "lists the users%s",
                   name, cmd->verb->name, changes ? ". --new-user sets it for a user who has not submitted yet" : "");
}
