/* The table of verbs, in the order of the help. */
#include "client/cmd.h"

#include <stddef.h>
#include <string.h>

#include "core/mem.h"
#include "core/nearest.h"

static const Verb *const verbs[] = {
    &verb_submit, &verb_run,     &verb_ls,         &verb_show,    &verb_why,   &verb_watch,
    &verb_wait,   &verb_compare, &verb_fid,        &verb_refs,    &verb_logs,  &verb_cancel,
    &verb_hold,   &verb_release, &verb_prio,       &verb_share,   &verb_quota, &verb_settings,
    &verb_top,    &verb_adopt,   &verb_models,     &verb_recipes, &verb_gpus,  &verb_drain,
    &verb_resume, &verb_doctor,  &verb_completion, &verb_version, &verb_help,
};

const Verb *verb_at(int i)
{
    return i >= 0 && i < (int)countof(verbs) ? verbs[i] : NULL;
}

const Verb *verb_find(const char *name)
{
    for (size_t i = 0; i < countof(verbs); i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

int verb_index(int count, char *const *words)
{
    FlagTable tables[countof(verbs) * COMMAND_TABLES];
    int table_count = 0;
    for (size_t i = 0; i < countof(verbs); i++) {
        const Command command = cmd_command(verbs[i]);
        memcpy(tables + table_count, command.tables, sizeof command.tables);
        table_count += COMMAND_TABLES;
    }
    return flags_verb(tables, table_count, count, words);
}

bool verb_unknown(const char *name, Err *err)
{
    const char *names[countof(verbs)];
    char meant[MEANT_TEXT];
    for (size_t i = 0; i < countof(verbs); i++)
        names[i] = verbs[i]->name;
    return err_set(err, ERR_USAGE, "unknown verb '%.60s'%s `ddq help` lists them", name,
                   nearest_meant(nearest_name(name, names, countof(verbs)), meant));
}
