#include "client/cmd.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/terminal/term.h"
#include "core/nearest.h"
#include "core/file.h"
#include "core/jobspec.h"
#include "core/mem.h"

/* --- the command line ----------------------------------------------------------------------------------- */

const Flag common_flags[] = {
    {"redis", 0, "URL",
     "the queue's Redis: unix:PATH, redis://[:password@]host[:port][/db] or host:port (or DDQ_REDIS)"},
    {"conf", 0, "FILE",
     "read this configuration in place of /etc/ddq/ddq.conf and ~/.config/ddq/ddq.conf (or DDQ_CONF)"},
    {"json", 0, NULL, "print JSON on stdout, times in UTC"},
    {"quiet", 'q', NULL, "print the least: ids alone, no messages"},
    {"color", 0, "WHEN", "auto, always or never (or DDQ_COLOR; NO_COLOR is honoured)"},
    {"help", 'h', NULL, "what the verb does and which flags it takes"},
    {NULL, 0, NULL, NULL},
};

static const Flag *flag_in(const Flag *flags, const char *name, size_t len, char letter)
{
    for (; flags && flags->name; flags++)
        if (letter ? flags->letter == letter : strlen(flags->name) == len && strncmp(flags->name, name, len) == 0)
            return flags;
    return NULL;
}

static const Flag *flag_find(const Verb *verb, const char *name, size_t len, char letter)
{
    const Flag *flag = flag_in(verb->flags, name, len, letter);
    return flag ? flag : flag_in(common_flags, name, len, letter);
}

/* The field that --t-list or --t_list means, NULL if none. */
static const char *field_find(const char *name, size_t len)
{
    const char *field;
    for (int i = 0; (field = jobspec_field_name(i)); i++) {
        size_t c = 0;
        while (c < len && field[c] && (name[c] == '-' ? '_' : name[c]) == field[c])
            c++;
        if (c == len && !field[c])
            return field;
    }
    return NULL;
}

static bool unknown_flag(const Verb *verb, const char *name, size_t len, Err *err)
{
    const char *names[128], *field;
    int count = 0;
    for (const Flag *flag = common_flags; flag->name; flag++)
        names[count++] = flag->name;
    for (const Flag *flag = verb->flags; flag && flag->name; flag++)
        names[count++] = flag->name;
    for (int i = 0; verb->job_flags && count < (int)countof(names) && (field = jobspec_field_name(i)); i++)
        names[count++] = field;
    char *word = xasprintf("%.*s", (int)(len > 60 ? 60 : len), name);
    const char *nearest = nearest_name(word, names, count);
    char *shown = nearest ? xasprintf("--%s", nearest) : NULL, meant[MEANT_TEXT];
    for (char *c = shown; c && *c; c++)
        *c = *c == '_' ? '-' : *c;
    err_set(err, ERR_USAGE, "ddq %s: unknown flag --%s%s `ddq %s --help` lists them", verb->name, word,
            nearest_meant(shown, meant), verb->name);
    free(word);
    free(shown);
    return false;
}

/* One word that starts with a dash; *i moves past its value. */
static bool parse_flag(Cmd *cmd, int argc, char **argv, int *i, Err *err)
{
    const char *word = argv[*i], *value = NULL, *field = NULL;
    bool is_long = word[1] == '-';
    const char *name = is_long ? word + 2 : word + 1;
    size_t len = is_long ? strcspn(name, "=") : 1;
    const Flag *flag = flag_find(cmd->verb, name, len, is_long ? 0 : *name);
    if (is_long && !flag && cmd->verb->job_flags)
        field = field_find(name, len);
    if (!flag && !field)
        return unknown_flag(cmd->verb, name, is_long ? len : strlen(name), err);
    if (name[len] && !(is_long && name[len] == '='))
        return err_set(err, ERR_USAGE, "ddq %s: write the letters of %s one by one", cmd->verb->name, word);
    if (name[len])
        value = name + len + 1;
    bool wants = field || flag->value;
    if (!wants && value)
        return err_set(err, ERR_USAGE, "ddq %s: --%s takes no value", cmd->verb->name, flag->name);
    if (wants && !value) {
        if (*i + 1 >= argc)
            return err_set(err, ERR_USAGE, "ddq %s: %s wants a value", cmd->verb->name, word);
        value = argv[++*i];
    }
    if (field)
        cmd->fields[cmd->field_count++] = (CmdFlag){field, value};
    else
        cmd->flags[cmd->flag_count++] = (CmdFlag){flag->name, value ? value : ""};
    return true;
}

bool cmd_parse(Cmd *cmd, const Verb *verb, int argc, char **argv, Err *err)
{
    size_t room = (size_t)argc + 1;
    *cmd = (Cmd){.verb = verb};
    cmd->args = xcalloc(room, sizeof *cmd->args);
    cmd->flags = xcalloc(room, sizeof *cmd->flags);
    cmd->fields = xcalloc(room, sizeof *cmd->fields);
    bool words_only = false;
    for (int i = 1; i < argc; i++) {
        if (!words_only && strcmp(argv[i], "--") == 0)
            words_only = true;
        else if (words_only || argv[i][0] != '-' || !argv[i][1] || isdigit((unsigned char)argv[i][1]))
            /* "-" alone is stdin, -5 a number */
            cmd->args[cmd->arg_count++] = argv[i];
        else if (!parse_flag(cmd, argc, argv, &i, err))
            return false;
    }
    cmd->json = cmd_has(cmd, "json");
    cmd->quiet = cmd_has(cmd, "quiet");
    const char *color = cmd_value(cmd, "color");
    const char *fallback = getenv("DDQ_COLOR");
    if (!term_init(color ? color : fallback && *fallback ? fallback : NULL))
        return err_set(err, ERR_USAGE, "--color is '%s', wanted auto, always or never", color ? color : fallback);
    if (cmd_has(cmd, "help"))
        return true;
    if (cmd->arg_count < verb->least || (verb->most >= 0 && cmd->arg_count > verb->most))
        return err_set(err, ERR_USAGE, "ddq %s: %s; usage: ddq %s %s", verb->name,
                       cmd->arg_count < verb->least ? "an argument is missing" : "too many arguments", verb->name,
                       verb->args);
    return true;
}

void cmd_done(Cmd *cmd)
{
    free(cmd->args);
    free(cmd->flags);
    free(cmd->fields);
    free(cmd->user);
    free(cmd->url);
    conf_free(cmd->conf);
    redis_close(cmd->redis);
}

const char *cmd_value(const Cmd *cmd, const char *flag)
{
    const char *value = NULL;
    for (int i = 0; i < cmd->flag_count; i++) /* the last one counts */
        if (strcmp(cmd->flags[i].name, flag) == 0)
            value = cmd->flags[i].value;
    return value;
}

bool cmd_has(const Cmd *cmd, const char *flag)
{
    return cmd_value(cmd, flag) != NULL;
}

bool cmd_number(const Cmd *cmd, const char *flag, double min, double max, double *ret_number, Err *err)
{
    const char *text = cmd_value(cmd, flag);
    if (!text)
        return true;
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= min && number <= max))
        return err_set(err, ERR_USAGE, "ddq %s: --%s is '%s', wanted a number from %g to %g", cmd->verb->name, flag,
                       text, min, max);
    *ret_number = number;
    return true;
}

/* --- what verbs share ----------------------------------------------------------------------------------- */

bool cmd_conf(Cmd *cmd, const Conf **ret_conf, Err *err)
{
    if (!cmd->conf && !conf_load(cmd_value(cmd, "conf"), &cmd->conf, err))
        return false;
    *ret_conf = cmd->conf;
    return true;
}

bool cmd_url(Cmd *cmd, const char **ret_url, Err *err)
{
    const char *flag = cmd_value(cmd, "redis");
    const Conf *conf;
    if (!flag && !cmd->url) {
        if (!cmd_conf(cmd, &conf, err))
            return false;
        cmd->url = conf->redis ? xstrdup(conf->redis) : conf_standalone_url(conf->state);
    }
    *ret_url = flag ? flag : cmd->url;
    return true;
}

bool cmd_user(Cmd *cmd, const char **ret_user, Err *err)
{
    const Conf *conf;
    if (!cmd->user) {
        if (!cmd_conf(cmd, &conf, err))
            return false;
        const struct passwd *entry = conf->user ? NULL : getpwuid(geteuid());
        cmd->user = conf->user ? xstrdup(conf->user) : entry ? xstrdup(entry->pw_name) : xasprintf("uid%u", geteuid());
        /* It is a folder's name and part of a key. */
        for (char *c = cmd->user; *c; c++)
            if (!isalnum((unsigned char)*c) && !(c != cmd->user && strchr("._-", *c)))
                *c = '_';
        if (strlen(cmd->user) > 32)
            cmd->user[32] = 0;
    }
    *ret_user = cmd->user;
    return true;
}

static bool connected(Cmd *cmd, Err *err)
{
    const char *url;
    return cmd->redis || (cmd_url(cmd, &url, err) && redis_open(url, &cmd->redis, err));
}

bool cmd_call(Cmd *cmd, QueueFn fn, cJSON *args, cJSON **ret_reply, Err *err)
{
    if (connected(cmd, err))
        return redis_call(cmd->redis, fn, args, ret_reply, err);
    cJSON_Delete(args);
    return false;
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
        return err_set(err, ERR_NOT_FOUND, "no job was submitted from here yet, so '@' is nobody; `ddq ls` lists jobs");
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
    char *text = cJSON_PrintUnformatted(object);
    puts(text);
    fflush(stdout); /* streams are read line by line */
    cJSON_free(text);
    cJSON_Delete(object);
}
