/* What the verbs of `ddq refs` share: the references that the queue's hosts offer, and the folder they share. */
#ifndef CLIENT_VERBS_REFS_H
#define CLIENT_VERBS_REFS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

/* An array of {"name", "kind", "pipeline"?, "images"?, "dims"?, "sha256"?, "path"?, "user"?, "from"?, "hosts": []},
 * sorted by name: of all hosts that are alive. Where no queue answers it is what the configuration here names and what
 * is registered in the folder, with no hosts, and that is said. The caller owns it. */
bool refs_known(Cmd *cmd, cJSON **ret_references, Err *err);

/* OUTPUT_ROOT/references: of the hosts that are alive (*ret_shared), else of the configuration. Caller frees. */
bool refs_folder(Cmd *cmd, char **ret_folder, bool *ret_shared, Err *err);

/* Adds what only the file says (sha256, dims, images, pipeline) to the references of ddq.conf whose statistics lie on
 * this machine; the worker reads them. A file that it refuses says so under "fault". */
void refs_learn(Cmd *cmd, cJSON *references);

const cJSON *refs_find(const cJSON *references, const char *name); /* NULL if there is none */

/* Each is one word of `ddq refs`. */
bool refs_add(Cmd *cmd, const char *name, const char *path, Err *err);
bool refs_make(Cmd *cmd, const char *name, const char *path, Err *err);
bool refs_remove(Cmd *cmd, const char *name, Err *err);

#endif
