/* SIGHUP: reads the configuration again. Models, references, workers, roots for inputs and times take effect; a change
 * of anything else is reported as wanting a restart. A configuration that cannot be read leaves the old one in effect.
 */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "daemon/work/state.h"

void reload(Daemon *d);

#endif
