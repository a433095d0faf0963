/* The whole terminal as one picture: entered, drawn again and again, and given back as it was.
 *
 *     if (!screen_enter(err)) ...
 *     do screen_draw(text); while (screen_wait(1000));
 *     screen_leave();
 *
 * Plain ANSI sequences on the alternate screen. Signals that end a program leave through screen_wait, so that the
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

/* Up to ms, less if the window's size changed. False: q, Esc, Ctrl-C, SIGTERM or SIGHUP. */
bool screen_wait(int ms);

#endif
