/* Log lines: one event a line, key=value, the same keys in all three programs.
 *
 *     log_info("state job=%s from=%s to=%s", id, "queued", "running");
 *
 * A line goes to stderr with a syslog priority in front ("<6>") when journald reads it, else with the level's
 * name. Only programs and event handlers log; library code returns an Err instead. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>

typedef enum LogLevel {
    LOG_ERROR,   /* someone should act */
    LOG_WARNING, /* it continued anyway, as the line states */
    LOG_INFO,    /* transitions and results */
    LOG_TRACE    /* every message and script */
} LogLevel;

void log_level_set(LogLevel level);
LogLevel log_level(void);
const char *log_level_name(LogLevel level);
bool log_level_parse(const char *name, LogLevel *ret_level);

/* Sends every line to `sink` as well, at or below the level (the worker passes its log to the daemon so).
 * NULL removes it. Called on the thread that logs. */
void log_sink_set(void (*sink)(LogLevel level, const char *line));
void log_sink_only(bool only); /* true: a line that the sink takes is not printed as well */

void log_line(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_trace(...)   log_line(LOG_TRACE, __VA_ARGS__)

#endif
