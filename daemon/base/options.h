/* The daemon's flags, and the configuration that they and ddq.conf make together. */
#ifndef DAEMON_BASE_OPTIONS_H
#define DAEMON_BASE_OPTIONS_H

#include <stdbool.h>

#include "core/err.h"
#include "spec/conf/conf.h"

/* Flags win over the configuration, at the start and at every reload. NULL: not given. */
typedef struct Options {
    const char *conf_path, *state, *output_root, *workers, *redis, *host, *worker_program;
    bool standalone;
    int drain_s;   /* how long workers may take to finish their batch after SIGTERM */
    int silence_s; /* how long a worker may send nothing */
    int work_s;    /* how long a worker may make no progress on its range */
    int stall_s;   /* how long a file system may not answer */
} Options;

/* conf_load and the flags over it; output_root is never NULL. */
bool options_conf(const Options *options, Conf **ret_conf, Err *err);
char *options_worker_program(const Conf *conf); /* caller frees */

/* Replaces *field by a copy of text, unless text is NULL. */
void options_override(char **field, const char *text);

#endif
