#include "core/help.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_UNKNOWN = 80, WIDTH_LEAST = 40 };

Help help_to(FILE *to)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    width = width <= 0 ? WIDTH_UNKNOWN : width > HELP_WIDEST ? HELP_WIDEST : width;
    return (Help){.to = to, .width = width < WIDTH_LEAST ? WIDTH_LEAST : width, .bold = "", .plain = ""};
}

/* Columns of a UTF-8 text. */
static int columns_of(const char *text, size_t len)
{
    int columns = 0;
    for (size_t c = 0; c < len; c++)
        columns += ((unsigned char)text[c] & 0xc0) != 0x80;
    return columns;
}

/* text[len] word by word, from `indent` on, where the cursor is. Ends the line. */
static void wrap(const Help *help, const char *text, size_t len, int indent)
{
    int column = indent;
    for (size_t at = 0; at < len;) {
        size_t word = strcspn(text + at, " \n");
        int columns = columns_of(text + at, word);
        if (column > indent && column + 1 + columns > help->width) {
            fprintf(help->to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', help->to);
            column++;
        }
        fprintf(help->to, "%.*s", (int)word, text + at);
        column += columns;
        at += word + strspn(text + at + word, " ");
    }
    fputc('\n', help->to);
}

/* Where the following lines of a line start. */
static size_t hang_of(const Help *help, const char *line, size_t len)
{
    size_t lead = strspn(line, " "), hang = lead;
    for (size_t c = lead; c + 2 < len; c++)
        if (line[c] == ' ' && line[c + 1] == ' ' && line[c + 2] != ' ')
            hang = c + 2;
    return hang > lead && (int)hang < help->width - WIDTH_LEAST / 2 ? hang : lead;
}

void help_text(const Help *help, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n"), hang = hang_of(help, text, len);
        fprintf(help->to, "%.*s", (int)hang, text);
        wrap(help, text + hang, len - hang, (int)hang);
        text += len + (text[len] == '\n');
    }
}

void help_row(const Help *help, const char *head, int column, const char *text)
{
    int columns = columns_of(head, strlen(head));
    fprintf(help->to, "%s", head);
    if (columns + 1 > column)
        fprintf(help->to, "\n%*s", column, "");
    else
        fprintf(help->to, "%*s", column - columns, "");
    wrap(help, text, strlen(text), column);
}

char *help_flag_words(const Flag *flag)
{
    char letter[8] = "";
    if (flag->letter)
        snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    return xasprintf("%s--%s%s%s", letter, flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
}

void help_flags(const Help *help, const FlagTable *table)
{
    if (!table->flags || !table->title)
        return;
    fprintf(help->to, "\n%s%s%s\n", help->bold, table->title, help->plain);
    for (const Flag *flag = table->flags; flag->name; flag++) {
        char *words = help_flag_words(flag), *head = xasprintf("  %s", words);
        help_row(help, head, HELP_COLUMN, flag->help);
        free(words);
        free(head);
    }
}

void help_item(Buf *page, const char *text)
{
    char *item = xasprintf("-  %s", text), *wrapped = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&wrapped, &size);
    assert(to);
    const Help help = {.to = to, .width = HELP_WIDEST, .bold = "", .plain = ""};
    help_text(&help, item);
    fclose(to);
    buf_add(page, wrapped, size);
    free(wrapped);
    free(item);
}

void help_command(const Help *help, const Command *command)
{
    const char *args = command->args ? command->args : "", *verb = command->verb ? command->verb : "";
    char *usage = xasprintf("%s%s%s%s%s [FLAGS]", command->program, *verb ? " " : "", verb, *args ? " " : "", args);
    fprintf(help->to, "%susage%s  ", help->bold, help->plain);
    wrap(help, usage, strlen(usage), (int)strlen("usage  "));
    fputc('\n', help->to);
    free(usage);
    help_text(help, command->summary);
    if (command->detail) {
        fputc('\n', help->to);
        help_text(help, command->detail);
    }
    for (int i = 0; i < COMMAND_TABLES; i++)
        help_flags(help, &command->tables[i]);
}
