/* The tables of a running daemon, into its log (SIGUSR1). */
#ifndef DAEMON_DUMP_H
#define DAEMON_DUMP_H

#include "daemon/work/state.h"

void dump_tables(const Daemon *d);

#endif
