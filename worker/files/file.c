/* Owns: the system calls for whole files. Everything of the worker that must appear complete goes through file_create.
 * The unfinished file is FOLDER/.NAME.HOST-PID-N.part: unique, so two workers that were given the same range (one had
 * lost its lease) never write into each other's file, and hidden, so nobody takes it for a result. */
#include "worker/files/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "worker/files/mapped.h"
#include "worker/files/stall.h"

/* Opens a regular file for reading; -1 with an error for anything else. */
static int file_open(const char *path, Err *err)
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

bool file_map(const char *path, FileMap *ret_map, Err *err)
{
    int fd = file_open(path, err);
    if (fd < 0)
        return false;
    struct stat st;
    bool ok = fstat(fd, &st) == 0 || err_errno(err, "%s cannot be examined", path);
    FileMap map = {0};
    if (ok && st.st_size > 0) {
        map.size = (size_t)st.st_size;
        void *data = mmap(NULL, map.size, PROT_READ, MAP_PRIVATE, fd, 0);
        ok = data != MAP_FAILED || err_errno(err, "%s (%zu bytes) cannot be mapped", path, map.size);
        map.data = data;
        if (ok)
            mapped_add(data, map.size, path);
    }
    close(fd);
    if (ok)
        *ret_map = map;
    return ok;
}

void file_unmap(FileMap *map)
{
    mapped_remove(map->data);
    if (map->data)
        munmap((void *)map->data, map->size);
    *map = (FileMap){0};
}

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

bool file_commit(FileOut *out, Err *err)
{
    stall_enter(out->path);
    bool ok = fflush(out->file) == 0 && fsync(fileno(out->file)) == 0;
    if (ok) {
        ok = fclose(out->file) == 0;
        out->file = NULL;
    }
    ok = ok && rename(out->part, out->path) == 0;
    if (!ok) {
        not_written(err, out->path, "cannot be written");
        unlink(out->part);
    } else if (!folder_sync(out->folder)) {
        ok = not_written(err, out->path, "is there, but its folder cannot be written to disk");
    }
    stall_leave();
    out_free(out);
    return ok;
}

void file_abort(FileOut *out)
{
    if (!out)
        return;
    if (out->file)
        unlink(out->part);
    out_free(out);
}

bool file_write(const char *path, const void *data, size_t size, Err *err)
{
    FileOut *out = file_create(path, err);
    if (!out)
        return false;
    if (!file_add(out, data, size, err)) {
        file_abort(out);
        return false;
    }
    return file_commit(out, err);
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

/* A fresh file may be that of a process in another container or, an image, on another host, which we cannot see. */
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

/* --- SHA-256, remembered --- */
typedef struct Hashed {
    char *path;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    char hex[65];
} Hashed;

static struct { /* the oldest goes first when it is full */
    pthread_mutex_t lock;
    Hashed rows[64];
    size_t next;
} hashed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_same(const Hashed *row, const Hashed *key)
{
    return row->path && strcmp(row->path, key->path) == 0 && row->device == key->device && row->inode == key->inode &&
           row->size == key->size && row->changed.tv_sec == key->changed.tv_sec &&
           row->changed.tv_nsec == key->changed.tv_nsec;
}

static bool hash_recall(Hashed *key)
{
    bool found = false;
    pthread_mutex_lock(&hashed.lock);
    for (size_t i = 0; i < countof(hashed.rows) && !found; i++)
        if ((found = is_same(&hashed.rows[i], key)))
            memcpy(key->hex, hashed.rows[i].hex, sizeof key->hex);
    pthread_mutex_unlock(&hashed.lock);
    return found;
}

static void hash_remember(const Hashed *key)
{
    pthread_mutex_lock(&hashed.lock);
    Hashed *row = &hashed.rows[hashed.next++ % countof(hashed.rows)];
    free(row->path);
    *row = *key;
    row->path = xstrdup(key->path);
    pthread_mutex_unlock(&hashed.lock);
}

/* Read, not mapped: a file that shrinks meanwhile is then an error or another hash, not a SIGBUS. */
static bool hash_stream(int fd, const char *path, char ret_hex[65], Err *err)
{
    enum { CHUNK = 1 << 20 };
    uint8_t *chunk = xmalloc(CHUNK), sum[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) || err_set(err, ERR_INTERNAL, "SHA-256 is not available");
    ssize_t got = 1;
    while (ok && got > 0) {
        stall_enter(path);
        while ((got = read(fd, chunk, CHUNK)) < 0 && errno == EINTR)
            ;
        stall_leave();
        ok = got >= 0 || err_errno(err, "%s cannot be read", path);
        ok = ok && (EVP_DigestUpdate(ctx, chunk, (size_t)got) || err_set(err, ERR_INTERNAL, "SHA-256 failed"));
    }
    ok = ok && (EVP_DigestFinal_ex(ctx, sum, NULL) || err_set(err, ERR_INTERNAL, "SHA-256 failed"));
    for (int i = 0; ok && i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", sum[i]);
    EVP_MD_CTX_free(ctx);
    free(chunk);
    return ok;
}

bool file_sha256(const char *path, char ret_hex[65], Err *err)
{
    int fd = file_open(path, err);
    if (fd < 0)
        return false;
    struct stat st;
    bool ok = fstat(fd, &st) == 0 || err_errno(err, "%s cannot be examined", path);
    Hashed key = {.path = (char *)path};
    if (ok) {
        key.device = st.st_dev;
        key.inode = st.st_ino;
        key.size = st.st_size;
        key.changed = st.st_mtim;
        if (!hash_recall(&key) && (ok = hash_stream(fd, path, key.hex, err)))
            hash_remember(&key);
    }
    if (ok)
        memcpy(ret_hex, key.hex, sizeof key.hex);
    close(fd);
    return ok;
}
