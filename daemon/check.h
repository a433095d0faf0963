/* ddqd --check: checks everything that a daemon of this configuration needs, one by one. */
#ifndef DAEMON_CHECK_H
#define DAEMON_CHECK_H

#include "daemon/base/options.h"

/* Prints a line for each check on stdout: ok, skipped, or what is wrong and what to do. Returns the exit status: 0 when
 * nothing is wrong, else that of the first failure. Starts nothing that lasts and changes nothing. */
int check_all(const Options *options);

#endif
