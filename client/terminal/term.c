#include "client/terminal/term.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const sequences[] = {
    [COLOR_PLAIN] = "",          [COLOR_DIM] = "\033[2m",  [COLOR_BOLD] = "\033[1m",  [COLOR_GREEN] = "\033[32m",
    [COLOR_YELLOW] = "\033[33m", [COLOR_RED] = "\033[31m", [COLOR_BLUE] = "\033[34m",
};

static bool colored[2]; /* stdout, stderr: determined once, because a table has thousands of cells */

static bool set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

bool term_init(const char *word)
{
    bool always = word && strcmp(word, "always") == 0, never = word && strcmp(word, "never") == 0;
    if (word && !always && !never && strcmp(word, "auto") != 0)
        return false;
    bool may = !never && !set("NO_COLOR");
    colored[0] = always || (may && term_is_terminal(stdout));
    colored[1] = always || (may && term_is_terminal(stderr));
    return true;
}

bool term_is_terminal(FILE *to)
{
    const char *kind = getenv("TERM");
    return isatty(fileno(to)) && !(kind && strcmp(kind, "dumb") == 0);
}

const char *term_color(FILE *to, Color color)
{
    return colored[to == stderr] ? sequences[color] : "";
}

const char *term_reset(FILE *to)
{
    return *term_color(to, COLOR_BOLD) ? "\033[0m" : "";
}

int term_width(FILE *to)
{
    struct winsize size;
    if (!isatty(fileno(to)))
        return 0;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    return width > 0 ? width : 80;
}

bool term_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++)
        if (set(names[i])) {
            const char *value = getenv(names[i]);
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
    return false;
}

int term_columns(const char *text)
{
    int columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80; /* continuation bytes take no room */
    return columns;
}

int term_control(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    return (*c && *c < 0x20) || *c == 0x7f ? 1 : c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

void term_clean(char *text)
{
    char *to = text;
    while (*text) {
        int control = term_control(text);
        *to++ = control ? ' ' : *text;
        text += control ? control : 1;
    }
    *to = 0;
}

void term_put(FILE *to, const char *text, int columns)
{
    int seen = 0;
    while (*text) {
        bool starts = ((unsigned char)*text & 0xc0) != 0x80;
        if (starts && columns && seen++ >= columns)
            break;
        int control = term_control(text);
        fputc(control ? ' ' : *text, to);
        text += control ? control : 1;
    }
}

/* By hand: a table of ten thousand jobs counts twenty thousand times. */
const char *term_count(double count, char text[TERM_TEXT])
{
    bool negative = count < 0;
    char *at = text + TERM_TEXT - 1;
    long long rest = fabs(count) < 1e15 ? llround(fabs(count)) : 0;
    *at = 0;
    for (int digits = 0; digits == 0 || rest; digits++, rest /= 10) {
        if (digits && digits % 3 == 0)
            *--at = ',';
        *--at = (char)('0' + rest % 10);
    }
    if (negative && *at != '0')
        *--at = '-';
    memmove(text, at, (size_t)(text + TERM_TEXT - at));
    return text;
}

const char *term_duration(double seconds, char text[TERM_TEXT])
{
    if (!(seconds >= 0) || seconds > 1e9) {
        snprintf(text, TERM_TEXT, "-");
        return text;
    }
    long s = lround(seconds);
    if (seconds < 9.95)
        snprintf(text, TERM_TEXT, "%.1fs", seconds);
    else if (s < 60)
        snprintf(text, TERM_TEXT, "%lds", s);
    else if (s < 3600)
        snprintf(text, TERM_TEXT, "%ldm%02lds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, TERM_TEXT, "%ldh%02ldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, TERM_TEXT, "%ldd%02ldh", s / 86400, s / 3600 % 24);
    return text;
}

const char *term_rate(double per_second, char text[TERM_TEXT])
{
    if (!(per_second > 0))
        snprintf(text, TERM_TEXT, "-");
    else
        snprintf(text, TERM_TEXT, per_second < 1 ? "%.2f/s" : per_second < 10 ? "%.1f/s" : "%.0f/s", per_second);
    return text;
}
