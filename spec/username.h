/* The name under which a user of a host appears in the queue: a folder's name and part of a key.
 *
 * A login name that the queue cannot hold as it is becomes "uidN" as a whole, and so does one that looks like that of
 * another: nothing is cut or replaced within a name, so two users never share one. */
#ifndef SPEC_USERNAME_H
#define SPEC_USERNAME_H

#include <stdbool.h>
#include <sys/types.h>

enum { USERNAME_MAX = 33 }; /* bytes with the end */

/* 1 to 32 letters, digits and . _ - with none of . - first. (The queue itself takes names of up to 64.) */
bool username_ok(const char *name);

/* login may be NULL: the user database has no entry for uid. */
void username_from_login(const char *login, uid_t uid, char ret_name[USERNAME_MAX]);

#endif
