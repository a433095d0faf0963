/* Where images to evaluate come from: folders of PNGs, and arrays in .npz or .npy. One row of `kinds` each.
 *
 * Owns the order (natural, by path inside the folder), which the report's row numbers and the statistics' grouping rest
 * on, and the sentence about an empty source. A source is read once, front to back; arrays are streamed, so a 10 GB
 * .npz costs one image of memory. To add a kind: a row in `kinds` with its functions. */
#include "worker/images.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "worker/npy.h"

typedef struct SourceKind SourceKind;

struct ImageSource {
    const SourceKind *kind;
    char *path;          /* of the folder or file */
    int64_t count, next; /* images; the one that comes next */
    /* folder */
    char **names; /* paths inside the folder, sorted */
    int64_t names_cap;
    char *other; /* some file that is not a PNG, for the message about an empty folder */
    /* arrays */
    int width, height;
    Npz *npz;
    NpzStream *stream;
    NpyArray npy;
};

struct SourceKind {
    const char *suffix; /* NULL: a folder */
    bool (*open)(ImageSource *source, Err *err);
    bool (*read)(ImageSource *source, Image *ret_image, Err *err); /* the image `next` */
};

/* --- folders ------------------------------------------------------------------------------------- */

enum { MAX_DEPTH = 32 };

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

/* Runs of digits compare as numbers, '/' before everything else so that a folder stays together. */
static int natural_compare(const char *a, const char *b)
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

static int compare_names(const void *a, const void *b)
{
    return natural_compare(*(char *const *)a, *(char *const *)b);
}

static void add_name(ImageSource *source, char *name)
{
    if (source->count == source->names_cap) {
        source->names_cap = source->names_cap ? 2 * source->names_cap : 1024;
        source->names = xrealloc(source->names, sizeof *source->names * (size_t)source->names_cap);
    }
    source->names[source->count++] = name;
}

/* The folders from the root to here, to notice a link that leads back into one of them. */
typedef struct Trail {
    const struct Trail *parent;
    dev_t device;
    ino_t inode;
    int depth;
} Trail;

static bool walk(ImageSource *source, const char *inside, const Trail *parent, Err *err);

static bool walk_entry(ImageSource *source, const char *inside, const char *entry, const Trail *trail, Err *err)
{
    char *name = *inside ? xasprintf("%s/%s", inside, entry) : xstrdup(entry);
    char *path = xasprintf("%s/%s", source->path, name);
    struct stat st;
    bool ok = true;
    if (stat(path, &st) != 0) {
        ok = err_errno(err, "images %s", path);
    } else if (S_ISDIR(st.st_mode)) {
        ok = walk(source, name, trail, err);
    } else if (S_ISREG(st.st_mode) && has_suffix(name, ".png")) {
        add_name(source, name);
        name = NULL;
    } else if (!source->other) {
        source->other = name;
        name = NULL;
    }
    free(name);
    free(path);
    return ok;
}

static bool walk(ImageSource *source, const char *inside, const Trail *parent, Err *err)
{
    char *path = *inside ? xasprintf("%s/%s", source->path, inside) : xstrdup(source->path);
    struct stat st;
    DIR *dir = opendir(path);
    bool ok = dir && stat(path, &st) == 0;
    if (!ok) {
        err_errno(err, "images %s: cannot read the folder", path);
        goto out;
    }
    Trail here = {parent, st.st_dev, st.st_ino, parent ? parent->depth + 1 : 0};
    for (const Trail *up = parent; up; up = up->parent)
        if ((up->device == here.device && up->inode == here.inode) || here.depth > MAX_DEPTH) {
            ok = err_set(err, ERR_FORMAT, "images %s: this folder leads back into itself, or lies more than %d deep",
                         path, MAX_DEPTH);
            goto out;
        }
    for (struct dirent *entry; ok && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            ok = walk_entry(source, inside, entry->d_name, &here, err);
out:
    if (dir)
        closedir(dir);
    free(path);
    return ok;
}

/* A job's output folder also holds its contact sheet, which is no sample. */
static void step_into_output(ImageSource *source)
{
    char *job = xasprintf("%s/job.json", source->path), *images = xasprintf("%s/images", source->path);
    struct stat st;
    if (stat(job, &st) == 0 && stat(images, &st) == 0 && S_ISDIR(st.st_mode)) {
        free(source->path);
        source->path = images;
        images = NULL;
    }
    free(job);
    free(images);
}

static bool folder_open(ImageSource *source, Err *err)
{
    step_into_output(source);
    if (!walk(source, "", NULL, err))
        return false;
    if (source->count == 0 && source->other)
        return err_set(err, ERR_NOT_FOUND, "images %s: no .png in it or below it (found %s; only PNG files are read)",
                       source->path, source->other);
    if (source->count == 0)
        return err_set(err, ERR_NOT_FOUND, "images %s: the folder holds no images", source->path);
    qsort(source->names, (size_t)source->count, sizeof *source->names, compare_names);
    return true;
}

static bool folder_read(ImageSource *source, Image *ret_image, Err *err)
{
    char *path = image_source_name(source, source->next);
    bool ok = image_read_png(path, ret_image, err);
    free(path);
    return ok;
}

/* --- arrays -------------------------------------------------------------------------------------- */

static bool check_array(ImageSource *source, const NpyArray *array, Err *err)
{
    char shape[128];
    npy_print_shape(array, shape, sizeof shape);
    if (array->dtype != DTYPE_U8 || array->ndim != 4 || array->shape[3] != 3)
        return err_set(err, ERR_FORMAT, "images %s: the array is %s, wanted [n,height,width,3] u8", source->path,
                       shape);
    if (array->shape[0] < 1)
        return err_set(err, ERR_NOT_FOUND, "images %s: the array %s holds no images", source->path, shape);
    if (array->shape[1] < 1 || array->shape[2] < 1 || array->shape[1] > IMAGE_MAX_SIDE ||
        array->shape[2] > IMAGE_MAX_SIDE || array->shape[1] * array->shape[2] > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_FORMAT, "images %s: the array is %s; a side may be 1 to %d", source->path, shape,
                       IMAGE_MAX_SIDE);
    source->count = array->shape[0];
    source->height = (int)array->shape[1];
    source->width = (int)array->shape[2];
    return true;
}

static bool npz_source_open(ImageSource *source, Err *err)
{
    source->npz = npz_open(source->path, err);
    if (!source->npz)
        return false;
    if (!npz_has(source->npz, "arr_0"))
        return err_set(err, ERR_FORMAT,
                       "images %s: has no arr_0; wanted samples as [n,height,width,3] u8 under that name",
                       source->path);
    NpyArray header;
    source->stream = npz_stream_open(source->npz, "arr_0", &header, err);
    return source->stream && check_array(source, &header, err);
}

static Image array_image(const ImageSource *source, size_t *ret_bytes)
{
    *ret_bytes = (size_t)source->width * (size_t)source->height * 3;
    return (Image){source->width, source->height, xmalloc(*ret_bytes)};
}

static bool npz_source_read(ImageSource *source, Image *ret_image, Err *err)
{
    size_t bytes;
    Image image = array_image(source, &bytes);
    if (!npz_stream_read(source->stream, image.rgb, bytes, err)) {
        image_free(&image);
        return err_wrap(err, "images %s, image %lld", source->path, (long long)source->next);
    }
    *ret_image = image;
    return true;
}

static bool npy_source_open(ImageSource *source, Err *err)
{
    return npy_open(source->path, &source->npy, err) && check_array(source, &source->npy, err);
}

static bool npy_source_read(ImageSource *source, Image *ret_image, Err *err)
{
    (void)err;
    size_t bytes;
    Image image = array_image(source, &bytes);
    memcpy(image.rgb, (const uint8_t *)source->npy.data + bytes * (size_t)source->next, bytes);
    *ret_image = image;
    return true;
}

/* --- any source ---------------------------------------------------------------------------------- */

static const SourceKind kinds[] = {
    {NULL, folder_open, folder_read},
    {".npz", npz_source_open, npz_source_read},
    {".npy", npy_source_open, npy_source_read},
};

static const SourceKind *kind_of(const char *path, Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        err_errno(err, "images %s", path);
        return NULL;
    }
    if (S_ISDIR(st.st_mode))
        return &kinds[0];
    for (size_t i = 1; i < countof(kinds); i++)
        if (has_suffix(path, kinds[i].suffix))
            return &kinds[i];
    err_set(err, ERR_FORMAT, "images %s: wanted a folder of PNG files, an .npz with arr_0 or an .npy", path);
    return NULL;
}

ImageSource *image_source_open(const char *path, Err *err)
{
    const SourceKind *kind = kind_of(path, err);
    if (!kind)
        return NULL;
    ImageSource *source = xcalloc(1, sizeof *source);
    source->kind = kind;
    source->path = xstrdup(path);
    for (size_t n = strlen(path); n > 1 && source->path[n - 1] == '/'; n--)
        source->path[n - 1] = '\0';
    if (!kind->open(source, err)) {
        image_source_close(source);
        return NULL;
    }
    return source;
}

int64_t image_source_count(const ImageSource *source)
{
    return source->count;
}

bool image_source_next(ImageSource *source, Image *ret_image, Err *err)
{
    *ret_image = (Image){0};
    if (source->next == source->count)
        return true;
    if (!source->kind->read(source, ret_image, err))
        return false;
    source->next++;
    return true;
}

char *image_source_name(const ImageSource *source, int64_t i)
{
    assert(i >= 0 && i < source->count);
    if (source->names)
        return xasprintf("%s/%s", source->path, source->names[i]);
    return xasprintf("%s image %lld", source->path, (long long)i);
}

void image_source_close(ImageSource *source)
{
    if (!source)
        return;
    for (int64_t i = 0; source->names && i < source->count; i++)
        free(source->names[i]);
    free(source->names);
    free(source->other);
    free(source->path);
    if (source->stream)
        npz_stream_close(source->stream);
    if (source->npz)
        npz_close(source->npz);
    if (source->npy.data)
        npy_free(&source->npy);
    free(source);
}
