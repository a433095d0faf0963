/* `ddq-worker reference PATH ...`: what a path is as a reference, checked, as one JSON object; and, for `ddq refs`,
 * registering it. */
#ifndef WORKER_COMMANDS_REFERENCE_H
#define WORKER_COMMANDS_REFERENCE_H

int reference_command(int argc, char **argv); /* argv after the verb; the exit status */

#endif
