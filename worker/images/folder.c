/* A folder as a source: every image in it and below it, in natural order of their paths inside it.
 *
 * Owns the order, on which the report's row numbers and the grouping of the statistics depend, and the check that the
 * folder has not changed: size and time of every file are kept and compared when it is read, so a file that vanished or
 * was replaced is an error and never silently another image; `same` lists the folder again. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/file.h"
#include "core/stall.h"
#include "worker/images/parts.h"

enum { MAX_DEPTH = 32 };

int image_natural_compare(const char *a, const char *b)
{
    const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
    while (*p && *q) {
        if (isdigit(*p) && isdigit(*q)) {
            while (*p == '0')
                p++;
            while (*q == '0')
                q++;
            size_t n = strspn((const char *)p, "0123456789"), m = strspn((const char *)q, "0123456789");
            int order = n != m ? (n < m ? -1 : 1) : memcmp(p, q, n);
            if (order)
                return order;
            p += n, q += m;
        } else if (*p != *q) {
            int left = *p == '/' ? 1 : *p + 1, right = *q == '/' ? 1 : *q + 1;
            return left - right;
        } else {
            p++, q++;
        }
    }
    if (*p || *q)
        return *p ? 1 : -1;
    return strcmp(a, b); /* 01 and 1 */
}

static int compare_files(const void *a, const void *b)
{
    return image_natural_compare(((const SourceFile *)a)->name, ((const SourceFile *)b)->name);
}

/* --- listing --------------------------------------------------------------------------------------- */

/* Consumes the name. */
static void add_file(ImageSource *source, char *name, const struct stat *st)
{
    if (source->count == source->files_cap) {
        source->files_cap = source->files_cap ? 2 * source->files_cap : 1024;
        source->files = xrealloc(source->files, sizeof *source->files * (size_t)source->files_cap);
    }
    source->files[source->count++] = (SourceFile){name, image_stamp(st)};
}

static void add_folder(ImageSource *source, const char *path, const struct stat *st)
{
    if ((source->folder_count & (source->folder_count - 1)) == 0) /* at 0, 1, 2, 4, ... */
        source->folders = xrealloc(source->folders, sizeof *source->folders *
                                                        (size_t)(source->folder_count ? 2 * source->folder_count : 1));
    source->folders[source->folder_count++] = (SourceFile){xstrdup(path), image_stamp(st)};
}

static void add_other(ImageSource *source, char *name)
{
    source->others++;
    if (!source->other || image_natural_compare(name, source->other) < 0) {
        free(source->other);
        source->other = name;
    } else {
        free(name);
    }
}

/* The folders from the root to here, to notice a link that leads back into one of them. */
typedef struct Trail {
    const struct Trail *parent;
    dev_t device;
    ino_t inode;
    int depth;
} Trail;

static bool walk(ImageSource *source, const char *inside, const Trail *parent, Err *err);

/* stat, watched. */
static bool look_at(const char *path, struct stat *ret_st)
{
    stall_enter(path);
    bool good = stat(path, ret_st) == 0;
    stall_leave();
    return good;
}

/* A job's output folder also holds its contact sheet, which is no sample: of it only images/ is walked. */
static bool is_output(const char *path)
{
    char *job = xasprintf("%s/job.json", path), *images = xasprintf("%s/images", path);
    struct stat st;
    bool is = look_at(job, &st) && look_at(images, &st) && S_ISDIR(st.st_mode);
    free(job);
    free(images);
    return is;
}

static DIR *open_folder(const char *path, struct stat *ret_st)
{
    stall_enter(path);
    DIR *dir = opendir(path);
    if (dir && fstat(dirfd(dir), ret_st) != 0) {
        int number = errno;
        closedir(dir);
        errno = number;
        dir = NULL;
    }
    stall_leave();
    return dir;
}

static struct dirent *next_entry(DIR *dir, const char *path)
{
    stall_enter(path);
    struct dirent *entry = readdir(dir);
    stall_leave();
    return entry;
}

static bool system_error(const char *path, const char *what, Err *err)
{
    int number = errno;
    char *name = image_printable(path);
    errno = number;
    err_errno(err, "images %s%s", name, what);
    free(name);
    return false;
}

/* A file that is called an image must be one, and reading it tells. Of others the first bytes are looked at. */
static bool is_image(const char *path, const struct stat *st)
{
    if (image_has_image_suffix(path))
        return true;
    uint8_t head[16];
    int fd = S_ISREG(st->st_mode) ? file_open(path, NULL) : -1;
    ssize_t got = fd >= 0 ? read(fd, head, sizeof head) : 0;
    if (fd >= 0)
        close(fd);
    return got > 0 && image_begins(head, (size_t)got);
}

static bool walk_entry(ImageSource *source, const char *inside, const char *entry, const Trail *trail, Err *err)
{
    char *name = *inside ? xasprintf("%s/%s", inside, entry) : xstrdup(entry);
    char *path = xasprintf("%s/%s", source->path, name);
    struct stat st;
    bool ok = true;
    if (!look_at(path, &st)) {
        ok = system_error(path, "", err);
    } else if (S_ISDIR(st.st_mode)) {
        char *images = is_output(path) ? xasprintf("%s/images", name) : NULL;
        ok = walk(source, images ? images : name, trail, err);
        free(images);
    } else if (is_image(path, &st)) {
        add_file(source, name, &st);
        name = NULL;
    } else {
        add_other(source, name);
        name = NULL;
    }
    free(name);
    free(path);
    return ok;
}

static bool leads_back(const Trail *here, const char *path, Err *err)
{
    for (const Trail *up = here->parent; up; up = up->parent)
        if ((up->device == here->device && up->inode == here->inode) || here->depth > MAX_DEPTH) {
            char *name = image_printable(path);
            err_set(err, ERR_FORMAT, "images %s: this folder leads back into itself, or lies more than %d deep", name,
                    MAX_DEPTH);
            free(name);
            return true;
        }
    return false;
}

static bool walk(ImageSource *source, const char *inside, const Trail *parent, Err *err)
{
    char *path = *inside ? xasprintf("%s/%s", source->path, inside) : xstrdup(source->path);
    struct stat st;
    DIR *dir = open_folder(path, &st);
    bool ok = dir != NULL;
    if (!ok) {
        system_error(path, ": cannot read the folder", err);
    } else {
        Trail here = {parent, st.st_dev, st.st_ino, parent ? parent->depth + 1 : 0};
        ok = !leads_back(&here, path, err);
        add_folder(source, path, &st);
        for (struct dirent *entry; ok && (entry = next_entry(dir, path));)
            if (entry->d_name[0] != '.')
                ok = walk_entry(source, inside, entry->d_name, &here, err);
            else if (image_has_image_suffix(entry->d_name)) /* hidden: what macOS leaves beside a file */
                add_other(source, *inside ? xasprintf("%s/%s", inside, entry->d_name) : xstrdup(entry->d_name));
    }
    if (dir)
        closedir(dir);
    free(path);
    return ok;
}

static bool list(ImageSource *source, Err *err)
{
    if (!walk(source, "", NULL, err))
        return false;
    if (source->count)
        qsort(source->files, (size_t)source->count, sizeof *source->files, compare_files);
    return true;
}

static void folder_close(ImageSource *source)
{
    for (int64_t i = 0; i < source->count; i++)
        free(source->files[i].name);
    for (int64_t i = 0; i < source->folder_count; i++)
        free(source->folders[i].name);
    free(source->files);
    free(source->folders);
    free(source->other);
}

/* --- opening --------------------------------------------------------------------------------------- */

static bool folder_open(ImageSource *source, Err *err)
{
    if (is_output(source->path)) {
        char *images = xasprintf("%s/images", source->path);
        free(source->path);
        source->path = images;
    }
    if (!list(source, err))
        return false;
    if (source->count)
        return true;
    char *path = image_printable(source->path), *other = source->other ? image_printable(source->other) : NULL;
    if (other)
        err_set(err, ERR_NOT_FOUND, "images %s: no image in it or below it; found %s, which is no %s", path, other,
                IMAGE_FORMATS);
    else
        err_set(err, ERR_NOT_FOUND, "images %s: the folder holds no images", path);
    free(path);
    free(other);
    return false;
}

/* --- reading --------------------------------------------------------------------------------------- */

static bool folder_read(ImageSource *source, int64_t index, Image *ret_image, Err *err)
{
    const SourceFile *file = &source->files[index];
    char *path = xasprintf("%s/%s", source->path, file->name), *name = image_printable(path);
    size_t size = 0;
    struct stat st;
    uint8_t *data = image_file_read(path, name, &size, &st, err);
    if (!data && err && err->kind == ERR_NOT_FOUND)
        err_set(err, ERR_NOT_FOUND, "image %s: it was there when the folder was opened and is gone", name);
    bool ok = data && image_stamp_same(name, &file->stamp, &st, err) && image_decode(data, size, name, ret_image, err);
    free(data);
    free(path);
    free(name);
    return ok;
}

static bool differs(const ImageSource *source, const char *inside, const char *how, Err *err)
{
    char *path = xasprintf("%s/%s", source->path, inside), *name = image_printable(path);
    err_set(err, ERR_NOT_FOUND, "image %s: it %s; measure again when no other process writes there", name, how);
    free(path);
    free(name);
    return false;
}

static bool folder_same(ImageSource *source, Err *err)
{
    ImageSource now = {.path = source->path};
    bool same = list(&now, err);
    for (int64_t i = 0; same && (i < now.count || i < source->count); i++) {
        const SourceFile *then = i < source->count ? &source->files[i] : NULL,
                         *is = i < now.count ? &now.files[i] : NULL;
        int order = !then ? 1 : !is ? -1 : image_natural_compare(then->name, is->name);
        if (order > 0)
            same = differs(source, is->name, "was added while the images were read", err);
        else if (order < 0)
            same = differs(source, then->name, "was there when the folder was opened and is gone", err);
        else if (memcmp(&then->stamp, &is->stamp, sizeof then->stamp) != 0)
            same = differs(source, then->name, "changed while the images were read", err);
    }
    folder_close(&now);
    return same;
}

/* Files that are added or removed change the time of their folder; one that is overwritten is found when it is read. */
static bool folder_fresh(ImageSource *source)
{
    for (int64_t i = 0; i < source->folder_count; i++) {
        const SourceFile *folder = &source->folders[i];
        struct stat st;
        if (!look_at(folder->name, &st))
            return false;
        ImageStamp now = image_stamp(&st);
        if (memcmp(&now, &folder->stamp, sizeof now) != 0)
            return false;
    }
    return true;
}

const SourceKind source_folder = {ARRAY_FILE_OTHER, folder_open, folder_read, folder_same, folder_fresh, folder_close};
