/* The verb that ddqd runs beside its workers: what the files behind the names of its configuration are, so that the
 * queue can say at submit what a job would find, and whether a job that is there was made from the same files.
 *
 * Messages `look` come on a descriptor, each is answered with `seen` (spec/proto.h):
 *
 *     look  {"models": {NAME: {"family"?, "heads", "grid", "files": {ROLE: PATH}, "parts": {ROLE: NAME}}},
 * "references": {NAME: PATH}, "networks": [PATH], "paths": [PATH], "output_root", "input_roots"} seen  {"models":
 * {NAME: {"files": {ROLE: HASH, "settings": TEXT}, "tokens"?, "classes"?, "image_size"?, "fault"?}}, "references":
 * {NAME: {"sha256", "kind", "features", "spatial", "images"?, "dims"?, "pipeline"?, "network"?, "fault"?}}, "networks":
 * {PATH: HASH}, "paths": {PATH: {"sha256"} or {"fault"}}}
 *
 * Hashes are those of worker/job/identity.h. A file is read again only when it has changed; weights are not loaded.
 * What cannot be read is absent, and "fault" says why; a path of `paths` must lie where jobs may read (spec/roots.h).
 */
#ifndef WORKER_COMMANDS_LOOK_H
#define WORKER_COMMANDS_LOOK_H

#include <cjson/cJSON.h>

cJSON *look_at(const cJSON *look); /* the fields of `seen`; the caller owns them */
int look_command(int fd);          /* until the end of the descriptor; the exit status */

#endif
