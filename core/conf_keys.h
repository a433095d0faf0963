/* The table of ddq.conf's keys, for conf.c alone. */
#ifndef CORE_CONF_KEYS_H
#define CORE_CONF_KEYS_H

#include "core/conf.h"

/* Sets [section] name = value. folder is where relative paths start, NULL: the current one. Rows for a model or a
 * reference appear with their first key. */
bool conf_key_set(Conf *conf, const char *section, const char *name, const char *value, const char *folder, Err *err);
bool conf_keys_environment(Conf *conf, Err *err); /* DDQ_X sets the key x of [daemon] */
void conf_keys_free(Conf *conf);                  /* everything the Conf holds, not itself */

/* `path` seen from `folder`; ~/ is the home folder. Caller frees. */
char *conf_path(const char *folder, const char *path);

#endif
