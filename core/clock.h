/* Two clocks that never mix: Mono for durations and deadlines, Wall for dates people read. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

typedef int64_t Mono; /* milliseconds of CLOCK_MONOTONIC */
typedef int64_t Wall; /* milliseconds since 1970, UTC */

Mono mono_ms(void);
double mono_seconds(void); /* the same clock with nanosecond resolution, for measuring */
Wall wall_ms(void);
void wall_iso(Wall wall, char ret_text[25]); /* "2026-11-23T03:22:00Z" */

#endif
