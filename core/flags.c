#include "core/flags.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/nearest.h"

/* --- words ---------------------------------------------------------------------------------------------- */

/* A word that starts with '-' but is neither "-" nor a number. */
static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]) &&
           !(word[1] == '.' && isdigit((unsigned char)word[2]));
}

static const Flag *find(const Flag *flags, const char *name, size_t len, char letter)
{
    for (; flags && flags->name; flags++) {
        size_t c = 0;
        if (letter && flags->letter == letter)
            return flags;
        while (!letter && c < len && flags->name[c] &&
               (flags->name[c] == '_' ? '-' : flags->name[c]) == (name[c] == '_' ? '-' : name[c]))
            c++;
        if (!letter && c == len && !flags->name[c])
            return flags;
    }
    return NULL;
}

const Flag *flags_find(const Flag *flags, const char *name)
{
    return find(flags, name, strlen(name), 0);
}

/* The row that a word like "--limit", "--limit=3" or "-n" names. *ret_len: length of its name. */
static const Flag *find_word(const FlagTable *tables, int count, const char *word, size_t *ret_len)
{
    bool is_long = word[1] == '-';
    const Flag *flag = NULL;
    *ret_len = is_long ? strcspn(word + 2, "=") : 1;
    for (int i = 0; i < count && !flag; i++)
        flag = find(tables[i].flags, word + 2, *ret_len, is_long ? 0 : word[1]);
    return flag;
}

int flags_verb(const FlagTable *tables, int table_count, int count, char *const *words)
{
    for (int i = 0; i < count; i++) {
        size_t len;
        if (!is_flag(words[i]))
            return i;
        const Flag *flag = find_word(tables, table_count, words[i], &len);
        i += flag && flag->value && !strchr(words[i], '=');
    }
    return -1;
}

/* --- parsing -------------------------------------------------------------------------------------------- */

static const char *space(const Command *command)
{
    return command->verb ? " " : "";
}

static const char *verb(const Command *command)
{
    return command->verb ? command->verb : "";
}

static bool unknown_flag(const Command *command, const char *word, Err *err)
{
    const char *names[128];
    int count = 0;
    for (int i = 0; i < COMMAND_TABLES; i++)
        for (const Flag *flag = command->tables[i].flags; flag && flag->name && count < (int)countof(names); flag++)
            names[count++] = flag->name;
    char *name = xasprintf("%.*s", (int)strcspn(word, "="), word), meant[MEANT_TEXT];
    const char *nearest = nearest_name(name + strspn(name, "-"), names, count);
    char *shown = nearest ? xasprintf("--%s", nearest) : NULL;
    for (char *c = shown; c && *c; c++)
        *c = *c == '_' ? '-' : *c;
    err_set(err, ERR_USAGE, "unknown flag %.60s%s `%s%s%s --help` lists them", name, nearest_meant(shown, meant),
            command->program, space(command), verb(command));
    free(name);
    free(shown);
    return false;
}

static bool count_args(const Command *command, const CommandLine *line, Err *err)
{
    const char *args = command->args ? command->args : "", *gap = *args ? " " : "";
    if (flags_has(line, "help") || flags_has(line, "version"))
        return true;
    if (line->arg_count < command->least)
        return err_set(err, ERR_USAGE, "an argument is missing; usage: %s%s%s%s%s", command->program, space(command),
                       verb(command), gap, args);
    if (command->most >= 0 && line->arg_count > command->most)
        return err_set(err, ERR_USAGE, "too many arguments: '%.60s' is not expected; usage: %s%s%s%s%s",
                       line->args[command->most], command->program, space(command), verb(command), gap, args);
    for (int i = 0; i < line->arg_count; i++)
        if (!*line->args[i])
            return err_set(err, ERR_USAGE, "argument %d is empty; usage: %s%s%s%s%s", i + 1, command->program,
                           space(command), verb(command), gap, args);
    return true;
}

/* words[0] is a flag. Returns how many words it takes; 0: refused. */
static int parse_flag(const Command *command, int count, char *const *words, CommandLine *line, Err *err)
{
    const char *word = words[0], *value = strchr(word, '=');
    size_t len, next_len;
    const Flag *flag = find_word(command->tables, COMMAND_TABLES, word, &len);
    if (!flag)
        return unknown_flag(command, word, err);
    if (word[1] != '-' && word[2])
        return err_set(err, ERR_USAGE, "give the short flags of %.60s separately", word);
    if (!flag->value && value)
        return err_set(err, ERR_USAGE, "--%s takes no value", flag->name);
    bool next = flag->value && !value;
    if (next && count < 2)
        return err_set(err, ERR_USAGE, "%s needs a value: %s", word, flag->value);
    if (next && (strcmp(words[1], "--") == 0 ||
                 (is_flag(words[1]) && find_word(command->tables, COMMAND_TABLES, words[1], &next_len))))
        return err_set(err, ERR_USAGE, "%s needs a value: %s; the next word is %.60s", word, flag->value, words[1]);
    value = next ? words[1] : value ? value + 1 : NULL;
    if (value && !*value && flag->value[0] != '[')
        return err_set(err, ERR_USAGE, "--%s is empty, wanted %s; leave the flag out if there is none", flag->name,
                       flag->value);
    line->flags[line->flag_count++] = (FlagValue){flag->name, value};
    return 1 + next;
}

bool flags_parse(const Command *command, int count, char *const *words, CommandLine *ret_line, Err *err)
{
    CommandLine *line = ret_line;
    *line = (CommandLine){.args = xcalloc((size_t)count + 1, sizeof *line->args),
                          .flags = xcalloc((size_t)count + 1, sizeof *line->flags)};
    bool flags_end = false;
    for (int i = 0; i < count;) {
        int taken = 1;
        if (flags_end || (strcmp(words[i], "--") != 0 && !is_flag(words[i])))
            line->args[line->arg_count++] = words[i];
        else if (strcmp(words[i], "--") == 0)
            flags_end = true;
        else if (!(taken = parse_flag(command, count - i, words + i, line, err)))
            return false;
        i += taken;
    }
    return count_args(command, line, err);
}

void flags_free(CommandLine *line)
{
    free(line->args);
    free(line->flags);
    *line = (CommandLine){.args = NULL};
}

/* --- values --------------------------------------------------------------------------------------------- */

const char *flags_value(const CommandLine *line, const char *name)
{
    for (int i = line->flag_count - 1; i >= 0; i--)
        if (strcmp(line->flags[i].name, name) == 0)
            return line->flags[i].value ? line->flags[i].value : "";
    return NULL;
}

bool flags_has(const CommandLine *line, const char *name)
{
    return flags_value(line, name) != NULL;
}

bool flags_number(const CommandLine *line, const char *name, double min, double max, double *ret_number, Err *err)
{
    const char *text = flags_value(line, name);
    char *end;
    if (!text)
        return true;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= min && number <= max))
        return err_set(err, ERR_USAGE, "--%s is '%.40s', wanted a number from %g to %g", name, text, min, max);
    *ret_number = number;
    return true;
}

bool flags_whole(const CommandLine *line, const char *name, int min, int max, int *ret_number, Err *err)
{
    const char *text = flags_value(line, name);
    char *end;
    if (!text)
        return true;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= min && number <= max && number == floor(number)))
        return err_set(err, ERR_USAGE, "--%s is '%.40s', wanted a whole number from %d to %d", name, text, min, max);
    *ret_number = (int)number;
    return true;
}

static char *span_text(double seconds)
{
    if (seconds >= 86400)
        return xasprintf("%gd", seconds / 86400);
    return xasprintf(seconds >= 1 || seconds == 0 ? "%gs" : "%gms", seconds >= 1 ? seconds : seconds * 1000);
}

bool flags_span(const CommandLine *line, const char *name, double min, double max, double *ret_seconds, Err *err)
{
    const char *text = flags_value(line, name);
    double seconds;
    if (!text)
        return true;
    if (clock_span(text, true, &seconds) && seconds >= min && seconds <= max) {
        *ret_seconds = seconds;
        return true;
    }
    char *least = span_text(min), *most = span_text(max);
    err_set(err, ERR_USAGE, "--%s is '%.40s', wanted " CLOCK_SPAN_TEXT ", from %s to %s; a bare number means seconds",
            name, text, least, most);
    free(least);
    free(most);
    return false;
}

bool flags_seconds(const CommandLine *line, const char *name, int min, int max, int *ret_seconds, Err *err)
{
    double seconds = 0;
    if (!flags_has(line, name))
        return true;
    if (!flags_span(line, name, min, max, &seconds, err))
        return false;
    if (seconds != floor(seconds))
        return err_set(err, ERR_USAGE, "--%s is '%.40s', wanted whole seconds", name, flags_value(line, name));
    *ret_seconds = (int)seconds;
    return true;
}

/* The index of text[len] in choices; -1: it is none of them. */
static int choose(const char *name, const char *text, size_t len, const char *const *choices, Err *err)
{
    Buf all = {0};
    int count = 0;
    for (; choices[count]; count++) {
        if (strlen(choices[count]) == len && strncmp(choices[count], text, len) == 0) {
            buf_free(&all);
            return count;
        }
        buf_printf(&all, "%s%s", !count ? "" : choices[count + 1] ? ", " : " or ", choices[count]);
    }
    char *word = xasprintf("%.*s", (int)len, text), meant[MEANT_TEXT];
    err_set(err, ERR_USAGE, "--%s is '%.40s', wanted %s%s", name, word, all.data,
            nearest_meant(nearest_name(word, choices, count), meant));
    free(word);
    buf_free(&all);
    return -1;
}

bool flags_choice(const CommandLine *line, const char *name, const char *const *choices, int *ret_index, Err *err)
{
    const char *text = flags_value(line, name);
    int index = text ? choose(name, text, strlen(text), choices, err) : 0;
    if (text && index >= 0)
        *ret_index = index;
    return index >= 0;
}

bool flags_choices(const CommandLine *line, const char *name, const char *const *choices, unsigned *ret_bits, Err *err)
{
    const char *text = flags_value(line, name);
    unsigned bits = 0;
    while (text) {
        size_t len = strcspn(text, ",");
        int index = choose(name, text, len, choices, err);
        if (index < 0)
            return false;
        bits |= 1u << index;
        text = text[len] ? text + len + 1 : NULL;
    }
    if (bits)
        *ret_bits = bits;
    return true;
}
