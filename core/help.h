/* Help, printed from the tables of core/flags.h and wrapped at the width of the terminal. */
#ifndef CORE_HELP_H
#define CORE_HELP_H

#include <stdio.h>

#include "core/flags.h"
#include "core/mem.h"

enum { HELP_COLUMN = 25, HELP_WIDEST = 100 };

typedef struct Help {
    FILE *to;
    int width;                /* columns */
    const char *bold, *plain; /* escape sequences around titles, "" without colours */
} Help;

/* Width of the terminal, at most HELP_WIDEST; 80 where it is unknown. No colours. */
Help help_to(FILE *to);

/* Lines, each wrapped on its own: what does not fit goes on in the column after the line's last run of two or more
 * spaces, or under its first word. */
void help_text(const Help *help, const char *text);

/* `head` at the left and `text` from `column` on; on the next line where head is too long. */
void help_row(const Help *help, const char *head, int column, const char *text);

/* "-n, --limit N" */
char *help_flag_words(const Flag *flag); /* caller frees */

/* The title, and a row for each flag; nothing for an empty table or one without a title. */
void help_flags(const Help *help, const FlagTable *table);

/* Adds an item of a Markdown list to a page: "-  TEXT", wrapped at HELP_WIDEST. */
void help_item(Buf *page, const char *text);

/* usage, summary, detail and all tables. */
void help_command(const Help *help, const Command *command);

#endif
