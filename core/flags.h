/* The command line of a program, or of one of its verbs, read by tables of flags. core/help.h prints the same tables.
 *
 *     static const Flag flags[] = {
 *         {"limit", 'n', "N", "list at most N jobs"},
 *         {"all", 'a', NULL, "list the jobs of all users"},
 *         {NULL, 0, NULL, NULL},
 *     };
 *     const Command ls = {.program = "ddq", .verb = "ls", .tables = {{"flags", flags}}};
 *     CommandLine line;
 *     bool ok = flags_parse(&ls, count, words, &line, &err) && flags_whole(&line, "limit", 1, 1000, &limit, &err);
 *     flags_free(&line);
 *
 * Grammar: `--name=value`, `--name value`, `-n value`; a switch takes no value; `--` ends the flags. In a name '_' and
 * '-' are the same. A value may be `-` or a number such as -5. If the next word is a flag of this command instead, or
 * `--`, the value is missing. A word `-` or -5 that is no value is an argument. A repeated flag: the last one counts.
 * An empty word is an error, as an argument and as a value (a shell variable that was not set would change what runs),
 * except for flags whose placeholder is in brackets. All errors are ERR_USAGE and name the word. */
#ifndef CORE_FLAGS_H
#define CORE_FLAGS_H

#include <stdbool.h>

#include "core/err.h"

typedef struct Flag {
    const char *name;  /* without the dashes; NULL ends a table */
    char letter;       /* 0: none */
    const char *value; /* placeholder of its value in the help; NULL: a switch; "[TEXT]": the value may be empty */
    const char *help;
} Flag;

typedef struct FlagTable {
    const char *title; /* in the help; NULL: not printed there */
    const Flag *flags; /* NULL: an empty table */
} FlagTable;

enum { COMMAND_TABLES = 3 };
typedef struct Command {
    const char *program, *verb; /* as they are typed; verb NULL: the program itself */
    const char *args;           /* as the help shows them: "ID..."; NULL: none */
    int least, most;            /* number of arguments; most -1: any number */
    const char *summary;        /* one sentence without its full stop */
    const char *detail;         /* more help, whole lines; may be NULL */
    FlagTable tables[COMMAND_TABLES];
} Command;

typedef struct FlagValue {
    const char *name, *value; /* name: as in its table; value NULL for a switch */
} FlagValue;

typedef struct CommandLine {
    const char **args;
    int arg_count;
    FlagValue *flags; /* in the order of the command line */
    int flag_count;
} CommandLine;

/* words[count]: what follows the program's name, without the verb. The line points into words and tables; call
 * flags_free also after a failure. With the switch `help` or `version` the number of arguments is not checked. */
bool flags_parse(const Command *command, int count, char *const *words, CommandLine *ret_line, Err *err);
void flags_free(CommandLine *line);

/* The index of the verb: the first word that is neither a flag nor the value of a flag of tables[table_count]; -1:
 * none. Flags that are in no table count as switches. */
int flags_verb(const FlagTable *tables, int table_count, int count, char *const *words);

/* The row of that name, NULL if there is none. */
const Flag *flags_find(const Flag *flags, const char *name);

bool flags_has(const CommandLine *line, const char *name);
const char *flags_value(const CommandLine *line, const char *name); /* NULL: not given; "" for a switch */

/* Each leaves *ret untouched if the flag was not given. choices ends with NULL. */
bool flags_number(const CommandLine *line, const char *name, double min, double max, double *ret_number, Err *err);
bool flags_whole(const CommandLine *line, const char *name, int min, int max, int *ret_number, Err *err);
bool flags_choice(const CommandLine *line, const char *name, const char *const *choices, int *ret_index, Err *err);
/* A span of time (clock_span, bare: seconds) in seconds. */
bool flags_span(const CommandLine *line, const char *name, double min, double max, double *ret_seconds, Err *err);
/* The same as whole seconds. */
bool flags_seconds(const CommandLine *line, const char *name, int min, int max, int *ret_seconds, Err *err);
/* "a,c": a bit for each of the choices that are listed; at least one. */
bool flags_choices(const CommandLine *line, const char *name, const char *const *choices, unsigned *ret_bits, Err *err);

#endif
