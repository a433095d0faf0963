/* The registered references: OUTPUT_ROOT/references/, which all hosts of a queue share.
 *
 *     references/imagenet256.json     {"name", "kind", "path", "pipeline"?, "images"?, "dims"?, "sha256", "inception"?,
 *                                      "features", "spatial", "user", "source", "version"}
 *     references/imagenet256.npz      its statistics, when they were copied here ("path" is then this name alone)
 *
 * Otherwise path is the full path of images or of a file that jobs may read. The .json is written last and removed
 * first, so the files it names exist. `ddq refs` and statistics jobs write here; daemons and workers read. */
#ifndef SPEC_REFERENCES_H
#define SPEC_REFERENCES_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"

/* Letters, digits, '.', '_' and '-', none of '.' and '-' first, at most 64: never a path. Sections of ddq.conf too. */
bool references_name_ok(const char *name);

char *references_folder(const char *output_root);                                /* caller frees */
char *references_file(const char *folder, const char *name, const char *suffix); /* FOLDER/NAME.json; caller frees */

/* One entry with "path" made absolute; links, large files and what does not look like an entry are errors. The caller
 * owns *ret_entry. */
bool references_read(const char *folder, const char *name, cJSON **ret_entry, Err *err);

/* All entries that can be read, by name: {"imagenet256": {...}}. A missing folder has none. The caller owns it.
 * ret_bad (may be NULL): the error of the first one that cannot be read, text "" if there is none. */
cJSON *references_scan(const char *folder, Err *ret_bad);

#endif
