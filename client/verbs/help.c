#include "client/verbs/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/terminal/term.h"
#include "core/help.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"

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
    {EXIT_HELD, "the job is held, or waits for one that is: it goes on when somebody releases it (ddq release)"},
    {EXIT_INTERRUPTED, "Ctrl-C; a job that was waited for goes on"},
};

static Help help_here(FILE *to)
{
    Help help = help_to(to);
    help.bold = term_color(to, COLOR_BOLD);
    help.plain = term_reset(to);
    return help;
}

void help_all(FILE *to)
{
    const Verb *verb;
    const Help help = help_here(to);
    const Command program = cmd_command(NULL);
    fprintf(to,
            "ddq: a job queue for few-step image generation\n\n%susage%s  ddq VERB [ARGUMENTS] [FLAGS]\n\n%sverbs%s\n",
            help.bold, help.plain, help.bold, help.plain);
    for (int i = 0; (verb = verb_at(i)); i++) {
        char *head = xasprintf("  %s", verb->name);
        help_row(&help, head, 14, verb->summary);
        free(head);
    }
    for (int i = 0; i < COMMAND_TABLES; i++)
        help_flags(&help, &program.tables[i]);
    fprintf(to, "\n%sids%s    ", help.bold, help.plain);
    help_row(&help, "", 0, "a unique beginning of an id is enough; '@' is the last job submitted from here");
    fprintf(to, "%smore%s   ddq VERB --help; ddq recipes; ddq submit digits-demo --watch\n", help.bold, help.plain);
}

void help_verb(const Verb *verb)
{
    const Help help = help_here(stdout);
    const Command command = cmd_command(verb);
    help_command(&help, &command);
    if (!verb->job_flags)
        return;
    char *fields = jobspec_describe(KIND_SAMPLE, FORM_QUEUED);
    printf("\n%sfields of a job of kind sample%s\n", help.bold, help.plain);
    help_text(&help, "Each field is a flag: t_list is --t-list 0,80. docs/jobspec.md has the other kinds.\n");
    help_text(&help, fields);
    free(fields);
}

/* --- docs/cli.md -------------------------------------------------------------------------------------------- */

static void markdown_flags(const Help *help, const Flag *flags)
{
    putchar('\n');
    for (; flags->name; flags++) {
        char *words = help_flag_words(flags), *line = xasprintf("-  `%s`: %s", words, flags->help);
        help_text(help, line);
        free(words);
        free(line);
    }
}

void help_markdown(void)
{
    const Verb *verb;
    const Help help = {.to = stdout, .width = HELP_WIDEST, .bold = "", .plain = ""};
    printf("# ddq, the client\n\nThis page is printed by `ddq help --markdown`.\n\n"
           "    ddq VERB [ARGUMENTS] [FLAGS]\n\n");
    help_text(&help,
              "Data goes to stdout, messages and progress to stderr. Flags may stand before or after the verb, as "
              "`--name=value` or `--name value`; `--` ends them. A unique beginning of an id is enough, `@` is "
              "the last job submitted from here. Ctrl-C in a verb that waits does not stop the job; a message "
              "says how to wait for it again.");
    printf("\n| verb | |\n|---|---|\n");
    for (int i = 0; (verb = verb_at(i)); i++)
        printf("| [`%s`](#%s) | %s |\n", verb->name, verb->name, verb->summary);
    printf("\n## Flags of every verb\n");
    markdown_flags(&help, cmd_command(NULL).tables[COMMAND_TABLES - 1].flags);
    printf("\n## Exit status\n\n| status | meaning |\n|---|---|\n");
    for (size_t i = 0; i < countof(exit_codes); i++)
        printf("| %d | %s |\n", exit_codes[i].code, exit_codes[i].meaning);
    for (int i = 0; (verb = verb_at(i)); i++) {
        printf("\n## %s\n\n    ddq %s%s%s\n\n", verb->name, verb->name, *verb->args ? " " : "", verb->args);
        char *summary = xasprintf("%s.", verb->summary);
        help_text(&help, summary);
        free(summary);
        if (verb->detail) {
            printf("\n```\n");
            help_text(&help, verb->detail);
            printf("```\n");
        }
        if (verb->flags)
            markdown_flags(&help, verb->flags);
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

static const Flag flags[] = {
    {"markdown", 0, NULL, "the whole of docs/cli.md"},
    {NULL, 0, NULL, NULL},
};

static bool no_help(const char *word, Err *err)
{
    const char *names[128] = {"configuration"};
    char meant[MEANT_TEXT];
    const Verb *verb;
    int count = 1;
    for (int i = 0; (verb = verb_at(i)) && count < (int)countof(names); i++)
        names[count++] = verb->name;
    return err_set(err, ERR_USAGE,
                   "no help about '%.60s'%s `ddq help` lists the verbs; the other topic is configuration", word,
                   nearest_meant(nearest_name(word, names, count), meant));
}

static bool help_run(Cmd *cmd, Err *err)
{
    if (cmd_has(cmd, "markdown"))
        help_markdown();
    else if (!cmd->arg_count)
        help_all(stdout);
    else if (strcmp(cmd->args[0], "configuration") == 0)
        help_configuration();
    else if (verb_find(cmd->args[0]))
        help_verb(verb_find(cmd->args[0]));
    else
        return no_help(cmd->args[0], err);
    return true;
}

const Verb verb_help = {
    .name = "help",
    .args = "[VERB|configuration]",
    .most = 1,
    .summary = "What ddq or one of its verbs does, or the keys of ddq.conf",
    .flags = flags,
    .run = help_run,
};
