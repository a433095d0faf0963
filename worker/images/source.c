/* Where images to evaluate come from. One row of `kinds` each: folder.c, array.c. To add a kind: a
 * SourceKind with its functions, and its row. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "worker/images/parts.h"

static const SourceKind *const kinds[] = {&source_npz, &source_npy,
                                          &source_zip}; /* of files; a folder is known at once */

static bool is_image(const char *path)
{
    FileMap map = {0};
    bool is = file_map(path, &map, NULL) && image_begins(map.data, map.size);
    file_unmap(&map);
    return is;
}

static const SourceKind *kind_of(const char *path, Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        err_errno(err, "images %s", path);
        return NULL;
    }
    if (S_ISDIR(st.st_mode))
        return &source_folder;
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_FORMAT, "images %s: a device or pipe, wanted a folder or a file", path);
        return NULL;
    }
    ArrayFile file = array_file(path);
    for (size_t i = 0; i < countof(kinds); i++)
        if (kinds[i]->file == file)
            return kinds[i];
    if (is_image(path))
        err_set(err, ERR_FORMAT,
                "images %s: this is one image, and a set of images is wanted; give the folder that it lies in", path);
    else
        err_set(err, ERR_FORMAT, "images %s: wanted a folder or a zip of images (%s), an .npz with arr_0 or an .npy",
                path, IMAGE_FORMATS);
    return NULL;
}

ImageSource *image_source_open(const char *path, Err *err)
{
    const SourceKind *kind = kind_of(path, err);
    if (!kind)
        return NULL;
    ImageSource *source = xcalloc(1, sizeof *source);
    *source = (ImageSource){.kind = kind, .path = xstrdup(path), .fd = -1, .offset = -1};
    pthread_mutex_init(&source->stream_lock, NULL);
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

bool image_source_in_order(const ImageSource *source)
{
    return source->npz && source->offset < 0;
}

bool image_source_read(ImageSource *source, int64_t index, Image *ret_image, Err *err)
{
    assert(index >= 0 && index < source->count);
    *ret_image = (Image){0};
    Err why = {0};
    bool ok = source->kind->read(source, index, ret_image, &why);
    if (!ok && err)
        *err = why;
    return ok;
}

bool image_source_check(const ImageSource *source, Err *err)
{
    return !source->npz || source->offset < 0 || npz_check(source->npz, "arr_0", err) || err_wrap(err, "images");
}

bool image_source_same(ImageSource *source, Err *err)
{
    return source->kind->same(source, err);
}

bool image_source_fresh(ImageSource *source)
{
    return source->kind->fresh(source);
}

char *image_source_path(const ImageSource *source, int64_t i)
{
    assert(i >= 0 && i < source->count);
    return source->files ? xasprintf("%s/%s", source->path, source->files[i].name) : xstrdup(source->path);
}

char *image_source_name(const ImageSource *source, int64_t i)
{
    char *path = image_source_path(source, i);
    if (!source->files) {
        char *file = path;
        path = source->zip ? xasprintf("%s/%s", file, source->members[i]->name)
                           : xasprintf("%s image %lld", file, (long long)i);
        free(file);
    }
    char *name = image_printable(path);
    free(path);
    return name;
}

int64_t image_source_left_out(const ImageSource *source)
{
    return source->others;
}

char *image_source_caveat(const ImageSource *source)
{
    if (!source->others)
        return NULL;
    const bool one = source->others == 1;
    char *other = image_printable(source->other);
    char *text = xasprintf("%lld file%s in the %s %s no %s and %s left out: %s%s", (long long)source->others,
                           one ? "" : "s", source->zip ? "zip" : "folder", one ? "is" : "are", IMAGE_FORMATS,
                           one ? "was" : "were", one ? "" : "the first is ", other);
    free(other);
    return text;
}

void image_source_listing(const ImageSource *source, Buf *text, int64_t *ret_bytes)
{
    *ret_bytes = 0;
    for (int64_t i = 0; i < source->count && source->files; i++) {
        const SourceFile *file = &source->files[i];
        char *name = image_printable(file->name);
        buf_printf(text, "%s %lld %lld.%09lld\n", name, (long long)file->stamp.size, (long long)file->stamp.seconds,
                   (long long)file->stamp.nanoseconds);
        *ret_bytes += file->stamp.size;
        free(name);
    }
}

void image_source_close(ImageSource *source)
{
    if (!source)
        return;
    source->kind->close(source);
    free(source->path);
    pthread_mutex_destroy(&source->stream_lock);
    free(source);
}
