/* Two clocks that never mix: Mono for durations and deadlines, Wall for dates people read. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef int64_t Mono; /* milliseconds of CLOCK_MONOTONIC */
typedef int64_t Wall; /* milliseconds since 1970, UTC */

Mono mono_ms(void);
double mono_seconds(void); /* the same clock with nanosecond resolution, for measuring */
Wall wall_ms(void);
void wall_iso(Wall wall, char ret_text[25]); /* "2026-11-23T03:22:00Z" */

/* A span of time as people write it, in seconds: "250ms", "5s", "30m", "1.5h", "2d", "1h30m", "30m00s". bare: a number
 * without a unit means seconds; else it is no span. False if the text is none; then *ret_seconds is unchanged. The one
 * parser of all programs. */
bool clock_span(const char *text, bool bare, double *ret_seconds);
#define CLOCK_SPAN_TEXT "a time such as 90s, 30m, 1.5h or 2d"

#endif
