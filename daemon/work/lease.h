/* One leased range: what a worker works on. leases.h has its steps. */
#ifndef DAEMON_WORK_LEASE_H
#define DAEMON_WORK_LEASE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"

typedef struct Lease {
    bool held;
    char token[64], job[64], user[64], phase[16], stage[32];
    int64_t lo, hi, n, upto;
    double rate;
    bool lost;         /* it may be reassigned: its end is not reported */
    const char *asked; /* "cancel" or "yield" was sent, else NULL */
    Mono asked_deadline;
    Mono last_message; /* of its worker, about it */
    Mono next_tick;    /* of the live channel (progress.c) */
    cJSON *lines;      /* log lines that wait to be sent (progress.c) */
} Lease;

#endif
