#include "client/submit/placement.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/target.h"
#include "client/terminal/when.h"
#include "core/mem.h"
#include "spec/jobspec.h"

enum { PARENTS_MAX = 32 }; /* the same limit as in the queue */

/* --- one kind of value each; text is the flag's ------------------------------------------------------------ */

typedef struct Row Row;
struct Row {
    const char *flag, *arg;
    bool (*read)(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err);
    int low, high;            /* of whole numbers */
    const char *const *words; /* of words, to a NULL */
};

static bool read_switch(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err)
{
    (void)cmd, (void)text, (void)err;
    cJSON_AddTrueToObject(args, row->arg);
    return true;
}

static bool read_whole(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err)
{
    int number = 0;
    (void)text;
    if (!flags_whole(&cmd->line, row->flag, row->low, row->high, &number, err))
        return false;
    cJSON_AddNumberToObject(args, row->arg, number);
    return true;
}

static bool read_word(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err)
{
    int index;
    if (!flags_choice(&cmd->line, row->flag, row->words, &index, err))
        return false;
    cJSON_AddStringToObject(args, row->arg, text);
    return true;
}

static bool read_at(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err)
{
    Wall at;
    (void)cmd;
    if (!when_at(text, wall_ms(), &at, err))
        return false;
    cJSON_AddNumberToObject(args, row->arg, (double)at);
    return true;
}

static bool read_window(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err)
{
    char window[WHEN_WINDOW];
    (void)cmd;
    if (!when_window(text, wall_ms(), window, err))
        return false;
    cJSON_AddStringToObject(args, row->arg, window);
    return true;
}

static bool read_after(Cmd *cmd, const Row *row, const char *text, cJSON *args, Err *err)
{
    cJSON *ids = cJSON_AddArrayToObject(args, row->arg);
    bool ok = true;
    (void)text; /* only the last value; the flag may be repeated */
    for (int i = 0; ok && i < cmd->line.flag_count; i++) {
        if (strcmp(cmd->line.flags[i].name, row->flag) != 0)
            continue;
        char *copy = xstrdup(cmd->line.flags[i].value), *rest = copy, *word;
        while (ok && (word = strsep(&rest, ",")))
            ok = *word ? target_jobs(cmd, word, TARGET_ALL, ids, err) || err_wrap(err, "--after")
                       : err_set(err, ERR_USAGE,
                                 "--after is '%.60s', and one of its jobs is empty: a variable that was not set?",
                                 cmd->line.flags[i].value);
        free(copy);
    }
    int count = cJSON_GetArraySize(ids);
    if (ok && count > PARENTS_MAX)
        return err_set(err, ERR_USAGE, "--after names %d jobs; a job can wait for at most %d", count, PARENTS_MAX);
    return ok;
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static const char *const tiers[] = {"interactive", "normal", "scavenger", NULL};
static const char *const endings[] = {"fail", "run", "hold", NULL};
static const Row rows[] = {
    {"tier", "tier", read_word, 0, 0, tiers},
    {"max-gpus", "max_gpus", read_whole, 1, 100000, NULL},
    {"at", "at", read_at, 0, 0, NULL},
    {"window", "window", read_window, 0, 0, NULL},
    {"after-failed", "after_failed", read_word, 0, 0, endings},
    {"hold", "hold", read_switch, 0, 0, NULL},
    {"priority", "priority", read_whole, -100, 100, NULL},
    {"new", "new", read_switch, 0, 0, NULL},
    {"after", "after", read_after, 0, 0, NULL}, /* last, because it calls the queue */
};

const char *const *placement_words(const char *flag)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (strcmp(rows[i].flag, flag) == 0)
            return rows[i].words;
    return NULL;
}

bool placement_read(Cmd *cmd, cJSON **ret_args, Err *err)
{
    cJSON *args = cJSON_CreateObject();
    bool ok = true;
    for (size_t i = 0; ok && i < countof(rows); i++) {
        const char *text = cmd_value(cmd, rows[i].flag);
        ok = !text || rows[i].read(cmd, &rows[i], text, args, err);
    }
    if (ok && cmd_has(cmd, "after-failed") && !cmd_has(cmd, "after"))
        ok = err_set(err, ERR_USAGE, "--after-failed needs --after: it applies when one of those jobs fails");
    if (ok)
        *ret_args = args;
    else
        cJSON_Delete(args);
    return ok;
}
