/* Zip archives in memory, read: what torch.save, numpy and Python's zipfile write.
 *
 *     Zip *zip = zip_open(data, size, err);              data must outlive the Zip
 *     const ZipMember *m = zip_find(zip, "arr_0.npy");
 *     ZipStream *s = zip_stream_open(m, err);            stored or deflated
 *
 * Sizes and offsets come from the central directory (zip64 included), so local headers with data descriptors are fine.
 * Every member was checked to lie inside the archive; encrypted ones and methods other than store and deflate are
 * errors when the archive is opened. */
#ifndef WORKER_FILES_ZIP_H
#define WORKER_FILES_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct Zip Zip;

typedef struct ZipMember {
    const char *name;
    const uint8_t *data; /* the bytes as they lie in the archive */
    uint64_t packed;     /* how many those are */
    uint64_t size;       /* how many they unpack to; equal to packed when stored */
    uint32_t crc;
    bool deflated;
} ZipMember;

Zip *zip_open(const uint8_t *data, size_t size, Err *err);
void zip_close(Zip *zip); /* NULL is fine */

int zip_count(const Zip *zip);
const ZipMember *zip_at(const Zip *zip, int i);
const ZipMember *zip_find(const Zip *zip, const char *name); /* NULL if there is none; the last one of equal names */

/* Reads all of a stored member against its checksum. A checksum of 0 means that the writer left it out. */
bool zip_check(const ZipMember *member, Err *err);

/* Unpacked bytes in order. Short or damaged data is an error; the checksum is compared at the last byte. */
typedef struct ZipStream ZipStream;
ZipStream *zip_stream_open(const ZipMember *member, Err *err);
bool zip_stream_read(ZipStream *stream, void *dst, size_t size, Err *err);
void zip_stream_close(ZipStream *stream); /* NULL is fine */

#endif
