/* The table of ddq.conf's keys. Only conf.c includes this. */
#ifndef SPEC_CONF_CONF_PARTS_H
#define SPEC_CONF_CONF_PARTS_H

#include "spec/conf/conf.h"

/* Sets [section] name = value. Relative paths are relative to folder (NULL: the current one). The first key of a
 * model or reference adds its row. */
bool conf_key_set(Conf *conf, const char *section, const char *name, const char *value, const char *folder, Err *err);
bool conf_keys_environment(Conf *conf, Err *err); /* DDQ_X sets the key x of [daemon] */
void conf_keys_free(Conf *conf);                  /* everything in the Conf, not itself */

/* `path` relative to `folder`; ~/ is the home folder. Caller frees. */
char *conf_path(const char *folder, const char *path);

#endif
