/* Times that people type, for --at and --window. */
#ifndef CLIENT_TERMINAL_WHEN_H
#define CLIENT_TERMINAL_WHEN_H

#include <stdbool.h>

#include "core/clock.h"
#include "core/err.h"

/* "22:00" (the next time it is that late here), "2026-11-24T08:00", "2026-11-24 08:00Z", "...+02:00" (without a zone:
 * the time of this machine), or "+90s", "+30m", "+2h", "+1d" (clock_span) from now. One that has passed is an error. */
bool when_at(const char *text, Wall now, Wall *ret_at, Err *err);

/* "22:00-07:00", with Z or an offset behind it, or in the time of this machine as its clock stands now. ret_window is
 * as the queue wants it, with an offset. */
enum { WHEN_WINDOW = 24 };
bool when_window(const char *text, Wall now, char ret_window[WHEN_WINDOW], Err *err);

#endif
