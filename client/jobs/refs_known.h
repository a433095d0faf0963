/* The references that the queue's hosts offer, and the folder that the hosts share. */
#ifndef CLIENT_JOBS_REFS_KNOWN_H
#define CLIENT_JOBS_REFS_KNOWN_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "client/cmd.h"

/* An array of {"name", "kind", "pipeline"?, "images"?, "dims"?, "sha256"?, "path"?, "user"?, "from"?, "hosts": []},
 * sorted by name: of all live hosts. If the queue cannot be reached: those of the local configuration and of the
 * folder, with no hosts and with a message. The caller owns it. */
bool refs_known(Cmd *cmd, cJSON **ret_references, Err *err);

/* OUTPUT_ROOT/references: of the hosts that are alive (*ret_shared), else of the configuration. Caller frees. */
bool refs_folder(Cmd *cmd, char **ret_folder, bool *ret_shared, Err *err);

const cJSON *refs_find(const cJSON *references, const char *name); /* NULL if there is none */

#endif
