/* What the files of `ddq refs` share: one function per action. */
#ifndef CLIENT_VERBS_REFS_H
#define CLIENT_VERBS_REFS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"
#include "client/jobs/refs_known.h"

/* Adds what only the file contains (sha256, dims, images, pipeline) to the references of ddq.conf whose statistics are
 * on this machine; the worker reads them. "fault" has the reason if it cannot. */
void refs_learn(Cmd *cmd, cJSON *references);

/* Each is one action of `ddq refs`. */
bool refs_add(Cmd *cmd, const char *name, const char *path, Err *err);
bool refs_make(Cmd *cmd, const char *name, const char *path, Err *err);
bool refs_remove(Cmd *cmd, const char *name, Err *err);

#endif
