/* Registering a reference: an entry in the folder that all hosts share (spec/references.h). */
#ifndef WORKER_EVALUATE_REFERENCE_REGISTER_H
#define WORKER_EVALUATE_REFERENCE_REGISTER_H

#include <cjson/cJSON.h>

#include "worker/evaluate/reference.h"

typedef struct Registration {
    const char *folder; /* OUTPUT_ROOT/references, made when it is not there */
    const char *name, *user;
    bool replace; /* one of the user's own of that name; never another user's */
} Registration;

/* Statistics are copied as NAME.npz, so they stay when their source goes. The same content again changes nothing.
 * Another user's name is ERR_PERMISSION, one's own with other content ERR_REFUSED unless `replace`. source: where they
 * came from, shown to users. *ret_entry (may be NULL) is the caller's. */
bool reference_register_copy(const Registration *registration, const Reference *reference, const char *source,
                             cJSON **ret_entry, Err *err);

/* Images, and statistics that bring images along (ADM's .npz), stay where they are, under their real path. sha256: of
 * their content; pipeline: NULL where it is not stated; network: hash of the network to measure them with, "" for any.
 */
bool reference_register_path(const Registration *registration, const char *path, const ReferenceProbe *probe,
                             const char *sha256, const char *pipeline, const char *network, cJSON **ret_entry,
                             Err *err);

#endif
