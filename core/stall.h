/* A watch over file systems that may never answer: NFS without its server, FUSE without its program. A thread in such a
 * call cannot be cancelled, so another one has to detect and report it.
 *
 *     stall_enter(path); int fd = open(path, ...); stall_leave();       around every access to the disk
 *     if (stall_found(seconds, path_text)) ...                          a call has been waiting for so long
 *
 * Calls may nest: each of them starts the clock anew. errno survives both. */
#ifndef CORE_STALL_H
#define CORE_STALL_H

#include <stdbool.h>

enum { STALL_TEXT = 300 };

void stall_enter(const char *path);
void stall_leave(void);
bool stall_found(int seconds, char ret_path[STALL_TEXT]);

#endif
