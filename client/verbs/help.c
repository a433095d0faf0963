#include "client/verbs/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/terminal/term.h"
#include "core/nearest.h"
#include "core/jobspec.h"
#include "core/mem.h"

static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {
    {EXIT_OK, "it worked; for a verb that waits: the job is done"},
    {EXIT_ERROR, "another error: the sentence says which"},
    {EXIT_USAGE, "the command line or the job is wrong"},
    {EXIT_UNREACHABLE, "Redis or the daemon cannot be reached"},
    {EXIT_REFUSED, "refused for now"},
    {EXIT_PERMISSION, "not permitted"},
    {EXIT_JOB_FAILED, "the job failed"},
    {EXIT_TIMED_OUT, "the job had not ended when --timeout was over"},
    {EXIT_NOT_FOUND, "there is no such job or file"},
    {EXIT_CANCELLED, "the job was cancelled"},
    {EXIT_INCOMPLETE, "the job is done, but some of its images could not be made: there is no report and no FID"},
    {EXIT_INTERRUPTED, "Ctrl-C; a job that was waited for goes on"},
};

static void flag_words(const Flag *flag, char text[64])
{
    char letter[8] = "";
    if (flag->letter)
        snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    snprintf(text, 64, "%s--%s%s%s", letter, flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
}

static void print_flags(const char *title, const Flag *flags)
{
    printf("\n%s%s%s\n", term_color(stdout, COLOR_BOLD), title, term_reset(stdout));
    for (; flags->name; flags++) {
        char words[64];
        flag_words(flags, words);
        printf("  %-22s %s\n", words, flags->help);
    }
}

void help_all(void)
{
    const Verb *verb;
    const char *bold = term_color(stdout, COLOR_BOLD), *plain = term_reset(stdout);
    printf("ddq: a job queue for few-step image generation\n\n%susage%s  ddq VERB [ARGUMENTS] [FLAGS]\n\n%sverbs%s\n",
           bold, plain, bold, plain);
    for (int i = 0; (verb = verb_at(i)); i++)
        printf("  %-12s %-23s %s\n", verb->name, verb->args, verb->summary);
    print_flags("flags of every verb", common_flags);
    printf("\n%sids%s    a unique beginning of an id is enough; '@' is the last job submitted from here\n", bold,
           plain);
    printf("%smore%s   ddq VERB --help; ddq recipes; ddq submit digits-demo --watch\n", bold, plain);
}

void help_verb(const Verb *verb)
{
    printf("%susage%s  ddq %s%s%s [FLAGS]\n\n%s\n", term_color(stdout, COLOR_BOLD), term_reset(stdout), verb->name,
           *verb->args ? " " : "", verb->args, verb->summary);
    if (verb->detail)
        printf("\n%s", verb->detail);
    if (verb->flags)
        print_flags("flags", verb->flags);
    if (verb->job_flags) {
        char *fields = jobspec_describe(KIND_SAMPLE, FORM_QUEUED);
        printf("\n%sfields of a job to sample%s, each a flag: t_list is --t-list 0,80 (docs/jobspec.md has the other "
               "kinds)\n%s",
               term_color(stdout, COLOR_BOLD), term_reset(stdout), fields);
        free(fields);
    }
    print_flags("flags of every verb", common_flags);
}

static void markdown_flags(const Flag *flags)
{
    printf("\n| flag | |\n|---|---|\n");
    for (; flags->name; flags++) {
        char words[64];
        flag_words(flags, words);
        printf("| `%s` | %s |\n", words, flags->help);
    }
}

void help_markdown(void)
{
    const Verb *verb;
    printf("# ddq, the client\n\nThis page is printed by `ddq help --markdown`.\n\n"
           "    ddq VERB [ARGUMENTS] [FLAGS]\n\n"
           "Data goes to stdout, messages and progress to stderr. A unique beginning of an id is enough, `@` is the "
           "last job\n"
           "submitted from here. Ctrl-C in a verb that waits leaves the job alone and says how to come back.\n\n"
           "| verb | |\n|---|---|\n");
    for (int i = 0; (verb = verb_at(i)); i++)
        printf("| [`%s`](#%s) | %s |\n", verb->name, verb->name, verb->summary);
    printf("\n## Flags of every verb\n");
    markdown_flags(common_flags);
    printf("\n## Exit status\n\n| status | meaning |\n|---|---|\n");
    for (size_t i = 0; i < countof(exit_codes); i++)
        printf("| %d | %s |\n", exit_codes[i].code, exit_codes[i].meaning);
    for (int i = 0; (verb = verb_at(i)); i++) {
        printf("\n## %s\n\n    ddq %s%s%s\n\n%s.\n", verb->name, verb->name, *verb->args ? " " : "", verb->args,
               verb->summary);
        if (verb->detail)
            printf("\n```\n%s```\n", verb->detail);
        if (verb->flags)
            markdown_flags(verb->flags);
        if (verb->job_flags)
            printf("\nEvery field of a queued job is a flag as well: `t_list` is `--t-list 0,80` "
                   "([jobspec.md](jobspec.md)).\n");
    }
}

static void help_configuration(void)
{
    char *text = conf_describe();
    fputs(text, stdout);
    free(text);
}

static const Flag help_flags[] = {
    {"markdown", 0, NULL, "the whole of docs/cli.md"},
    {NULL, 0, NULL, NULL},
};

static bool unknown(const char *name, Err *err)
{
    char meant[MEANT_TEXT];
    return err_set(err, ERR_USAGE, "unknown verb '%.60s'%s `ddq help` lists them", name,
                   nearest_meant(verb_nearest(name), meant));
}

static bool help_run(Cmd *cmd, Err *err)
{
    if (cmd_has(cmd, "markdown"))
        help_markdown();
    else if (!cmd->arg_count)
        help_all();
    else if (strcmp(cmd->args[0], "configuration") == 0)
        help_configuration();
    else if (verb_find(cmd->args[0]))
        help_verb(verb_find(cmd->args[0]));
    else
        return unknown(cmd->args[0], err);
    return true;
}

const Verb verb_help = {
    .name = "help",
    .args = "[VERB|configuration]",
    .most = 1,
    .summary = "What ddq or one of its verbs does, or the keys of ddq.conf",
    .flags = help_flags,
    .run = help_run,
};
