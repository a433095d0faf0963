#include "ini.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#ifndef INI_API
#define INI_API
#endif

bool ini_use_stack, ini_allow_multiline, ini_allow_realloc;
int ini_max_line = 1 << 16;

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = 0;
    return text;
}

static void cut_comment(char *text)
{
    for (char *c = text; *c; c++)
        if (*c == ';' && (c == text || isspace((unsigned char)c[-1]))) {
            *c = 0;
            return;
        }
}

/* False for a line that is nothing known. */
static bool read_line(char *line, char *section, size_t room, ini_handler handler, void *user)
{
    char *text = trim(line);
    if (!*text || *text == ';' || *text == '#')
        return true;
    if (*text == '[') {
        char *close = strchr(text, ']');
        if (!close || (size_t)(close - text) > room)
            return false;
        *close = 0;
        strcpy(section, text + 1);
        return true;
    }
    char *mark = strpbrk(text, "=:");
    if (!mark)
        return false;
    *mark = 0;
    char *value = mark + 1;
    cut_comment(value);
    return handler(user, section, trim(text), trim(value)) != 0;
}

int ini_parse_stream(ini_reader reader, void *stream, ini_handler handler, void *user)
{
    int number = 0, bad = 0;
    size_t room = (size_t)ini_max_line;
    char *line = malloc(room), *section = calloc(1, room);
    while (!bad && line && section && reader(line, (int)room, stream)) {
        char *text = line;
        if (++number == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
            text += 3;
        if (!read_line(text, section, room, handler, user))
            bad = number;
    }
    if (!line || !section)
        bad = -2;
    free(line);
    free(section);
    return bad;
}
