/* From what a user submitted to what a worker runs: names of the configuration become files, the output folder is
 * decided, and every path of the user is checked to be where jobs may read.
 *
 *     resolve_spec(&(Resolve){conf, roots, folder, device}, queued, &exec, &err)
 *
 * A user names models and references, never their files; the paths that a job may name (noise, labels, images) must be,
 * after all symlinks, under the output root or an input root. Relative ones are relative to the output root. */
#ifndef DAEMON_SPECS_RESOLVE_H
#define DAEMON_SPECS_RESOLVE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"
#include "daemon/specs/offers.h"
#include "spec/conf/conf.h"
#include "spec/jobspec.h"

typedef struct Resolve {
    const Conf *conf;      /* models, references, output_root, input_roots */
    const cJSON *registry; /* registered references by name (daemon/specs/registry.h); NULL: none */
    const Facts *facts;    /* of files; NULL: unknown */
    const char *folder;    /* of the job, under the output root: "ada/k3f9x2m7qa" */
    const char *user;      /* whose job it is */
    const char *device;    /* "cpu" or "cuda" */
} Resolve;

/* *ret_exec is the spec in EXEC form, the caller's. On failure the message names the field, its value, and what to do.
 */
bool resolve_spec(const Resolve *resolve, const cJSON *queued, cJSON **ret_exec, Err *err);

/* The same in two steps: the first needs the configuration alone; the second uses the file system, which may block on a
 * network file system. The second step reads only its own copies, so it may run in a thread. */
typedef struct ResolvePaths {
    JobSpec *spec;
    bool registered; /* the reference's path was written by some user */
    char *output_root, *input_roots, *folder;
} ResolvePaths;
bool resolve_names(const Resolve *resolve, const cJSON *queued, ResolvePaths *ret_paths, Err *err);
bool resolve_paths(const ResolvePaths *paths, cJSON **ret_exec, Err *err);
void resolve_paths_done(ResolvePaths *paths);

/* OUTPUT_ROOT/folder: below the root as written and after symlinks. Nothing is created. Caller frees. */
bool resolve_output(const char *output_root, const char *folder, char **ret_path, Err *err);

#endif
