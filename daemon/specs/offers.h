/* What this host offers to jobs: models, references and the Inception network of its configuration, the registered
 * references, and what is known of their files (facts.h). Heartbeats, claims and the resolution of a job all ask here,
 * and the queue's `why`, `submit` and `doctor` read the heartbeat: there is one answer. */
#ifndef DAEMON_SPECS_OFFERS_H
#define DAEMON_SPECS_OFFERS_H

#include <cjson/cJSON.h>

#include "core/err.h"
#include "daemon/specs/facts.h"
#include "spec/conf/conf.h"

typedef struct Offers {
    const Conf *conf;
    const cJSON *registry; /* registered references by name; NULL: none */
    const Facts *facts;    /* NULL: nothing is known of files */
} Offers;

/* The fields of a `look` (worker/commands/look.h) but its paths. */
cJSON *offers_request(const Offers *offers);

/* The weights of the network by which a reference is compared: its own, or those of [inception]. A registered one
 * states the hash of its network; the configured network of that hash is taken. NULL, with the reason: this host has
 * none. */
const char *offers_network(const Offers *offers, const char *reference, Err *err);

/* Names that a job may need: "model:digits", "reference:digits", "inception". */
cJSON *offers_names(const Offers *offers);
/* {NAME: {"family", per role whether this host has the file, "tokens"?, "classes"?, "image_size"?, "fault"?}} */
cJSON *offers_models(const Offers *offers);
/* {NAME: what is known of the reference, "fault"?}; sections of ddq.conf hide registered ones of the same name. */
cJSON *offers_library(const Offers *offers);
/* {"model:digits": {FIELD: HASH}, "reference:digits": ..., "inception": ..., "path:/data/x": {"path": HASH}}: the files
 * behind each name; a name of which not every hash is known is absent. */
cJSON *offers_files(const Offers *offers);

#endif
