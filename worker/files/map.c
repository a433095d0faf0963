#include "worker/files/map.h"

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

#include "core/file.h"
#include "core/mem.h"
#include "core/stall.h"
#include "worker/files/mapped.h"

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

/* --- SHA-256, remembered --- */
typedef struct Hashed {
    char *path;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written, changed; /* a copy that keeps the old time of writing has a new time of change */
    char hex[65];
} Hashed;

static struct { /* the oldest goes first when it is full */
    pthread_mutex_t lock;
    Hashed rows[1024];
    size_t next;
} hashed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const Hashed *row, const Hashed *key)
{
    return row->path && strcmp(row->path, key->path) == 0 && row->device == key->device && row->inode == key->inode &&
           row->size == key->size && same_time(&row->written, &key->written) &&
           same_time(&row->changed, &key->changed);
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
        key.written = st.st_mtim;
        key.changed = st.st_ctim;
        if (!hash_recall(&key) && (ok = hash_stream(fd, path, key.hex, err)))
            hash_remember(&key);
    }
    if (ok)
        memcpy(ret_hex, key.hex, sizeof key.hex);
    close(fd);
    return ok;
}
