#include "client/terminal/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"

static struct tm local(Wall wall)
{
    time_t seconds = (time_t)(wall / 1000);
    struct tm parts;
    localtime_r(&seconds, &parts);
    return parts;
}

/* "" (*ret_given false), "Z" or "+02:00", to the end of the text. */
static bool zone(const char *text, bool *ret_given, long *ret_offset_s)
{
    int hours, minutes, end = 0;
    char sign;
    *ret_given = *text != 0;
    *ret_offset_s = 0;
    if (!*text || strcmp(text, "Z") == 0)
        return true;
    if (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &end) != 3 || end != 6 || text[end] || hours > 14 ||
        minutes > 59 || hours < 0 || minutes < 0 || !strchr("+-", sign))
        return false;
    *ret_offset_s = (sign == '-' ? -1L : 1L) * (hours * 3600L + minutes * 60L);
    return true;
}

/* "08:00" or "08:00:30" at the start; *ret_rest is what follows. */
static bool clock_time(const char *text, int *ret_seconds, const char **ret_rest)
{
    int hours, minutes, seconds = 0, end = 0;
    if (sscanf(text, "%2d:%2d%n", &hours, &minutes, &end) != 2 || end < 4)
        return false;
    if (text[end] == ':' && sscanf(text + end, ":%2d", &seconds) == 1 && strlen(text + end) >= 3)
        end += 3;
    *ret_rest = text + end;
    *ret_seconds = hours * 3600 + minutes * 60 + seconds;
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60 && seconds >= 0 && seconds < 60;
}

/* "+2h" */
static bool from_now(const char *text, Wall now, Wall *ret_at)
{
    double seconds;
    if (*text != '+' || !clock_span(text + 1, false, &seconds))
        return false;
    *ret_at = now + (Wall)(seconds * 1000);
    return true;
}

/* "22:00": today, or tomorrow if that has passed. */
static bool time_of_day(const char *text, Wall now, Wall *ret_at)
{
    const char *rest;
    int seconds;
    if (!clock_time(text, &seconds, &rest) || *rest)
        return false;
    struct tm parts = local(now);
    parts.tm_hour = 0;
    parts.tm_min = 0;
    parts.tm_sec = seconds; /* mktime normalizes it and applies daylight saving time */
    parts.tm_isdst = -1;
    struct tm tomorrow = parts;
    tomorrow.tm_mday++;
    *ret_at = (Wall)mktime(&parts) * 1000;
    if (*ret_at <= now)
        *ret_at = (Wall)mktime(&tomorrow) * 1000;
    return true;
}

/* "2026-11-24T08:00+02:00" */
static bool date(const char *text, Wall *ret_at)
{
    struct tm parts = {.tm_isdst = -1};
    const char *rest;
    int end = 0, seconds;
    bool given;
    long offset;
    if (sscanf(text, "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &end) != 3 || end != 10 ||
        (text[end] != 'T' && text[end] != ' ') || !clock_time(text + end + 1, &seconds, &rest) ||
        !zone(rest, &given, &offset))
        return false;
    int day = parts.tm_mday, month = parts.tm_mon;
    parts.tm_year -= 1900;
    parts.tm_mon--;
    struct tm check = parts; /* February 30th would become March 2nd */
    timegm(&check);
    if (check.tm_mday != day || check.tm_mon != month - 1)
        return false;
    parts.tm_sec = seconds;
    *ret_at = (given ? (Wall)timegm(&parts) - offset : (Wall)mktime(&parts)) * 1000;
    return true;
}

bool when_at(const char *text, Wall now, Wall *ret_at, Err *err)
{
    Wall at = 0;
    if (!from_now(text, now, &at) && !time_of_day(text, now, &at) && !date(text, &at))
        return err_set(err, ERR_USAGE,
                       "--at is '%.40s', wanted a time like 22:00, 2026-11-24T08:00, 2026-11-24T08:00Z or +2h", text);
    if (at < now)
        return err_set(err, ERR_USAGE, "--at is '%.40s', which is in the past", text);
    *ret_at = at;
    return true;
}

bool when_window(const char *text, Wall now, char ret_window[WHEN_WINDOW], Err *err)
{
    const char *rest, *end;
    int from, to;
    bool given;
    long offset;
    if (!clock_time(text, &from, &rest) || *rest != '-' || !clock_time(rest + 1, &to, &end) ||
        !zone(end, &given, &offset) || from % 60 || to % 60 || from == to)
        return err_set(err, ERR_USAGE,
                       "--window is '%.40s', wanted two different times like 22:00-07:00, 22:00-07:00Z or "
                       "22:00-07:00+02:00",
                       text);
    if (!given)
        offset = local(now).tm_gmtoff;
    long minutes = labs(offset) / 60;
    snprintf(ret_window, WHEN_WINDOW, "%02d:%02d-%02d:%02d%c%02ld:%02ld", from / 3600 % 24, from / 60 % 60,
             to / 3600 % 24, to / 60 % 60, offset < 0 ? '-' : '+', minutes / 60 % 24, minutes % 60);
    return true;
}

/* --- times that people read ----------------------------------------------------------------------------------- */

static char *text_of(Wall at, Wall now, bool seconds)
{
    struct tm then = local(at), today = local(now), tomorrow = today;
    char text[64];
    tomorrow.tm_mday++;
    tomorrow.tm_hour = 12; /* whatever summer time does to midnight */
    tomorrow.tm_isdst = -1;
    mktime(&tomorrow);
    bool is_today = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
    bool is_tomorrow = then.tm_year == tomorrow.tm_year && then.tm_yday == tomorrow.tm_yday;
    strftime(text, sizeof text,
             seconds       ? "%Y-%m-%d %H:%M:%S %Z"
             : is_today    ? "%H:%M %Z"
             : is_tomorrow ? "%H:%M %Z tomorrow"
                           : "%Y-%m-%d %H:%M %Z",
             &then);
    return xstrdup(text);
}

char *when_text(Wall at, Wall now)
{
    return text_of(at, now, false);
}

/* "2026-11-30T03:00Z" or "2026-11-30T03:00:00Z" at the start. Returns its length, 0 for another text. */
static size_t iso_time(const char *text, Wall *ret_at, bool *ret_seconds)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ", shorter[] = "dddd-dd-ddTdd:ddZ";
    const char *const shapes[] = {shape, shorter};
    for (size_t i = 0; i < 2; i++) {
        size_t len = 0;
        while (shapes[i][len] &&
               (shapes[i][len] == 'd' ? text[len] >= '0' && text[len] <= '9' : text[len] == shapes[i][len]))
            len++;
        if (shapes[i][len])
            continue;
        struct tm parts = {0};
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
               &parts.tm_min, &parts.tm_sec);
        parts.tm_year -= 1900;
        parts.tm_mon--;
        *ret_at = (Wall)timegm(&parts) * 1000;
        *ret_seconds = i == 0;
        return len;
    }
    return 0;
}

char *when_here(const char *text, Wall now)
{
    Buf out = {0};
    buf_add(&out, "", 0);
    while (*text) {
        Wall at;
        bool seconds;
        size_t len = iso_time(text, &at, &seconds);
        char *here = len ? text_of(at, now, seconds) : NULL;
        buf_add(&out, here ? here : text, here ? strlen(here) : 1);
        text += here ? len : 1;
        free(here);
    }
    return out.data;
}
