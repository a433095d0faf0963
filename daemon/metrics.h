/* The responses over HTTP: /healthz as one line of text, /metrics in Prometheus format. */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include "daemon/base/http.h"

/* owner is the Daemon. */
char *metrics_answer(void *owner, const char *path, int *ret_status);

#endif
