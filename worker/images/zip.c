/* A zip of images as a source, as EDM's dataset_tool writes it: every member that is an image, in natural order of
 * their names, stored or deflated. The archive is mapped; a member is unpacked when it is read, and its checksum
 * compared. */
#include <stdlib.h>
#include <string.h>

#include "worker/images/parts.h"

enum { HEAD = 16, MEMBER_MAX = 1 << 30 };

/* Its first bytes; those of a deflated member are unpacked. */
static bool is_image(const ZipMember *member)
{
    uint8_t head[HEAD];
    const size_t size = member->size < HEAD ? (size_t)member->size : HEAD;
    if (image_has_image_suffix(member->name))
        return true;
    ZipStream *stream = size ? zip_stream_open(member, NULL) : NULL;
    bool is = stream && zip_stream_read(stream, head, size, NULL) && image_begins(head, size);
    zip_stream_close(stream);
    return is;
}

static int compare_members(const void *a, const void *b)
{
    return image_natural_compare((*(const ZipMember *const *)a)->name, (*(const ZipMember *const *)b)->name);
}

static bool is_folder(const ZipMember *member)
{
    return member->name[strlen(member->name) - 1] == '/';
}

static void list(ImageSource *source)
{
    const int count = zip_count(source->zip);
    source->members = xcalloc((size_t)count + 1, sizeof *source->members);
    for (int i = 0; i < count; i++) {
        const ZipMember *member = zip_at(source->zip, i);
        if (is_folder(member))
            continue;
        if (is_image(member)) {
            source->members[source->count++] = member;
            continue;
        }
        if (source->others++ == 0)
            source->other = xstrdup(member->name);
    }
    qsort(source->members, (size_t)source->count, sizeof *source->members, compare_members);
}

static bool zip_source_open(ImageSource *source, Err *err)
{
    struct stat st;
    if (stat(source->path, &st) != 0)
        return err_errno(err, "images %s", source->path);
    source->stamp = image_stamp(&st);
    if (!file_map(source->path, &source->map, err) ||
        !(source->zip = zip_open(source->map.data, source->map.size, err)))
        return err_wrap(err, "images %s", source->path);
    list(source);
    if (source->count)
        return true;
    char *other = source->other ? image_printable(source->other) : NULL;
    err_set(err, ERR_NOT_FOUND, "images %s: no image in this zip%s%s%s%s", source->path, other ? "; it has " : "",
            other ? other : "", other ? ", which is no " : "", other ? IMAGE_FORMATS : "");
    free(other);
    return false;
}

static bool zip_source_read(ImageSource *source, int64_t index, Image *ret_image, Err *err)
{
    const ZipMember *member = source->members[index];
    char *path = xasprintf("%s/%s", source->path, member->name), *name = image_printable(path);
    uint8_t *data = NULL;
    ZipStream *stream = NULL;
    bool good = member->size <= MEMBER_MAX || err_set(err, ERR_FORMAT, "image %s: %llu bytes, at most %d are read",
                                                      name, (unsigned long long)member->size, MEMBER_MAX);
    good = good &&
           ((data = malloc((size_t)member->size + 1)) ||
            err_set(err, ERR_MEMORY, "image %s: no memory for its %llu bytes", name, (unsigned long long)member->size));
    good = good && (stream = zip_stream_open(member, err)) &&
           zip_stream_read(stream, data, (size_t)member->size, err) &&
           image_decode(data, (size_t)member->size, name, ret_image, err);
    zip_stream_close(stream);
    free(data);
    free(path);
    free(name);
    return good;
}

static bool zip_source_same(ImageSource *source, Err *err)
{
    struct stat st;
    if (stat(source->path, &st) != 0)
        return err_errno(err, "images %s", source->path);
    return image_stamp_same(source->path, &source->stamp, &st, err);
}

static bool zip_source_fresh(ImageSource *source)
{
    return zip_source_same(source, NULL);
}

static void zip_source_close(ImageSource *source)
{
    zip_close(source->zip);
    file_unmap(&source->map);
    free(source->members);
    free(source->other);
}

const SourceKind source_zip = {ARRAY_FILE_ZIP,  zip_source_open,  zip_source_read,
                               zip_source_same, zip_source_fresh, zip_source_close};
