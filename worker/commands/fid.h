/* `ddq-worker fid A B`: the distance of two sets, with no daemon and no Redis. Works like `python -m pytorch_fid A B`
 * and prints the same one line, "FID:  VALUE". */
#ifndef WORKER_COMMANDS_FID_H
#define WORKER_COMMANDS_FID_H

int fid_command(int argc, char **argv); /* argv after the verb; the exit status */

#endif
