/* `ddq-worker reference PATH ...`: what a path is as a reference, checked, as one JSON object; and, for `ddq refs`,
 * registering it. */
#ifndef WORKER_COMMANDS_REFERENCE_H
#define WORKER_COMMANDS_REFERENCE_H

#include "core/flags.h"

extern const Flag reference_flags[];

int reference_command(const CommandLine *line); /* with reference_flags, one argument; the exit status */

#endif
