/* Times that people type, for --at and --window, and times in the zone of whoever reads them. */
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

/* The text with its times in the zone of this machine: 2026-11-30T03:00Z, as the queue's sentences have it, becomes
 * "22:00 EST", "22:00 EST tomorrow" or "2026-11-29 22:00 EST"; 2026-11-30T03:00:00Z becomes "2026-11-29 22:00:00 EST".
 * Caller frees. */
char *when_here(const char *text, Wall now);
char *when_text(Wall at, Wall now); /* a time as in such sentences, already here; caller frees */

#endif
