/* Where jobs may read: below the output root, or below one of the input roots of ddq.conf, after all symbolic links.
 * The daemon asks it for a claimed job, and the worker that looks at files (worker/commands/look.h) for one that is
 * about to be submitted. */
#ifndef SPEC_ROOTS_H
#define SPEC_ROOTS_H

#include <stdbool.h>

#include "core/err.h"

/* Both are real paths. */
bool roots_below(const char *path, const char *root);

/* The real path of `path`, which may be relative to output_root. input_roots: folders with ':' between them, may be
 * NULL. ERR_PERMISSION where jobs may not read; caller frees *ret_real. */
bool roots_resolve(const char *output_root, const char *input_roots, const char *path, char **ret_real, Err *err);

#endif
