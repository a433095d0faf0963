/* The table of verbs, in the order of the help. */
#include "client/verb.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/jobspec.h"
#include "core/mem.h"

const Flag common_flags[] = {
    {"redis", 0, "URL",
     "the queue's Redis: unix:PATH, redis://[:password@]host[:port][/db] or host:port (or DDQ_REDIS)"},
    {"conf", 0, "FILE",
     "read this configuration in place of /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf (or DDQ_CONF)"},
    {"json", 0, NULL, "print JSON on stdout, times in UTC"},
    {"quiet", 'q', NULL, "print the least: ids alone, no messages"},
    {"color", 0, "WHEN", "auto, always or never (or DDQ_COLOR; NO_COLOR is honoured)"},
    {"help", 'h', NULL, "what the verb does and which flags it takes"},
    {NULL, 0, NULL, NULL},
};

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

const char *verb_nearest(const char *name)
{
    const char *names[countof(verbs)];
    for (size_t i = 0; i < countof(verbs); i++)
        names[i] = verbs[i]->name;
    return nearest_name(name, names, countof(verbs));
}

const char *verb_meant(const char *nearest, char text[MEANT_TEXT])
{
    if (nearest)
        snprintf(text, MEANT_TEXT, ". Did you mean '%s'?", nearest);
    else
        snprintf(text, MEANT_TEXT, ".");
    return text;
}
