/* What this daemon says about itself over http: /healthz in a word, /metrics as Prometheus reads them. */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include "daemon/base/http.h"

/* owner is the Daemon. */
char *metrics_answer(void *owner, const char *path, int *ret_status);

#endif
