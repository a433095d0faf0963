/* Whole files: mapped for reading, written so that they appear complete or not at all, hashed.
 *
 *     FileMap map;
 *     if (!file_map(path, &map, err)) ...        map.data[0 .. map.size-1], read-only
 *     file_unmap(&map);
 *
 *     file_write("fid.txt", text, len, err);     write, fsync, rename, fsync of the folder
 *
 * A mapped file that another process cuts short while it is read ends this process with a sentence (mapped.h); files
 * written by this module are replaced whole and so never shrink under a reader. Every call is watched (stall.h). */
#ifndef WORKER_FILES_FILE_H
#define WORKER_FILES_FILE_H

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

/* A file in the making: a hidden name beside the final one until file_commit renames it. */
typedef struct FileOut FileOut;
FileOut *file_create(const char *path, Err *err);
bool file_add(FileOut *out, const void *data, size_t size, Err *err);
bool file_patch(FileOut *out, uint64_t offset, const void *data, size_t size,
                Err *err);                 /* overwrites bytes already added */
uint64_t file_added(const FileOut *out);   /* bytes so far */
const char *file_path(const FileOut *out); /* the final name */
bool file_commit(FileOut *out, Err *err);  /* frees out in any case; after a failure no file is left */
void file_abort(FileOut *out);             /* NULL is fine; leaves no file */

/* For who writes a file by other means: after err_errno. A folder that is gone is an error of I/O, like a full disk:
 * somebody mends it and the job goes on. Returns false. */
bool file_not_written(Err *err);

/* Removes what a dead process of this host left unfinished in a folder. */
void file_sweep(const char *folder);

bool file_write(const char *path, const void *data, size_t size, Err *err);

/* SHA-256 in lower-case hex. Remembered within the process while path, inode, size and time of change stay the same,
 * so naming a checkpoint's hash in every report reads the file once. */
bool file_sha256(const char *path, char ret_hex[65], Err *err);

#endif
