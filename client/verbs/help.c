#include "client/verbs/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/terminal/term.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "spec/jobspec.h"

static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {
    {EXIT_OK, "success; for a verb that waits: the job is done"},
    {EXIT_ERROR, "another error, which the message describes"},
    {EXIT_USAGE, "the command line or the job is invalid"},
    {EXIT_UNREACHABLE, "Redis or the daemon cannot be reached"},
    {EXIT_REFUSED, "temporarily refused (a quota, a busy or full Redis); try again later"},
    {EXIT_PERMISSION, "not permitted"},
    {EXIT_JOB_FAILED, "the job failed"},
    {EXIT_TIMED_OUT, "--timeout expired before the job ended"},
    {EXIT_NOT_FOUND, "no such job or file"},
    {EXIT_CANCELLED, "the job was cancelled"},
    {EXIT_INCOMPLETE, "the job is done, but some images could not be made, so there is no report and no FID"},
    {EXIT_HELD, "the job is held, or waits for a held job; ddq release continues it"},
    {EXIT_INTERRUPTED, "Ctrl-C; the job continues"},
};

static Help help_here(FILE *to)
{
    Help help = help_to(to);
    help.bold = term_color(to, COLOR_BOLD);
    help.plain = term_reset(to);
    return help;
}

static Help help_page(void)
{
    return (Help){.to = stdout, .width = HELP_WIDEST, .bold = "", .plain = ""};
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
    fprintf(to, "\n%sids%s\n", help.bold, help.plain);
    help_text(&help, "  a unique prefix is enough; '@' is the last job submitted from here\n");
    fprintf(to, "\n%smore%s\n", help.bold, help.plain);
    help_text(&help, "  ddq help VERB                     a verb and its flags\n"
                     "  ddq help glossary                 the terms, such as tier, range and slack\n"
                     "  ddq recipes                       what can be submitted by name\n"
                     "  ddq submit digits-demo --watch    a first job\n");
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
    const Help help = help_page();
    printf("# ddq, the client\n\nThis page is printed by `ddq help --markdown`.\n\n"
           "    ddq VERB [ARGUMENTS] [FLAGS]\n\n");
    help_text(&help,
              "Data goes to stdout, messages and progress to stderr. Flags may come before or after the verb, as "
              "`--name=value` or `--name value`; `--` ends them. A unique prefix of an id is enough; `@` is the "
              "last job submitted from here. Ctrl-C in a verb that waits does not stop the job; a message shows "
              "how to wait for it again. The [glossary](glossary.md) explains the terms.");
    printf("\n");
    for (int i = 0; (verb = verb_at(i)); i++) {
        char *line = xasprintf("-  [`%s`](#%s): %s", verb->name, verb->name, verb->summary);
        help_text(&help, line);
        free(line);
    }
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
            printf("\nEvery field of a queued job is also a flag: `t_list` is `--t-list 0,80`\n"
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
    {"markdown", 0, NULL, "print docs/cli.md or, with glossary, docs/glossary.md"},
    {NULL, 0, NULL, NULL},
};

static bool no_help(const char *word, Err *err)
{
    const char *names[128] = {"configuration", "glossary"};
    char meant[MEANT_TEXT];
    const Verb *verb;
    int count = 2;
    for (int i = 0; (verb = verb_at(i)) && count < (int)countof(names); i++)
        names[count++] = verb->name;
    return err_set(
        err, ERR_USAGE,
        "no help about '%.60s'%s `ddq help` lists the verbs; the other topics are configuration and glossary", word,
        nearest_meant(nearest_name(word, names, count), meant));
}

static bool help_run(Cmd *cmd, Err *err)
{
    bool markdown = cmd_has(cmd, "markdown"), glossary = cmd->arg_count && strcmp(cmd->args[0], "glossary") == 0;
    const Help page = markdown ? help_page() : help_here(stdout);
    if (glossary)
        help_glossary(&page);
    else if (markdown)
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
    .args = "[VERB|configuration|glossary]",
    .most = 1,
    .summary = "Explain ddq, a verb, the keys of ddq.conf or the terms of ddq",
    .flags = flags,
    .run = help_run,
};
