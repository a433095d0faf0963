/* ddq-worker: finds the verb (verbs.h), parses its flags, prints help or runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/descriptors.h"
#include "core/help.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/nearest.h"
#include "kernels/omp_env.h"
#include "spec/proto.h"
#include "worker/files/mapped.h"
#include "worker/verbs.h"

static const Command program = {
    .program = "ddq-worker", .args = "VERB", .most = -1, .tables = {{"flags of every verb", worker_flags}}};

static void print_help(void)
{
    const Help help = help_to(stdout);
    printf("usage  ddq-worker VERB [ARGUMENTS] [FLAGS]\n\nRuns image generation jobs.\n\nverbs\n");
    for (int i = 0; i < WORKER_VERBS; i++) {
        const Command *command = &worker_verbs[i].command;
        char *head = xasprintf("  %s %s", command->verb, command->args ? command->args : "");
        help_row(&help, head, HELP_COLUMN, command->summary);
        free(head);
    }
    help_flags(&help, &program.tables[0]);
}

static int find_row(const char *name)
{
    for (int i = 0; i < WORKER_VERBS; i++)
        if (strcmp(name, worker_verbs[i].command.verb) == 0)
            return i;
    return -1;
}

/* The index of the verb in words, before or after flags; verbs that look like flags included. -1: none. */
static int find_verb(int count, char *const *words)
{
    FlagTable tables[WORKER_VERBS * COMMAND_TABLES];
    for (int i = 0; i < WORKER_VERBS; i++)
        memcpy(tables + i * COMMAND_TABLES, worker_verbs[i].command.tables, sizeof worker_verbs[i].command.tables);
    for (int i = 0; i < count; i++)
        if (words[i][0] == '-' && find_row(words[i]) >= 0)
            return i;
    return flags_verb(tables, countof(tables), count, words);
}

static int unknown_verb(const char *name)
{
    const char *names[WORKER_VERBS];
    char meant[MEANT_TEXT];
    Err err = {0};
    for (int i = 0; i < WORKER_VERBS; i++)
        names[i] = worker_verbs[i].command.verb;
    err_set(&err, ERR_USAGE, "unknown verb '%.60s'%s `ddq-worker --help` lists them", name,
            nearest_meant(nearest_name(name, names, WORKER_VERBS), meant));
    return worker_error(&err);
}

static int print_version(void)
{
    printf("ddq-worker %s, protocol %d\n", DDQ_VERSION, PROTO_VERSION);
    return EXIT_OK;
}

/* row -1: no verb. */
static int run(int row, int count, char *const *words)
{
    const Command *command = row < 0 ? &program : &worker_verbs[row].command;
    CommandLine line;
    Err err = {0};
    int status = EXIT_OK;
    const Help help = help_to(stdout);
    if (!flags_parse(command, count, words, &line, &err))
        status = worker_error(&err);
    else if (flags_has(&line, "version"))
        status = print_version();
    else if (flags_has(&line, "help") && row < 0)
        print_help();
    else if (flags_has(&line, "help"))
        help_command(&help, command);
    else if (row < 0) {
        err_set(&err, ERR_USAGE, "a verb is missing; `ddq-worker --help` lists them");
        status = worker_error(&err);
    } else
        status = worker_verbs[row].run(&line);
    flags_free(&line);
    return status;
}

int main(int argc, char **argv)
{
    LogLevel level;
    descriptors_own();
    omp_env_set(argv);
    mapped_guard();
    const char *wanted = getenv("DDQ_LOG");
    if (wanted && log_level_parse(wanted, &level))
        log_level_set(level);
    int count = argc - 1, at = find_verb(count, argv + 1), row = at < 0 ? -1 : find_row(argv[1 + at]);
    if (at >= 0 && row < 0)
        return unknown_verb(argv[1 + at]);
    if (at >= 0) /* removes the verb from the words */
        memmove(argv + 1 + at, argv + 2 + at, sizeof *argv * (size_t)(--count - at));
    return descriptors_flush("ddq-worker", run(row, count, argv + 1));
}
