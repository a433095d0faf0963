/* Messages to systemd: one datagram each to NOTIFY_SOCKET. Without systemd nothing happens.
 *
 *     notify_open(&notify);
 *     notify_send(&notify, "READY=1\nSTATUS=2 workers");
 *     notify_watchdog_ms(&notify)  how often WATCHDOG=1 is wanted, 0: never */
#ifndef DAEMON_BASE_NOTIFY_H
#define DAEMON_BASE_NOTIFY_H

#include <stdbool.h>

typedef struct Notify {
    int fd; /* -1: not under systemd */
    int watchdog_ms;
} Notify;

void notify_open(Notify *notify);
void notify_send(const Notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));
void notify_close(Notify *notify);

#endif
