/* ddq: finds the verb, checks its words against its row, runs it, prints the error. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/cmd.h"
#include "client/terminal/interrupt.h"
#include "client/terminal/term.h"
#include "client/verbs/help.h"
#include "core/mem.h"
#include "core/nearest.h"

/* What was written must have arrived. A reader that went away (ddq ls | head) is no fault. */
static int finish_output(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    if (errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    fprintf(stderr, "ddq: cannot write the output: %s\n", strerror(errno));
    return exit_code ? exit_code : EXIT_ERROR;
}

static int print_error(const Err *err)
{
    fflush(stdout);
    fprintf(stderr, "%sddq:%s ", term_color(stderr, COLOR_RED), term_reset(stderr));
    term_put(stderr, err->text, 0);
    fputc('\n', stderr);
    return err_exit_code(err->kind);
}

static const Verb *choose_verb(int argc, char **argv, Err *err)
{
    static const char *const aliases[][2] = {{"--help", "help"}, {"-h", "help"}, {"--version", "version"}};
    if (argc < 2) {
        err_set(err, ERR_USAGE,
                "a verb is missing: `ddq help` lists them; `ddq submit digits-demo --watch` is a start");
        return NULL;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < countof(aliases); i++)
        if (strcmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    const Verb *verb = verb_find(name);
    char meant[MEANT_TEXT];
    if (!verb)
        err_set(err, ERR_USAGE, "unknown verb '%.60s'%s `ddq help` lists them", name,
                nearest_meant(verb_nearest(name), meant));
    return verb;
}

int main(int argc, char **argv)
{
    Err err = {0};
    Cmd cmd = {0};
    interrupt_init();
    term_init(NULL);
    const Verb *verb = choose_verb(argc, argv, &err);
    if (!verb)
        return print_error(&err);
    bool ok = cmd_parse(&cmd, verb, argc - 1, argv + 1, &err);
    if (ok && cmd_has(&cmd, "help"))
        help_verb(verb);
    else if (ok)
        ok = verb->run(&cmd, &err);
    int exit_code = ok ? cmd.exit_code : print_error(&err);
    cmd_done(&cmd);
    return finish_output(exit_code);
}
