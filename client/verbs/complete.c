/* Completions follow from the tables: a flag's from its name or its placeholder, an argument's from the verb's `args`,
 * as help shows them ("ID|SWEEP...", "[show NAME | add NAME PATH]"). */
#include "client/verbs/complete.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/submit/placement.h"
#include "client/verbs/complete_words.h"
#include "core/mem.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"

enum { WORDS_MAX = 16 };

/* --- places --------------------------------------------------------------------------------------------------- */

typedef struct Place {
    const char *name;
    void (*offer)(const Typed *typed);
} Place;

/* Arguments, by their placeholders. */
static const Place arguments[] = {
    {"ID", offer_jobs},           {"SWEEP", offer_sweeps},    {"JOB", offer_runs},   {"RECIPE", offer_recipes},
    {"JOB.json", offer_files},    {"NAME", offer_references}, {"PATH", offer_files}, {"DIR", offer_files},
    {"A", offer_files},           {"B", offer_files},         {"USER", offer_users}, {"VERB", offer_verbs},
    {"HOST:WORKER", offer_hosts},
};

/* Values of flags, by their names... */
static const Place named_values[] = {
    {"model", offer_models}, {"reference", offer_references}, {"state", offer_states}, {"after", offer_jobs},
    {"user", offer_users},   {"device", offer_devices},       {"color", offer_colors},
};

/* ...else by their placeholders. */
static const Place shown_values[] = {{"FILE", offer_files}, {"DIR", offer_files}};

static bool offer_place(const Place *places, size_t count, const char *name, const Typed *typed)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(places[i].name, name) == 0) {
            places[i].offer(typed);
            return true;
        }
    return false;
}

/* --- flags ---------------------------------------------------------------------------------------------------- */

static const Flag *flag_of(const Command *command, const char *word)
{
    const Flag *found = NULL;
    char *name = xasprintf("%.*s", (int)strcspn(word, "="), word);
    for (int i = 0; i < COMMAND_TABLES && !found; i++) {
        const Flag *flags = command->tables[i].flags;
        found = strncmp(name, "--", 2) == 0 ? flags_find(flags, name + 2) : NULL;
        for (; flags && flags->name && !found && name[0] == '-' && name[1] != '-' && !name[2]; flags++)
            found = flags->letter && flags->letter == name[1] ? flags : NULL;
    }
    free(name);
    return found;
}

static void offer_flags(const Typed *typed, const Command *command)
{
    for (int i = 0; i < COMMAND_TABLES; i++)
        for (const Flag *flag = command->tables[i].flags; flag && flag->name; flag++) {
            if (jobspec_field_role(flag->name) && !command->tables[i].title &&
                !jobspec_field_in(flag->name, FORM_QUEUED))
                continue; /* `ddq-worker exec` alone takes it */
            char *word = xasprintf("--%s", flag->name);
            for (char *c = word; *c; c++)
                *c = *c == '_' ? '-' : *c;
            offer(typed, word);
            free(word);
        }
}

/* A value, and of a list its last word. */
static void offer_value(const Typed *typed, const Flag *flag, const char *value)
{
    const char *comma = strrchr(value, ','), *rest = comma ? comma + 1 : value, *word;
    const char *const *words = placement_words(flag->name);
    char *before = xasprintf("%s%.*s", typed->before, (int)(rest - value), value);
    const Typed inner = {typed->cmd, before, rest};
    for (int i = 0; words && words[i]; i++)
        offer(&inner, words[i]);
    for (int i = 0; (word = jobspec_field_word(flag->name, i)); i++)
        offer(&inner, word);
    if (strcmp(flag->name, "then") == 0)
        offer(&inner, flag->value); /* the one word that it may be */
    if (!offer_place(named_values, countof(named_values), flag->name, &inner) &&
        !offer_place(shown_values, countof(shown_values), flag->value, &inner) &&
        jobspec_field_has(flag->name, LOCAL_FILE))
        offer_files(&inner);
    free(before);
}

/* --- arguments ------------------------------------------------------------------------------------------------ */

/* "ID|SWEEP...": each of its words. A word in lower case is literal. */
static void offer_argument(const Typed *typed, const char *shown)
{
    char *copy = xstrdup(shown), *rest = copy, *word;
    while ((word = strsep(&rest, "|"))) {
        char name[64] = "";
        size_t len = 0;
        for (const char *c = word; *c && len < sizeof name - 1; c++)
            if (*c != '[' && *c != ']' && strncmp(c, "...", 3) != 0 && (len || *c != '.'))
                name[len++] = *c;
            else if (strncmp(c, "...", 3) == 0)
                break;
        if (!offer_place(arguments, countof(arguments), name, typed) && islower((unsigned char)name[0]))
            offer(typed, name);
    }
    free(copy);
}

/* One usage ("add NAME PATH") at the place of argument `at`, if the words before fit. */
static void offer_usage(const Typed *typed, const char *usage, const char *const *args, int at)
{
    char *copy = xstrdup(usage), *rest = copy + strspn(copy, "["), *word, *last = NULL;
    bool fits = true;
    int i = 0;
    while (fits && (word = strsep(&rest, " "))) {
        if (!*word)
            continue;
        if (i == at) {
            offer_argument(typed, word);
            fits = false;
        } else if (islower((unsigned char)*word) && !strpbrk(word, "|.") && strcmp(word, args[i]) != 0) {
            fits = false;
        }
        last = word;
        i++;
    }
    if (fits && last && strstr(last, "..."))
        offer_argument(typed, last);
    free(copy);
}

static void offer_arguments(const Typed *typed, const Verb *verb, const char *const *args, int at)
{
    for (const char *usage = verb->args; usage;) {
        const char *next = strstr(usage, " | ");
        char *one = next ? xasprintf("%.*s", (int)(next - usage), usage) : xstrdup(usage);
        offer_usage(typed, one, args, at);
        free(one);
        usage = next ? next + 3 : NULL;
    }
}

/* --- the line ------------------------------------------------------------------------------------------------- */

/* --redis and --conf of the typed line apply. */
static void take_over(Cmd *cmd, const Flag *flag, const char *value)
{
    if (value && (strcmp(flag->name, "redis") == 0 || strcmp(flag->name, "conf") == 0))
        cmd->line.flags[cmd->line.flag_count++] = (FlagValue){flag->name, value}; /* room for every word is there */
}

void complete_print(Cmd *cmd, const char *const *words, int count, const char *last)
{
    const char *args[WORDS_MAX + 1];
    int verb_at_word = verb_index(count, (char *const *)words), arg_count = 0;
    const Verb *verb = verb_at_word >= 0 ? verb_find(words[verb_at_word]) : NULL;
    const Command command = cmd_command(verb);
    const Flag *open = NULL; /* whose value comes next */
    Typed typed = {.cmd = cmd, .before = "", .start = last};
    cmd->quiet = true;
    for (int i = 0; i < count; i++) {
        const Flag *flag = open || i == verb_at_word ? NULL : flag_of(&command, words[i]);
        const char *equals = strchr(words[i], '=');
        if (open)
            take_over(cmd, open, words[i]);
        else if (flag && equals)
            take_over(cmd, flag, equals + 1);
        else if (!flag && i != verb_at_word && words[i][0] != '-' && arg_count < WORDS_MAX)
            args[arg_count++] = words[i];
        open = flag && flag->value && !equals ? flag : NULL;
    }
    const Flag *flag = open ? NULL : flag_of(&command, last);
    const char *equals = strchr(last, '=');
    if (open) {
        offer_value(&typed, open, last);
    } else if (flag && flag->value && equals) {
        char *before = xasprintf("%.*s", (int)(equals + 1 - last), last);
        typed.before = before;
        offer_value(&typed, flag, equals + 1);
        free(before);
    } else if (*last == '-') {
        offer_flags(&typed, &command);
    } else if (verb_at_word < 0) {
        offer_verbs(&typed);
    } else if (verb) {
        offer_arguments(&typed, verb, args, arg_count);
    }
}
