/* The zip directory and its members. Every offset and length is compared with what is left before it is used, in 64
 * bits, by subtraction, so that no sum can wrap. Another compression method would be one more branch in zip_stream_open
 * and zip_stream_read. */
#include "worker/files/zip.h"

#include <isa-l.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/mem.h"
#include "worker/files/arena.h"
#include "worker/files/bytes.h"

enum { END = 22, LOCATOR = 20, END64 = 56, ENTRY = 46, LOCAL = 30 }; /* sizes of the records without their tails */
enum { MEMBERS_MAX = 1 << 20 };
enum { METHOD_STORED = 0, METHOD_DEFLATED = 8 };

struct Zip {
    const uint8_t *data;
    uint64_t size;
    Arena arena;
    ZipMember *members;
    const ZipMember **sorted;
    int count;
};

typedef struct Directory {
    uint64_t offset, size, count;
} Directory;

static bool has_magic(const uint8_t *at, char a, char b)
{
    return at[0] == 'P' && at[1] == 'K' && at[2] == a && at[3] == b;
}

/* The end record is the last thing in the file but for a comment of up to 64 KiB. */
static const uint8_t *find_end(const Zip *zip)
{
    if (zip->size < END)
        return NULL;
    uint64_t low = zip->size > END + 65535 ? zip->size - END - 65535 : 0;
    for (uint64_t at = zip->size - END + 1; at-- > low;)
        if (has_magic(zip->data + at, 5, 6) && bytes_get(zip->data + at + 20, 2) <= zip->size - at - END)
            return zip->data + at;
    return NULL;
}

static bool find_directory(const Zip *zip, Directory *ret_dir, Err *err)
{
    const uint8_t *end = find_end(zip);
    if (!end)
        return err_set(
            err, ERR_FORMAT,
            "it begins as a zip archive, but no zip directory is at its end: the file of %llu bytes was cut short",
            (unsigned long long)zip->size);
    Directory dir = {bytes_get(end + 16, 4), bytes_get(end + 12, 4), bytes_get(end + 10, 2)};
    uint64_t at = (uint64_t)(end - zip->data);
    if (at >= LOCATOR && has_magic(end - LOCATOR, 6, 7)) {
        uint64_t at64 = bytes_get(end - LOCATOR + 8, 8);
        if (at < END64 || at64 > at - END64 || !has_magic(zip->data + at64, 6, 6))
            return err_set(err, ERR_FORMAT, "its zip64 directory record is not where its locator says (%llu)",
                           (unsigned long long)at64);
        const uint8_t *end64 = zip->data + at64;
        dir = (Directory){bytes_get(end64 + 48, 8), bytes_get(end64 + 40, 8), bytes_get(end64 + 32, 8)};
    }
    if (dir.offset > at || dir.size > at - dir.offset || dir.count > dir.size / ENTRY)
        return err_set(err, ERR_FORMAT,
                       "its zip directory (%llu members, %llu bytes at %llu) does not fit into the file of %llu bytes",
                       (unsigned long long)dir.count, (unsigned long long)dir.size, (unsigned long long)dir.offset,
                       (unsigned long long)zip->size);
    *ret_dir = dir;
    return true;
}

/* Fields that are all ones in the entry are found, in this order, in the zip64 extra field. */
static bool read_zip64(const uint8_t *extra, size_t len, uint64_t *fields[3])
{
    const uint64_t full = UINT32_MAX;
    if (*fields[0] != full && *fields[1] != full && *fields[2] != full)
        return true;
    while (len >= 4) {
        size_t id = bytes_get(extra, 2), size = bytes_get(extra + 2, 2);
        if (size > len - 4)
            return false;
        const uint8_t *at = extra + 4;
        for (int i = 0; id == 1 && i < 3; i++) {
            if (*fields[i] != full)
                continue;
            if (size < 8)
                return false;
            *fields[i] = bytes_get(at, 8);
            at += 8;
            size -= 8;
        }
        if (id == 1)
            return true;
        extra += 4 + size;
        len -= 4 + size;
    }
    return true; /* exactly 4 GiB - 1, without an extra field */
}

/* The member's bytes begin after its local header, whose tail may have another length than the directory's. */
static bool find_data(const Zip *zip, uint64_t offset, uint64_t directory, ZipMember *member, Err *err)
{
    if (offset > directory || directory - offset < LOCAL || !has_magic(zip->data + offset, 3, 4))
        return err_set(err, ERR_FORMAT, "zip member %s has no header at %llu", member->name,
                       (unsigned long long)offset);
    const uint8_t *local = zip->data + offset;
    uint64_t tail = bytes_get(local + 26, 2) + bytes_get(local + 28, 2), left = directory - offset - LOCAL;
    if (tail > left || member->packed > left - tail)
        return err_set(err, ERR_FORMAT, "zip member %s needs %llu bytes at %llu, only %llu are there", member->name,
                       (unsigned long long)member->packed, (unsigned long long)offset,
                       (unsigned long long)(tail > left ? 0 : left - tail));
    member->data = local + LOCAL + tail;
    return true;
}

/* One directory entry; *at moves on to the next. */
static bool read_member(Zip *zip, const Directory *dir, const uint8_t **at, ZipMember *member, Err *err)
{
    const uint8_t *entry = *at;
    uint64_t left = (uint64_t)(zip->data + dir->offset + dir->size - entry);
    size_t name = 0, extra = 0, comment = 0;
    if (left >= ENTRY && has_magic(entry, 1, 2)) {
        name = bytes_get(entry + 28, 2);
        extra = bytes_get(entry + 30, 2);
        comment = bytes_get(entry + 32, 2);
    }
    if (!name || name + extra + comment > left - ENTRY || memchr(entry + ENTRY, 0, name))
        return err_set(err, ERR_FORMAT, "entry %d of its zip directory is damaged", zip->count);
    member->name = arena_text(&zip->arena, entry + ENTRY, name);
    unsigned flags = (unsigned)bytes_get(entry + 8, 2), method = (unsigned)bytes_get(entry + 10, 2);
    member->crc = (uint32_t)bytes_get(entry + 16, 4);
    member->packed = bytes_get(entry + 20, 4);
    member->size = bytes_get(entry + 24, 4);
    uint64_t offset = bytes_get(entry + 42, 4);
    if (!read_zip64(entry + ENTRY + name, extra, (uint64_t *[3]){&member->size, &member->packed, &offset}))
        return err_set(err, ERR_FORMAT, "zip member %s has a damaged zip64 field", member->name);
    if (flags & 1)
        return err_set(err, ERR_FORMAT, "zip member %s is encrypted", member->name);
    if (method != METHOD_STORED && method != METHOD_DEFLATED)
        return err_set(err, ERR_FORMAT,
                       "zip member %s is packed with method %u, only stored (0) and deflated (8) are read",
                       member->name, method);
    member->deflated = method == METHOD_DEFLATED;
    if (!member->deflated && member->packed != member->size)
        return err_set(err, ERR_FORMAT, "zip member %s is stored in %llu bytes but claims %llu", member->name,
                       (unsigned long long)member->packed, (unsigned long long)member->size);
    *at = entry + ENTRY + name + extra + comment;
    return find_data(zip, offset, dir->offset, member, err);
}

static int by_name(const void *a, const void *b)
{
    const ZipMember *x = *(const ZipMember *const *)a, *y = *(const ZipMember *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x > y) - (x < y);
}

static bool read_directory(Zip *zip, Err *err)
{
    Directory dir = {0};
    if (!find_directory(zip, &dir, err))
        return false;
    if (dir.count > MEMBERS_MAX)
        return err_set(err, ERR_FORMAT, "its zip directory has %llu members, at most %d are read",
                       (unsigned long long)dir.count, MEMBERS_MAX);
    zip->members = arena_take(&zip->arena, dir.count * sizeof *zip->members);
    zip->sorted = arena_take(&zip->arena, dir.count * sizeof *zip->sorted);
    const uint8_t *at = zip->data + dir.offset;
    for (uint64_t i = 0; i < dir.count; i++) {
        zip->sorted[i] = &zip->members[i];
        if (!read_member(zip, &dir, &at, &zip->members[i], err))
            return false;
        zip->count++;
    }
    qsort(zip->sorted, (size_t)zip->count, sizeof *zip->sorted, by_name);
    return true;
}

Zip *zip_open(const uint8_t *data, size_t size, Err *err)
{
    Zip *zip = xcalloc(1, sizeof *zip);
    zip->data = data;
    zip->size = size;
    if (read_directory(zip, err))
        return zip;
    zip_close(zip);
    return NULL;
}

void zip_close(Zip *zip)
{
    if (!zip)
        return;
    arena_free(&zip->arena);
    free(zip);
}

int zip_count(const Zip *zip)
{
    return zip->count;
}

const ZipMember *zip_at(const Zip *zip, int i)
{
    return &zip->members[i];
}

const ZipMember *zip_find(const Zip *zip, const char *name)
{
    int low = 0, high = zip->count; /* the last member that is not after name lies in [low, high) */
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(zip->sorted[middle]->name, name) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && strcmp(zip->sorted[low - 1]->name, name) == 0 ? zip->sorted[low - 1] : NULL;
}

static bool crc_matches(const char *name, uint32_t found, uint32_t wanted, Err *err)
{
    return found == wanted || wanted == 0 ||
           err_set(err, ERR_FORMAT, "zip member %s is damaged: its checksum is %08x, the directory has %08x", name,
                   found, wanted);
}

bool zip_check(const ZipMember *member, Err *err)
{
    return crc_matches(member->name, crc32_gzip_refl(0, member->data, member->size), member->crc, err);
}

struct ZipStream {
    const ZipMember *member;
    uint64_t done; /* bytes handed out */
    uint32_t crc;
    z_stream z;
};

ZipStream *zip_stream_open(const ZipMember *member, Err *err)
{
    ZipStream *stream = xcalloc(1, sizeof *stream);
    stream->member = member;
    if (member->deflated && inflateInit2(&stream->z, -MAX_WBITS) != Z_OK) {
        err_set(err, ERR_MEMORY, "zip member %s: no memory to unpack it", member->name);
        free(stream);
        return NULL;
    }
    stream->z.next_in = (Bytef *)member->data;
    return stream;
}

static bool inflate_into(ZipStream *stream, uint8_t *dst, size_t size, Err *err)
{
    enum { STEP = 1 << 30 }; /* zlib counts in unsigned int */
    const ZipMember *member = stream->member;
    z_stream *z = &stream->z;
    z->next_out = dst;
    uint8_t *end = dst + size;
    while (z->next_out < end) {
        uint64_t in = member->packed - (uint64_t)(z->next_in - member->data), out = (uint64_t)(end - z->next_out);
        z->avail_in = (uInt)(in < STEP ? in : STEP);
        z->avail_out = (uInt)(out < STEP ? out : STEP);
        int code = inflate(z, Z_NO_FLUSH); /* Z_BUF_ERROR: no progress, the packed bytes are used up */
        if ((code != Z_OK && code != Z_STREAM_END) || (code == Z_STREAM_END && z->next_out < end))
            return err_set(err, ERR_FORMAT, "zip member %s is damaged: %llu of %llu bytes could be unpacked%s%s",
                           member->name, (unsigned long long)(stream->done + (uint64_t)(z->next_out - dst)),
                           (unsigned long long)member->size, z->msg ? ", then: " : "", z->msg ? z->msg : "");
    }
    return true;
}

bool zip_stream_read(ZipStream *stream, void *dst, size_t size, Err *err)
{
    const ZipMember *member = stream->member;
    if (size > member->size - stream->done)
        return err_set(err, ERR_FORMAT, "zip member %s ends after %llu bytes, %llu more were wanted", member->name,
                       (unsigned long long)member->size, (unsigned long long)(size - (member->size - stream->done)));
    if (!size)
        return true;
    if (!member->deflated)
        memcpy(dst, member->data + stream->done, size);
    else if (!inflate_into(stream, dst, size, err))
        return false;
    stream->crc = crc32_gzip_refl(stream->crc, dst, size);
    stream->done += size;
    return stream->done < member->size || crc_matches(member->name, stream->crc, member->crc, err);
}

void zip_stream_close(ZipStream *stream)
{
    if (!stream)
        return;
    if (stream->member->deflated)
        inflateEnd(&stream->z);
    free(stream);
}
