/* Whole files and folders: text read at once, files written so that they appear complete or not at all.
 *
 *     char *text;
 *     if (!file_read_text("job", path, JOB_BYTES_MAX, &text, err)) ...
 *
 *     file_write("fid.txt", text, len, err);     write aside, fsync, rename, fsync of the folder
 *
 * The unfinished file is FOLDER/.NAME.HOST-PID-N.part: unique, so two processes that make the same file never write
 * into each other's, and hidden, so it is not taken for a result. Every call is watched (core/stall.h). */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* --- reading ----------------------------------------------------------------------------------------- */

/* Writes all of the bytes to a file, pipe or socket, going on after signals. False: errno says why, and part of it may
 * be written. */
bool file_write_fd(int fd, const void *data, size_t size);

/* Opens a regular file for reading; -1 with an error for anything else, without waiting for the writer of a pipe. */
int file_open(const char *path, Err *err);

/* The text of a file of at most `limit` bytes, NUL-terminated; the caller frees it. `what` names the file in errors:
 * "job /tmp/x.json: No such file or directory". A zero byte in it is an error. Pipes are read to their
 * end. */
bool file_read_text(const char *what, const char *path, size_t limit, char **ret_text, Err *err);
/* The same, where the path "-" means standard input. */
bool file_read_text_or_stdin(const char *what, const char *path, size_t limit, char **ret_text, Err *err);

/* --- writing ----------------------------------------------------------------------------------------- */

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

bool file_write(const char *path, const void *data, size_t size, Err *err);
/* With exactly this mode, whatever the umask of the process: for files that users share. */
bool file_write_shared(const char *path, const void *data, size_t size, int mode, Err *err);
/* Without fsync: whole after a kill, perhaps not after a power cut. For what is cheap to lose, or synced later. */
bool file_write_quick(const char *path, const void *data, size_t size, Err *err);

/* For code that writes a file by other means: after err_errno. A missing folder is an error of I/O, like a full disk:
 * it can be repaired, and the job continues. Returns false. */
bool file_not_written(Err *err);

/* Removes unfinished files of dead processes of this host from a folder. */
void file_sweep(const char *folder);

/* --- folders ----------------------------------------------------------------------------------------- */

/* Makes the folder `path` with `mode`, and those above it that are missing with `above`; the umask applies. One that
 * is there stays as it is; a file in its place is an error. */
bool file_make_folders(const char *path, int above, int mode, Err *err);
/* A folder in one that users share: made with the mode of the folder above it, whatever the umask of the process. One
 * that is there and belongs to this user gets the bits of that mode that it lacks. *ret_mode: its mode. */
bool file_make_shared_folder(const char *path, int *ret_mode, Err *err);
/* Could the folder be made, or written if it is there: may this user write in the nearest folder that exists? Makes
 * nothing; errno says why not. */
bool file_folders_possible(const char *path);
/* The folders above the file `path` only. */
bool file_make_parents(const char *path, int mode, Err *err);

#endif
