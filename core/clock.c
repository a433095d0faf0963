#include "core/clock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"

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

/* The factor of the unit at the start of text; 0: it is none. */
static double unit_seconds(const char *text, size_t len)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 0.001}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    for (size_t i = 0; i < countof(units); i++)
        if (strlen(units[i].unit) == len && strncmp(units[i].unit, text, len) == 0)
            return units[i].seconds;
    return 0;
}

bool clock_span(const char *text, bool bare, double *ret_seconds)
{
    double sum = 0;
    bool first = true;
    do {
        char *end;
        if (!isdigit((unsigned char)*text) && *text != '.') /* no sign, no space, no "inf" */
            return false;
        double count = strtod(text, &end), factor = 1;
        size_t len = strspn(end, "abcdefghijklmnopqrstuvwxyz");
        if (end == text || (len == 0 && !(first && bare)) || (len > 0 && !(factor = unit_seconds(end, len))))
            return false;
        sum += count * factor;
        text = end + len;
        if (len == 0 && *text)
            return false;
        first = false;
    } while (*text);
    if (!(sum >= 0 && sum <= 1e9))
        return false;
    *ret_seconds = sum;
    return true;
}
