/* The terminal and the formats of numbers: colours, width, durations, counts. */
#ifndef CLIENT_TERMINAL_TERM_H
#define CLIENT_TERMINAL_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/clock.h"

typedef enum Color { COLOR_PLAIN, COLOR_DIM, COLOR_BOLD, COLOR_GREEN, COLOR_YELLOW, COLOR_RED, COLOR_BLUE } Color;

/* mode "auto" (NULL), "always" or "never"; auto: on a terminal, unless NO_COLOR or TERM=dumb. False on another word. */
bool term_init(const char *mode);
const char *term_color(FILE *to, Color color); /* the escape sequence, "" where there are no colours */
const char *term_reset(FILE *to);

bool term_is_terminal(FILE *to);    /* and not a dumb one: a line can be redrawn */
int term_width(FILE *to);           /* columns; 0: no limit */
bool term_utf8(void);               /* block characters can be shown */
int term_columns(const char *text); /* columns that a UTF-8 text takes */

/* Prints text that users wrote (reasons, names, log lines), at most `columns` (0: all). Control characters, which could
 * control the terminal or forge a line, become spaces. */
void term_put(FILE *to, const char *text, int columns);
/* The same in place. */
void term_clean(char *text);
/* Bytes of a control character that starts here: 1 of ASCII's, 2 of C1's in UTF-8, else 0. */
int term_control(const char *text);

/* Each fills text and returns it. */
#define TERM_TEXT 32
const char *term_count(double count, char text[TERM_TEXT]);      /* 12,345 */
const char *term_duration(double seconds, char text[TERM_TEXT]); /* 0.4s, 12s, 3m05s, 2h10m, 4d03h */
const char *term_rate(double per_second, char text[TERM_TEXT]);  /* 0.81/s, 24/s */

#endif
