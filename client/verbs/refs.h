/* What the files of `ddq refs` share: one function for each of its words. */
#ifndef CLIENT_VERBS_REFS_H
#define CLIENT_VERBS_REFS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"
#include "client/jobs/refs_known.h"

/* Adds what only the file says (sha256, dims, images, pipeline) to the references of ddq.conf whose statistics lie on
 * this machine; the worker reads them. A file that it refuses says so under "fault". */
void refs_learn(Cmd *cmd, cJSON *references);

/* Each is one word of `ddq refs`. */
bool refs_add(Cmd *cmd, const char *name, const char *path, Err *err);
bool refs_make(Cmd *cmd, const char *name, const char *path, Err *err);
bool refs_remove(Cmd *cmd, const char *name, Err *err);

#endif
