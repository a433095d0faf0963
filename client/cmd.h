/* One call of a verb: its checked arguments, and what most verbs need, each opened at first use (so that `ddq version`
 * reads no file and opens no socket). */
#ifndef CLIENT_CMD_H
#define CLIENT_CMD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/redis.h"
#include "client/verb.h"
#include "spec/conf/conf.h"

struct Cmd {
    const Verb *verb;
    const char **args;
    int arg_count;
    CommandLine line;  /* line.flags: of the verb and common ones */
    FlagValue *fields; /* of the job spec; names with '_' */
    int field_count;
    bool json, quiet;
    bool said_dropped; /* that an answer held entries that are left out */
    int exit_code;
    Conf *conf;
    Redis *redis;
    char *user;
};

/* The verb as a Command of core/flags.h, with the flags that every verb takes. NULL: only those. */
Command cmd_command(const Verb *verb);

/* words[count]: the command line without the program and the verb; the Cmd points into it. cmd_done also after a
 * failure. */
bool cmd_parse(Cmd *cmd, const Verb *verb, int count, char *const *words, Err *err);
void cmd_done(Cmd *cmd);

bool cmd_has(const Cmd *cmd, const char *flag);
const char *cmd_value(const Cmd *cmd, const char *flag); /* NULL when not given */
bool cmd_number(const Cmd *cmd, const char *flag, double min, double max, double *ret_number,
                Err *err); /* untouched when not given */

bool cmd_conf(Cmd *cmd, const Conf **ret_conf, Err *err);
bool cmd_user(Cmd *cmd, const char **ret_user, Err *err); /* --as, DDQ_AS, or the caller's own name (spec/username.h) */
bool cmd_connect(Cmd *cmd, Err *err);                     /* cmd->redis, at the address of client/reach.h */
/* A function of the queue on the verb's connection. args is consumed. Entries of the answer with ids or names that are
 * none (client/sieve.h) are removed, with one message on stderr. Without --json its texts
 * hold no control characters, and times in reasons and sentences are those of this machine. */
bool cmd_call(Cmd *cmd, QueueFn fn, cJSON *args, cJSON **ret_reply, Err *err);

/* "@" is the last job submitted by this user here. */
bool cmd_remember(const char *id, Err *err);
bool cmd_id(const char *word, char **ret_id, Err *err); /* the id that a word means; caller frees */

void cmd_say(const Cmd *cmd, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* a line on stderr, not with --quiet */
void cmd_json(cJSON *object);              /* a line on stdout; consumed */

#endif
