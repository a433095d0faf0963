/* A net under all sentences and log lines: passwords in addresses, as in redis://:secret@host, never appear in the
 * output of a program. Code that prints an address uses a name without its password; this is for the rest, such as a
 * command line that is quoted because it has one word too many. */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

/* In each word of text: what stands between "://" and its last '@' becomes "***", in place. */
void secret_mask(char *text);

#endif
