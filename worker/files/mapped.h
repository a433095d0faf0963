/* Files that are mapped into memory, by address: a file that somebody cuts short under us (a checkpoint that is written
 * over in place) ends the process with SIGBUS at the next look, and this says which file it was.
 *
 *     mapped_guard();                         once, at the start of the program
 *     mapped_add(data, size, path); ... mapped_remove(data);
 */
#ifndef WORKER_FILES_MAPPED_H
#define WORKER_FILES_MAPPED_H

#include <stddef.h>

void mapped_guard(void);
void mapped_add(const void *data, size_t size, const char *path);
void mapped_remove(const void *data);

#endif
