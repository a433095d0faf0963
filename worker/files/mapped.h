/* Files that are mapped into memory, by address: if a file is truncated while it is mapped (a checkpoint that is
 * overwritten in place), the next access ends the process with SIGBUS, and the last message names the file.
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
