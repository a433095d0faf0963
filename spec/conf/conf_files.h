/* Are the files of a configuration there, on this machine? One table for `ddqd --check` and `ddq doctor`.
 *
 *     const ConfCheck *check;
 *     for (int i = 0; (check = conf_check(i)); i++)
 *         if (!check->run(conf, note, &err)) ...
 */
#ifndef SPEC_CONF_CONF_FILES_H
#define SPEC_CONF_CONF_FILES_H

#include <stdbool.h>

#include "spec/conf/conf.h"

enum { CONF_NOTE = 128 };

typedef struct ConfCheck {
    const char *name; /* "models" */
    /* False with a sentence that names the file. True: the note says what was found. */
    bool (*run)(const Conf *conf, char ret_note[CONF_NOTE], Err *err);
} ConfCheck;

const ConfCheck *conf_check(int index); /* NULL past the end */

#endif
