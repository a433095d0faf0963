/* The numbers of `ddq-worker fid`: every metric that was asked for, of two sides that are open. */
#ifndef WORKER_COMMANDS_FID_NUMBERS_H
#define WORKER_COMMANDS_FID_NUMBERS_H

#include "worker/commands/fid_options.h"
#include "worker/evaluate/reference.h"
#include "worker/metrics/metrics.h"

enum { FID_NUMBERS_MAX = 64 };

typedef struct FidNumber {
    const char *label; /* for the terminal; NULL: only in the JSON */
    char key[24];
    double value; /* NaN: there is none */
} FidNumber;

typedef struct FidNumbers { /* starts as {0} */
    FidNumber items[FID_NUMBERS_MAX];
    int count;
} FidNumbers;

/* What must be known of the sides (REFERENCE_ bits): A, the generated one (0), and B (1). */
unsigned fid_numbers_want(const FidOptions *options, int side);

/* net gives logits for Inception Score; NULL where that is not asked for. */
bool fid_numbers(const FidOptions *options, const Reference sides[2], Inception *net, const MetricHooks *hooks,
                 FidNumbers *ret_numbers, Err *err);

#endif
