/* The command line of `ddq-worker fid` (`ddq fid`), which is that of `python -m pytorch_fid` and some more. */
#ifndef WORKER_COMMANDS_FID_OPTIONS_H
#define WORKER_COMMANDS_FID_OPTIONS_H

#include "core/flags.h"
#include "kernels/backend.h"
#include "spec/jobspec.h"
#include "worker/models/inception.h"

typedef struct FidOptions {
    const char *paths[2];  /* A (generated) and B (the reference); with save_stats the images and the file */
    const char *device;    /* NULL: the first GPU, else the CPU */
    const char *inception; /* NULL: the configuration's */
    const char *conf;      /* NULL: the usual layers */
    const char *cache;     /* NULL: reference_cache() */
    int batch, threads;
    InceptionLevel level;
    JobPipeline pipeline; /* PT, TF or AUTO */
    JobLike like;
    unsigned metrics; /* METRIC_ bits */
    bool save_stats, json, quiet, num_workers;
} FidOptions;

/* The values of fid_flags (spec/report/fid_flags.h) and two arguments. The texts stay the caller's. */
bool fid_options_read(const CommandLine *line, FidOptions *ret_options, Err *err);

#endif
