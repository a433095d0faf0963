/* Files that are read: mapped into memory, hashed. Writing them whole is core/file.h.
 *
 *     FileMap map;
 *     if (!file_map(path, &map, err)) ...        map.data[0 .. map.size-1], read-only
 *     file_unmap(&map);
 *
 * A mapped file that another process truncates while it is read ends this process with a message (mapped.h); files
 * written by core/file.h are replaced as a whole, so they never shrink. Every call is watched (core/stall.h).
 */
#ifndef WORKER_FILES_MAP_H
#define WORKER_FILES_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct FileMap {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
} FileMap;

/* Folders, devices and pipes are refused. */
bool file_map(const char *path, FileMap *ret_map, Err *err);
void file_unmap(FileMap *map); /* an empty map is fine */

/* SHA-256 in lower-case hex. Remembered within the process while path, inode, size and times of writing and change stay the same,
 * so naming a checkpoint's hash in every report reads the file once. */
bool file_sha256(const char *path, char ret_hex[65], Err *err);

#endif
