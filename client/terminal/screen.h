/* The whole terminal as one page: enter, draw repeatedly, leave. Leaving restores the terminal.
 *
 *     if (!screen_enter(err)) ...
 *     do screen_draw(text); while (screen_key(1000) != SCREEN_LEAVE);
 *     screen_leave();
 *
 * Plain ANSI sequences on the alternate screen. Signals that end a program leave through screen_key, so that the
 * terminal is given back; Ctrl-Z gives it back, too, and fg takes it again. */
#ifndef CLIENT_TERMINAL_SCREEN_H
#define CLIENT_TERMINAL_SCREEN_H

#include <stdbool.h>

#include "core/err.h"

bool screen_enter(Err *err); /* stdin and stdout must be a terminal */
void screen_leave(void);     /* also when it was not entered */

/* Lines that do not fit are cut at the right and at the end. */
void screen_draw(const char *text);
int screen_columns(void);
int screen_lines(void);

/* The next key: its character, or one of these. Waits up to ms, less if the window's size changed. */
enum {
    SCREEN_NONE = 0,  /* no key, it is time to draw again */
    SCREEN_LEAVE = 1, /* q, Esc, Ctrl-C, SIGTERM or SIGHUP, or the terminal went away */
    SCREEN_UP = 256,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_HOME,
    SCREEN_LAST /* the key End */
};
int screen_key(int ms);

#endif
