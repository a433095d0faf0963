/* Times that users type, for --at and --window, and times printed in the local zone. */
#ifndef CLIENT_TERMINAL_WHEN_H
#define CLIENT_TERMINAL_WHEN_H

#include <stdbool.h>

#include "core/clock.h"
#include "core/err.h"

/* "22:00" (the next time that this machine's clock shows it), "2026-11-24T08:00", "2026-11-24 08:00Z", "...+02:00"
 * (without a zone: the time of this machine), or "+90s", "+30m", "+2h", "+1d" (clock_span) from now. A time in the past
 * is an error. */
bool when_at(const char *text, Wall now, Wall *ret_at, Err *err);

/* "22:00-07:00", followed by Z or an offset, else with this machine's present offset. ret_window has the queue's
 * format, with an offset. */
enum { WHEN_WINDOW = 24 };
bool when_window(const char *text, Wall now, char ret_window[WHEN_WINDOW], Err *err);

/* The text with its times in the zone of this machine: 2026-11-30T03:00Z, as the queue's sentences have it, becomes
 * "22:00 EST", "22:00 EST tomorrow" or "2026-11-29 22:00 EST"; 2026-11-30T03:00:00Z becomes "2026-11-29 22:00:00 EST".
 * Caller frees. */
char *when_here(const char *text, Wall now);
char *when_text(Wall at, Wall now); /* a time in the same form; caller frees */

#endif
