#include "core/clock.h"

#include <time.h>

Mono mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (Mono)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

double mono_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

Wall wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (Wall)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wall_iso(Wall wall, char ret_text[25])
{
    time_t seconds = (time_t)(wall / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(ret_text, 25, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
