#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/secret.h"

static const struct {
    const char *name;
    int priority; /* syslog's */
} levels[] = {
    [LOG_ERROR] = {"error", 3},
    [LOG_WARNING] = {"warning", 4},
    [LOG_INFO] = {"info", 6},
    [LOG_TRACE] = {"trace", 7},
};

static LogLevel current = LOG_INFO;
static void (*extra_sink)(LogLevel level, const char *line);
static bool sink_only;

void log_level_set(LogLevel level)
{
    current = level;
}

LogLevel log_level(void)
{
    return current;
}

const char *log_level_name(LogLevel level)
{
    return levels[level].name;
}

bool log_level_parse(const char *name, LogLevel *ret_level)
{
    for (LogLevel level = LOG_ERROR; level <= LOG_TRACE; level++)
        if (strcmp(name, levels[level].name) == 0) {
            *ret_level = level;
            return true;
        }
    return false;
}

void log_sink_set(void (*sink)(LogLevel level, const char *line))
{
    extra_sink = sink;
}

void log_sink_only(bool only)
{
    sink_only = only;
}

/* One write, so lines of several processes do not mix. */
static void print_line(LogLevel level, const char *line)
{
    char whole[4160];
    if (getenv("JOURNAL_STREAM")) {
        snprintf(whole, sizeof whole, "<%d>%s\n", levels[level].priority, line);
    } else {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        snprintf(whole, sizeof whole, "%02d:%02d:%02d.%03ld %s %s\n", utc.tm_hour, utc.tm_min, utc.tm_sec,
                 now.tv_nsec / 1000000, levels[level].name, line);
    }
    size_t len = strlen(whole), sent = 0;
    while (sent < len) {
        ssize_t n = write(STDERR_FILENO, whole + sent, len - sent);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
}

void log_line(LogLevel level, const char *format, ...)
{
    if (level > current)
        return;
    char line[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    secret_mask(line);
    for (char *c = line; *c; c++) /* one event, one line */
        if (*c == '\n' || *c == '\r')
            *c = ' ';

    if (!extra_sink || !sink_only)
        print_line(level, line);
    if (extra_sink)
        extra_sink(level, line);
}
