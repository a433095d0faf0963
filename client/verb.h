/* A verb is a row: its name, its arguments, its flags, its help, its function. Each has a file of its own.
 *
 * The command line is checked against the row, help and docs/cli.md are printed from it. To add a verb: a file with a
 * `const Verb verb_x`, and its line in verbs/verbs.c. */
#ifndef CLIENT_VERB_H
#define CLIENT_VERB_H

#include <stdbool.h>

#include "core/err.h"
#include "core/flags.h"

typedef struct Cmd Cmd; /* client/cmd.h */

typedef struct Verb {
    const char *name;
    const char *args;                /* as help shows them: "ID..." */
    int least, most;                 /* how many arguments; most -1: any number */
    const char *summary;             /* one line */
    const char *detail;              /* more help, whole lines, may be NULL */
    const Flag *flags;               /* ends with a NULL name; NULL: none of its own */
    bool job_flags;                  /* every field of the job spec is a flag too */
    bool (*run)(Cmd *cmd, Err *err); /* false: the sentence in err is printed and its kind gives the exit status;
                                        true: the exit status is cmd->exit_code */
} Verb;

/* The i-th verb, NULL past the end; or by name. */
const Verb *verb_at(int i);
const Verb *verb_find(const char *name);
/* The index of the verb among words; flags and their values may precede it. -1: there is none. */
int verb_index(int count, char *const *words);
bool verb_unknown(const char *name, Err *err); /* the error for a name that verb_find does not find; false */

extern const Verb verb_submit, verb_run, verb_ls, verb_show, verb_why, verb_watch, verb_wait, verb_compare, verb_fid,
    verb_refs, verb_logs, verb_cancel, verb_hold, verb_release, verb_adopt, verb_drain, verb_resume, verb_models,
    verb_recipes, verb_gpus, verb_prio, verb_share, verb_quota, verb_settings, verb_top, verb_doctor, verb_completion,
    verb_version, verb_help;

#endif
