#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/stall.h"

/* --- reading ----------------------------------------------------------------------------------------- */

int file_open(const char *path, Err *err)
{
    stall_enter(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: opening a pipe must not wait for a writer */
    struct stat st;
    bool known = fd >= 0 && fstat(fd, &st) == 0;
    stall_leave();
    if (!known)
        err_errno(err, "%s cannot be opened", path);
    else if (S_ISREG(st.st_mode))
        return fd;
    else
        err_set(err, ERR_FORMAT, "%s is a %s, wanted a file", path, S_ISDIR(st.st_mode) ? "folder" : "device or pipe");
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool read_stream(FILE *file, const char *what, const char *path, size_t limit, char **ret_text, Err *err)
{
    Buf text = {0};
    char part[65536];
    size_t got;
    buf_add(&text, "", 0);
    stall_enter(path);
    while (text.len <= limit && (got = fread(part, 1, sizeof part, file)) > 0)
        buf_add(&text, part, got);
    stall_leave();
    bool good = !ferror(file) || err_errno(err, "%s %s", what, path);
    if (good && text.len > limit)
        good = err_set(err, ERR_USAGE, "%s %s has more than the %zu bytes that are read", what, path, limit);
    if (good && strlen(text.data) != text.len)
        good = err_set(err, ERR_USAGE, "%s %s is not text: it holds a zero byte", what, path);
    if (good)
        *ret_text = text.data;
    else
        buf_free(&text);
    return good;
}

bool file_read_text(const char *what, const char *path, size_t limit, char **ret_text, Err *err)
{
    stall_enter(path);
    FILE *file = fopen(path, "re");
    stall_leave();
    if (!file)
        return err_errno(err, "%s %s", what, path);
    bool good = read_stream(file, what, path, limit, ret_text, err);
    fclose(file);
    return good;
}

bool file_read_text_or_stdin(const char *what, const char *path, size_t limit, char **ret_text, Err *err)
{
    if (strcmp(path, "-") != 0)
        return file_read_text(what, path, limit, ret_text, err);
    return read_stream(stdin, what, path, limit, ret_text, err);
}

/* --- writing ----------------------------------------------------------------------------------------- */

struct FileOut {
    char *path, *part, *folder;
    FILE *file;
    uint64_t added;
};

bool file_not_written(Err *err)
{
    if (err && err->kind == ERR_NOT_FOUND)
        err->kind = ERR_IO;
    return false;
}

static bool not_written(Err *err, const char *path, const char *what)
{
    err_errno(err, "%s %s", path, what);
    return file_not_written(err);
}

static void out_free(FileOut *out)
{
    if (out->file)
        fclose(out->file);
    free(out->path);
    free(out->part);
    free(out->folder);
    free(out);
}

static char *part_name(const char *folder, const char *name)
{
    static atomic_uint counter;
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    return xasprintf("%s/.%s.%s-%d-%u.part", folder, name, host, (int)getpid(), atomic_fetch_add(&counter, 1));
}

FileOut *file_create(const char *path, Err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!*name) {
        err_set(err, ERR_USAGE, "\"%s\" cannot be written: it does not end in a file name", path);
        return NULL;
    }
    FileOut *out = xcalloc(1, sizeof *out);
    out->path = xstrdup(path);
    out->folder = !slash ? xstrdup(".") : slash == path ? xstrdup("/") : xasprintf("%.*s", (int)(slash - path), path);
    out->part = part_name(out->folder, name);
    stall_enter(path);
    int fd = open(out->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    stall_leave();
    if (fd < 0 || !(out->file = fdopen(fd, "w"))) {
        not_written(err, path, "cannot be created");
        if (fd >= 0)
            close(fd);
        file_abort(out);
        return NULL;
    }
    return out;
}

bool file_add(FileOut *out, const void *data, size_t size, Err *err)
{
    stall_enter(out->path);
    bool ok = !size || fwrite(data, 1, size, out->file) == size;
    stall_leave();
    if (!ok)
        return not_written(err, out->path, "cannot be written");
    out->added += size;
    return true;
}

bool file_patch(FileOut *out, uint64_t offset, const void *data, size_t size, Err *err)
{
    if (offset > out->added || size > out->added - offset)
        return err_set(err, ERR_INTERNAL, "%s: patch of %zu bytes at %llu, beyond the end", out->path, size,
                       (unsigned long long)offset);
    stall_enter(out->path);
    bool ok = fseeko(out->file, (off_t)offset, SEEK_SET) == 0 && fwrite(data, 1, size, out->file) == size &&
              fseeko(out->file, 0, SEEK_END) == 0;
    stall_leave();
    return ok || not_written(err, out->path, "cannot be written");
}

uint64_t file_added(const FileOut *out)
{
    return out->added;
}

const char *file_path(const FileOut *out)
{
    return out->path;
}

/* Without this the rename itself may be lost in a power cut, though the data is safe. */
static bool folder_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0 || errno == EINVAL; /* EINVAL: a file system that has no such thing */
    close(fd);
    return ok;
}

static bool commit(FileOut *out, bool sync, Err *err)
{
    stall_enter(out->path);
    bool ok = fflush(out->file) == 0 && (!sync || fsync(fileno(out->file)) == 0);
    if (ok) {
        ok = fclose(out->file) == 0;
        out->file = NULL;
    }
    ok = ok && rename(out->part, out->path) == 0;
    if (!ok) {
        not_written(err, out->path, "cannot be written");
        unlink(out->part);
    } else if (sync && !folder_sync(out->folder)) {
        ok = not_written(err, out->path, "is there, but its folder cannot be written to disk");
    }
    stall_leave();
    out_free(out);
    return ok;
}

bool file_commit(FileOut *out, Err *err)
{
    return commit(out, true, err);
}

void file_abort(FileOut *out)
{
    if (!out)
        return;
    if (out->file)
        unlink(out->part);
    out_free(out);
}

bool file_write_fd(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* mode 0: by the umask. */
static bool write_whole(const char *path, const void *data, size_t size, bool sync, int mode, Err *err)
{
    FileOut *out = file_create(path, err);
    if (!out)
        return false;
    bool ok = !mode || fchmod(fileno(out->file), (mode_t)mode) == 0 || not_written(err, path, "cannot be shared");
    if (!ok || !file_add(out, data, size, err)) {
        file_abort(out);
        return false;
    }
    return commit(out, sync, err);
}

bool file_write(const char *path, const void *data, size_t size, Err *err)
{
    return write_whole(path, data, size, true, 0, err);
}

bool file_write_shared(const char *path, const void *data, size_t size, int mode, Err *err)
{
    return write_whole(path, data, size, true, mode, err);
}

bool file_write_quick(const char *path, const void *data, size_t size, Err *err)
{
    return write_whole(path, data, size, false, 0, err);
}

/* The process of this host that made ".NAME.HOST-PID-N.part" or, for images, "NAME.PID.part"; 0: none of those. */
static int maker_of(const char *name, const char *host)
{
    size_t len = strlen(name);
    int pid = 0, used = 0;
    if (len < 6 || strcmp(name + len - 5, ".part") != 0)
        return 0;
    const char *last = memrchr(name, '.', len - 5);
    if (last && sscanf(last, ".%d.part%n", &pid, &used) == 1 && used)
        return pid;
    for (const char *at = name[0] == '.' ? strstr(name + 1, host) : NULL; at; at = strstr(at + 1, host))
        if (at[-1] == '.' && sscanf(at + strlen(host), "-%d-%*u.part%n", &pid, &used) == 1 && used)
            return pid;
    return 0;
}

/* A recent file may be that of a process in another container or, for an image, on another host. */
static bool is_orphan(int folder, const char *name, const char *host)
{
    enum { FRESH_SECONDS = 600 };
    int pid = maker_of(name, host);
    struct stat st;
    return pid > 0 && kill(pid, 0) != 0 && errno == ESRCH && fstatat(folder, name, &st, 0) == 0 &&
           time(NULL) - st.st_mtime > FRESH_SECONDS;
}

void file_sweep(const char *folder)
{
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    stall_enter(folder);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_orphan(dirfd(dir), entry->d_name, host))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    stall_leave();
}

/* --- folders ----------------------------------------------------------------------------------------- */

static bool make_folder(const char *path, int mode, Err *err)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) || err_set(err, ERR_USAGE, "%s is a file, not a folder", path);
    return mkdir(path, (mode_t)mode) == 0 || errno == EEXIST || err_errno(err, "cannot make the folder %s", path);
}

bool file_make_parents(const char *path, int mode, Err *err)
{
    char *copy = xstrdup(path);
    bool good = true;
    stall_enter(path);
    for (char *slash = strchr(copy + 1, '/'); *copy && good && slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        good = make_folder(copy, mode, err);
        *slash = '/';
    }
    stall_leave();
    free(copy);
    return good;
}

bool file_make_folders(const char *path, int above, int mode, Err *err)
{
    if (!file_make_parents(path, above, err))
        return false;
    stall_enter(path);
    bool good = make_folder(path, mode, err);
    stall_leave();
    return good;
}

bool file_make_shared_folder(const char *path, int *ret_mode, Err *err)
{
    const char *slash = strrchr(path, '/');
    char *above = slash && slash != path ? xasprintf("%.*s", (int)(slash - path), path) : xstrdup(slash ? "/" : ".");
    struct stat st, own;
    stall_enter(path);
    bool made = mkdir(path, 0700) == 0, ok = made || errno == EEXIST || err_errno(err, "%s", path);
    int fd = ok ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    ok = ok && ((stat(above, &st) == 0 && fd >= 0 && fstat(fd, &own) == 0) || err_errno(err, "%s", path));
    if (ok) {
        mode_t wanted = st.st_mode & 07777 & ~(mode_t)S_ISVTX;
        if (own.st_uid == geteuid() && (own.st_mode & wanted) != wanted)
            ok = fchmod(fd, (own.st_mode & 07777) | wanted) == 0 || err_errno(err, "%s cannot be shared", path);
        *ret_mode = (int)(ok && own.st_uid == geteuid() ? (own.st_mode | wanted) & 07777 : own.st_mode & 07777);
    }
    if (fd >= 0)
        close(fd);
    stall_leave();
    free(above);
    return ok;
}

bool file_folders_possible(const char *path)
{
    char *copy = xasprintf("%s%s", path[0] == '/' ? "" : "./", path), *slash;
    struct stat st;
    stall_enter(path);
    while (stat(copy, &st) != 0 && errno == ENOENT && (slash = strrchr(copy, '/')))
        slash[slash == copy] = 0;
    bool found = stat(copy, &st) == 0, folder = found && S_ISDIR(st.st_mode);
    bool ok = folder && access(copy, W_OK | X_OK) == 0;
    int number = found && !folder ? ENOTDIR : errno;
    stall_leave();
    free(copy);
    errno = number;
    return ok;
}
