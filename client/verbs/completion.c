/* ddq completion: a script for bash, printed from the table of verbs. Ids, sweeps and recipes are asked for as one
 * types. */
#include <stdio.h>
#include <string.h>

#include "client/cmd.h"
#include "spec/jobspec.h"

static void print_flags(const Verb *verb)
{
    const Command command = cmd_command(verb);
    for (int i = 0; i < COMMAND_TABLES; i++)
        for (const Flag *flag = command.tables[i].flags; flag && flag->name; flag++) {
            printf(" --");
            for (const char *c = flag->name; *c; c++)
                putchar(*c == '_' ? '-' : *c);
        }
}

static void print_bash(void)
{
    const Verb *verb;
    printf("# source <(ddq completion bash)\n_ddq() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words=\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='");
    for (int i = 0; (verb = verb_at(i)); i++)
        printf("%s%s", i ? " " : "", verb->name);
    printf("'\n    elif [[ $word == -* ]]; then\n        case $verb in\n");
    for (int i = 0; (verb = verb_at(i)); i++) {
        printf("        %s) words='", verb->name);
        print_flags(verb);
        printf("' ;;\n");
    }
    printf("        esac\n    else\n        case $verb in\n");
    for (int i = 0; (verb = verb_at(i)); i++) {
        if (strncmp(verb->args, "ID", 2) == 0 || strncmp(verb->args, "JOB", 3) == 0)
            printf("        %s) words=\"@ $(ddq ls --quiet --limit 100 2>/dev/null) "
                   "$(ddq ls --sweeps --quiet --limit 20 2>/dev/null)\" ;;\n",
                   verb->name);
        else if (verb->job_flags || strcmp(verb->name, "recipes") == 0)
            printf("        %s) words=$(ddq recipes --quiet 2>/dev/null)%s ;;\n", verb->name,
                   verb->job_flags ? "; compopt -o default" : "");
    }
    printf("        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -F _ddq ddq\n");
}

static bool completion_run(Cmd *cmd, Err *err)
{
    if (strcmp(cmd->args[0], "bash") != 0)
        return err_set(err, ERR_USAGE, "completion for '%.40s' is not there; only bash", cmd->args[0]);
    print_bash();
    return true;
}

const Verb verb_completion = {
    .name = "completion",
    .args = "bash",
    .least = 1,
    .most = 1,
    .summary = "A script that completes verbs, flags, ids and recipes: source <(ddq completion bash)",
    .run = completion_run,
};
