/* The daemon: one loop, and everything on it.
 *
 *     daemon_run(&options)  -> the exit status
 *
 * daemon.c starts everything, owns the tick and receives every event; docs/dev/daemon.md has the order of start and
 * stop.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "daemon/base/options.h"

int daemon_run(const Options *options);

#endif
