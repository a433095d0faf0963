/* ddq: finds the verb, reads its flags, runs it, prints the error. */
#include <stdio.h>
#include <string.h>

#include "client/cmd.h"
#include "client/terminal/interrupt.h"
#include "client/terminal/term.h"
#include "client/verbs/help.h"
#include "core/descriptors.h"
#include "core/mem.h"
#include "core/nearest.h"

/* Without a verb: `ddq --help` and `ddq --version` are verbs too. */
static const Verb *verb_of_flags(int count, char *const *words, Err *err)
{
    Cmd cmd;
    Err unknown = {0};
    const Verb *verb = NULL;
    if (cmd_parse(&cmd, NULL, count, words, &unknown))
        verb = cmd_has(&cmd, "help") ? &verb_help : cmd_has(&cmd, "version") ? &verb_version : NULL;
    if (!count)
        help_all(stderr); /* whoever types the name alone wants to see what there is */
    if (!verb)
        err_set(err, ERR_USAGE, "no verb given; `ddq help` lists the verbs; try `ddq submit digits-demo --watch`");
    cmd_done(&cmd);
    return verb;
}

static bool run(Cmd *cmd, int count, char *const *words, Err *err)
{
    const char *rest[count + 1];
    int at = verb_index(count, words), rest_count = 0;
    for (int i = 0; i < count; i++)
        if (i != at)
            rest[rest_count++] = words[i];
    const Verb *verb = at < 0 ? verb_of_flags(count, words, err) : verb_find(words[at]);
    if (!verb && at >= 0)
        return verb_unknown(words[at], err);
    if (!verb || !cmd_parse(cmd, verb, rest_count, (char *const *)rest, err))
        return false;
    if (cmd_has(cmd, "help") && at >= 0)
        help_verb(verb);
    else if (cmd_has(cmd, "version"))
        return verb_version.run(cmd, err);
    else
        return verb->run(cmd, err);
    return true;
}

static int print_error(const Err *err)
{
    fflush(stdout);
    fprintf(stderr, "%sddq:%s ", term_color(stderr, COLOR_RED), term_reset(stderr));
    term_put(stderr, err->text, 0);
    fputc('\n', stderr);
    return err_exit_code(err->kind);
}

int main(int argc, char **argv)
{
    Err err = {0};
    Cmd cmd = {0};
    descriptors_own();
    redis_url_hide(argc, argv);
    interrupt_init();
    term_init(NULL);
    bool ok = run(&cmd, argc - 1, argv + 1, &err);
    int exit_code = ok ? cmd.exit_code : print_error(&err);
    cmd_done(&cmd);
    return descriptors_flush("ddq", exit_code);
}
