/* Whether jobs could run on some living host, by what the heartbeats tell: the files of models, their tokens and
 * classes, the kinds of references, the Inception network, devices, and the users' paths that the hosts were asked to
 * look at.
 *
 * A host that does not tell (of an earlier version, or before its first look) refuses nothing. */
#ifndef CLIENT_QUEUE_FITS_H
#define CLIENT_QUEUE_FITS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"

/* hosts: as registry_hosts has them; jobs: specs, QUEUED form. later: the jobs' own files may not be there yet.
 * ERR_USAGE with the reason why no host could run one of the jobs. */
bool fits_all(const cJSON *hosts, const cJSON *jobs, bool later, Err *err);

#endif
