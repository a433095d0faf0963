#include "client/cmd.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/reach.h"
#include "client/sieve.h"
#include "client/terminal/term.h"
#include "client/terminal/when.h"
#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"
#include "spec/username.h"

/* --- the command line ----------------------------------------------------------------------------------- */

static const Flag common_flags[] = {
    {"redis", 0, "URL", "address of Redis: " REDIS_URL_FORMS " (or DDQ_REDIS)"},
    {"conf", 0, "FILE", "read this file instead of /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf (or DDQ_CONF)"},
    {"as", 0, "USER", "act for this user, as an administrator may (or DDQ_AS)"},
    {"json", 0, NULL, "print JSON on stdout, with times in UTC instead of local time"},
    {"quiet", 'q', NULL, "print only ids, no messages"},
    {"color", 0, "WHEN", "auto, always or never (or DDQ_COLOR; NO_COLOR is honoured)"},
    {"help", 'h', NULL, "show what the verb does and its flags"},
    {"version", 0, NULL, "print the version of this program"},
    {NULL, 0, NULL, NULL},
};

enum { OWN_FLAGS, JOB_FIELDS, COMMON_FLAGS };

/* A row for each field of the job spec, for the parser alone. */
static const Flag *field_flags(void)
{
    static Flag flags[128];
    const char *name;
    for (int i = 0; i < (int)countof(flags) - 1 && (name = jobspec_field_name(i)); i++)
        flags[i] = (Flag){name, 0, jobspec_field_may_be_empty(name) ? "[VALUE]" : "VALUE", ""};
    return flags;
}

Command cmd_command(const Verb *verb)
{
    Command command = {.program = "ddq", .args = "VERB"};
    if (verb)
        command = (Command){
            .program = "ddq",
            .verb = verb->name,
            .args = verb->args,
            .least = verb->least,
            .most = verb->most,
            .summary = verb->summary,
            .detail = verb->detail,
            .tables = {
                [OWN_FLAGS] = {"flags", verb->flags}, [JOB_FIELDS] = {NULL, verb->job_flags ? field_flags() : NULL}}};
    command.tables[COMMON_FLAGS] = (FlagTable){"flags of every verb", common_flags};
    return command;
}

/* Moves the fields of the job out of the flags; no flag of a verb with job_flags has the name of a field. */
static void part_fields(Cmd *cmd)
{
    const Command command = cmd_command(cmd->verb);
    int kept = 0;
    cmd->fields = xcalloc((size_t)cmd->line.flag_count + 1, sizeof *cmd->fields);
    for (int i = 0; i < cmd->line.flag_count; i++) {
        FlagValue flag = cmd->line.flags[i];
        if (flags_find(command.tables[JOB_FIELDS].flags, flag.name))
            cmd->fields[cmd->field_count++] = flag;
        else
            cmd->line.flags[kept++] = flag;
    }
    cmd->line.flag_count = kept;
}

bool cmd_parse(Cmd *cmd, const Verb *verb, int count, char *const *words, Err *err)
{
    const Command command = cmd_command(verb);
    *cmd = (Cmd){.verb = verb};
    if (!flags_parse(&command, count, words, &cmd->line, err))
        return false;
    part_fields(cmd);
    cmd->args = cmd->line.args;
    cmd->arg_count = cmd->line.arg_count;
    cmd->json = cmd_has(cmd, "json");
    cmd->quiet = cmd_has(cmd, "quiet");
    const char *color = cmd_value(cmd, "color"), *fallback = getenv("DDQ_COLOR");
    return term_init(color                   ? color
                     : fallback && *fallback ? fallback
                                             : NULL) ||
           err_set(err, ERR_USAGE, "--color is '%s', wanted auto, always or never", color ? color : fallback);
}

void cmd_done(Cmd *cmd)
{
    flags_free(&cmd->line);
    free(cmd->fields);
    free(cmd->user);
    conf_free(cmd->conf);
    redis_close(cmd->redis);
}

const char *cmd_value(const Cmd *cmd, const char *flag)
{
    return flags_value(&cmd->line, flag);
}

bool cmd_has(const Cmd *cmd, const char *flag)
{
    return flags_has(&cmd->line, flag);
}

bool cmd_number(const Cmd *cmd, const char *flag, double min, double max, double *ret_number, Err *err)
{
    return flags_number(&cmd->line, flag, min, max, ret_number, err);
}

/* --- what verbs share ----------------------------------------------------------------------------------- */

/* The user for whom an administrator acts; NULL: none. */
static const char *acts_for(const Cmd *cmd)
{
    const char *flag = cmd_value(cmd, "as"), *variable = getenv("DDQ_AS");
    return flag ? flag : variable && *variable ? variable : NULL;
}

bool cmd_conf(Cmd *cmd, const Conf **ret_conf, Err *err)
{
    if (!cmd->conf && !conf_load(cmd_value(cmd, "conf"), &cmd->conf, err))
        return false;
    *ret_conf = cmd->conf;
    return true;
}

/* The caller's name in the queue. Behind a daemon's socket the daemon decides it, by the same rule. */
bool cmd_user(Cmd *cmd, const char **ret_user, Err *err)
{
    const char *as = acts_for(cmd);
    if (as && !username_ok(as))
        return err_set(err, ERR_USAGE,
                       "--as is '%.40s', wanted at most 32 letters, digits and . _ - with none of . - first", as);
    if (!cmd->user) {
        const struct passwd *entry = as ? NULL : getpwuid(geteuid());
        char name[USERNAME_MAX];
        username_from_login(entry ? entry->pw_name : NULL, geteuid(), name);
        cmd->user = xstrdup(as ? as : name);
    }
    *ret_user = cmd->user;
    return true;
}

bool cmd_connect(Cmd *cmd, Err *err)
{
    const char *named = reach_named(cmd_value(cmd, "redis"));
    const Conf *conf = NULL; /* not needed, and may be broken, where an address is given */
    if (cmd->redis)
        return true;
    if (!cmd_value(cmd, "redis") && !cmd_conf(cmd, &conf, err))
        return false;
    Reach reach = reach_find(conf, named);
    bool ok = redis_open(&reach, &cmd->redis, err);
    free(reach.url);
    return ok;
}

/* For people: no text of others steers their terminal, and the times of sentences, which are UTC, are theirs. */
static void translate(cJSON *item, bool in_row, bool times)
{
    const bool sentence =
        in_row || (item->string && (strcmp(item->string, "reason") == 0 || strcmp(item->string, "text") == 0));
    if (item->string && !(item->type & cJSON_StringIsConst))
        term_clean(item->string);
    if (cJSON_IsString(item))
        term_clean(item->valuestring);
    if (cJSON_IsString(item) && sentence && times) {
        char *here = when_here(item->valuestring, wall_ms());
        if (strcmp(here, item->valuestring) != 0)
            cJSON_SetValuestring(item, here);
        free(here);
    }
    cJSON *child;
    cJSON_ArrayForEach(child, item) translate(child, cJSON_IsArray(item) && !item->string, times);
}

bool cmd_call(Cmd *cmd, QueueFn fn, cJSON *args, cJSON **ret_reply, Err *err)
{
    if (!cmd_connect(cmd, err)) {
        cJSON_Delete(args);
        return false;
    }
    if (acts_for(cmd)) {
        args = args ? args : cJSON_CreateObject();
        cJSON_AddStringToObject(args, "as", acts_for(cmd));
    }
    if (!redis_call(cmd->redis, fn, args, ret_reply, err))
        return false;
    int dropped = sieve_reply(*ret_reply);
    if (dropped && !cmd->said_dropped)
        cmd_say(cmd, "ddq: %d entr%s in Redis with ids or names that the queue never gives %s left out", dropped,
                dropped == 1 ? "y" : "ies", dropped == 1 ? "is" : "are");
    cmd->said_dropped |= dropped > 0;
    if (!cmd->json)
        translate(*ret_reply, false, fn != QUEUE_LOGS); /* log lines keep their times */
    return true;
}

/* --- the last job ------------------------------------------------------------------------------------------ */

static char *last_path(void)
{
    char *state = conf_default_state(), *path = xasprintf("%s/last-job-%u", state, (unsigned)geteuid());
    free(state);
    return path;
}

bool cmd_remember(const char *id, Err *err)
{
    char *path = last_path(), *line = xasprintf("%s\n", id);
    bool ok = file_make_parents(path, 0700, err) && file_write_quick(path, line, strlen(line), err);
    free(line);
    free(path);
    return ok;
}

bool cmd_id(const char *word, char **ret_id, Err *err)
{
    size_t len = strspn(word, "0123456789abcdefghjkmnpqrstvwxyzABCDEFGHJKMNPQRSTVWXYZ");
    if (strcmp(word, "@") != 0) {
        if (!len || word[len] || len > 26)
            return err_set(err, ERR_USAGE,
                           "'%.40s' is not a job id; `ddq ls` lists them, '@' is the last one submitted", word);
        *ret_id = xstrdup(word);
        for (char *c = *ret_id; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        return true;
    }
    char *path = last_path(), line[128] = ""; /* an id, or USER/NAME of a sweep */
    FILE *file = fopen(path, "re");
    bool ok = file && fgets(line, sizeof line, file);
    if (file)
        fclose(file);
    free(path);
    line[strcspn(line, "\n")] = 0;
    if (!ok || !*line)
        return err_set(err, ERR_NOT_FOUND,
                       "no job was submitted from here yet, so '@' is not set; `ddq ls` lists jobs");
    *ret_id = xstrdup(line);
    return true;
}

/* --- output ------------------------------------------------------------------------------------------------- */

void cmd_say(const Cmd *cmd, const char *format, ...)
{
    if (cmd->quiet)
        return;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    term_put(stderr, text, 0);
    fputc('\n', stderr);
}

void cmd_json(cJSON *object)
{
    char *text = json_print(object, false);
    puts(text);
    fflush(stdout); /* streams are read line by line */
    free(text);
    cJSON_Delete(object);
}
