/* UTF-8 where text comes from outside: names of files and words of a command line may be any bytes. */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stddef.h>

/* How many bytes the character at `text`, NUL-terminated, has; 0 if no valid one begins there, and at the end. */
size_t utf8_size(const char *text);

#endif
