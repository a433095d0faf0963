/* The part of inih that ddq uses. See bare/README.md. */
#ifndef BARE_INI_H
#define BARE_INI_H

#include <stdbool.h>

/* Called for each key; 0 stops. */
typedef int (*ini_handler)(void *user, const char *section, const char *name, const char *value);
/* As fgets: the next line into a buffer of `size` bytes, NULL at the end. */
typedef char *(*ini_reader)(char *line, int size, void *stream);

extern bool ini_use_stack, ini_allow_multiline, ini_allow_realloc;
extern int ini_max_line; /* bytes of the longest line */

/* 0, or the number of the first line that is neither a key, a [section], a comment nor empty, or that the handler
 * refused. Comments start with ; or #, behind a value with " ;". */
int ini_parse_stream(ini_reader reader, void *stream, ini_handler handler, void *user);

#endif
