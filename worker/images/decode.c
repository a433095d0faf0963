/* Image files in: reads the bytes, looks at the first of them and hands them to the file that knows the format; the
 * file's name does not matter. Owns the message about files of other formats. To add a format: its decoder (images.h),
 * its row here, its word in IMAGE_FORMATS and its suffix in parts.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/stall.h"
#include "core/utf8.h"
#include "worker/images/parts.h"

#define FILE_MAX (1LL << 30)

/* --- what it is ------------------------------------------------------------------------------------ */

typedef bool (*DecodeFn)(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);

static const struct {
    const char *bytes;
    size_t size;
    const char *more; /* what stands at byte 8; NULL: anything */
    const char *what;
    DecodeFn decode; /* NULL: we do not read it */
    unsigned traits;
} signatures[] = {
    {"\x89PNG\r\n\x1a\n", 8, NULL, "a PNG", image_decode_png, 0},
    {"\xff\xd8\xff", 3, NULL, "a JPEG", image_decode_jpeg, IMAGE_JPEG},
    {"RIFF", 4, "WEBP", "a WebP", image_decode_webp, 0},
    {"BM", 2, NULL, "a BMP", image_decode_bmp, 0},
    {"II*\0", 4, NULL, "a TIFF", image_decode_tiff, 0},
    {"MM\0*", 4, NULL, "a TIFF", image_decode_tiff, 0},
    {"II+\0", 4, NULL, "a TIFF", image_decode_tiff, 0},
    {"MM\0+", 4, NULL, "a TIFF", image_decode_tiff, 0},
    {"GIF8", 4, NULL, "a GIF", NULL, 0},
    {"\0\0\0\x0cJXL ", 8, NULL, "a JPEG XL", NULL, 0},
    {"\0\0\0\x0cjP  ", 8, NULL, "a JPEG 2000", NULL, 0},
};

/* "P1" to "P6" and a space: too short for a row. */
static bool is_pnm(const uint8_t *data, size_t size)
{
    return size >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' && data[2] && strchr(" \t\n\v\f\r", data[2]);
}

static int signature_of(const uint8_t *data, size_t size)
{
    for (int i = 0; i < (int)countof(signatures); i++)
        if (size >= signatures[i].size && memcmp(data, signatures[i].bytes, signatures[i].size) == 0 &&
            (!signatures[i].more || (size >= 12 && memcmp(data + 8, signatures[i].more, 4) == 0)))
            return i;
    return -1;
}

bool image_begins(const uint8_t *data, size_t size)
{
    int i = signature_of(data, size);
    return i >= 0 ? signatures[i].decode != NULL : is_pnm(data, size);
}

bool image_decode(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    if (size == 0)
        return err_set(err, ERR_FORMAT, "image %s: the file is empty", name);
    int i = signature_of(data, size);
    if (i < 0 && is_pnm(data, size))
        return image_decode_pnm(data, size, name, ret_image, err);
    if (i < 0)
        return err_set(err, ERR_FORMAT, "image %s: no %s: it does not begin like one", name, IMAGE_FORMATS);
    if (!signatures[i].decode)
        return err_set(err, ERR_FORMAT, "image %s: this is %s; wanted %s", name, signatures[i].what, IMAGE_FORMATS);
    if (!signatures[i].decode(data, size, name, ret_image, err))
        return false;
    ret_image->traits |= signatures[i].traits;
    return true;
}

/* --- files ----------------------------------------------------------------------------------------- */

static bool read_all(int fd, uint8_t *data, size_t want, size_t *ret_size)
{
    size_t size = 0;
    while (size < want) {
        ssize_t n = read(fd, data + size, want - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break; /* it shrank meanwhile: the stamp or the decoder reports it */
        size += (size_t)n;
    }
    *ret_size = size;
    return true;
}

uint8_t *image_file_read(const char *path, const char *name, size_t *ret_size, struct stat *ret_st, Err *err)
{
    stall_enter(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe that is called x.png must not block */
    uint8_t *data = NULL;
    bool good = fd >= 0 && fstat(fd, ret_st) == 0;
    if (!good) {
        err_errno(err, "image %s: cannot open it", name);
    } else if (!S_ISREG(ret_st->st_mode) || ret_st->st_size > FILE_MAX) {
        good = err_set(err, ERR_FORMAT, "image %s: not a plain file of at most %lld MiB", name, FILE_MAX >> 20);
    } else {
        data = malloc((size_t)ret_st->st_size + 1);
        if (!data)
            good = err_set(err, ERR_MEMORY, "image %s: no memory for its %lld bytes", name, (long long)ret_st->st_size);
        else if (!read_all(fd, data, (size_t)ret_st->st_size, ret_size) || fstat(fd, ret_st) != 0)
            good = err_errno(err, "image %s: cannot read it", name);
    }
    if (fd >= 0)
        close(fd);
    stall_leave();
    if (good)
        return data;
    free(data);
    return NULL;
}

bool image_read(const char *path, Image *ret_image, Err *err)
{
    size_t size;
    struct stat st;
    char *name = image_printable(path);
    uint8_t *data = image_file_read(path, name, &size, &st, err);
    bool ok = data && image_decode(data, size, name, ret_image, err);
    free(data);
    free(name);
    return ok;
}

void image_free(Image *image)
{
    free(image->rgb);
    *image = (Image){0};
}

/* --- names ----------------------------------------------------------------------------------------- */

/* How many bytes the character at text has; 0 if it must be written out. */
static size_t plain_size(const char *text)
{
    const unsigned char first = (unsigned char)text[0], second = first ? (unsigned char)text[1] : 0;
    const bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && second < 0xa0); /* the last: C1 */
    return control || first == '\\' ? 0 : utf8_size(text);
}

char *image_printable(const char *name)
{
    Buf text = {0};
    buf_add(&text, "", 0);
    for (const char *c = name; *c;) {
        size_t size = plain_size(c);
        if (size)
            buf_add(&text, c, size);
        else if (*c == '\n' || *c == '\t' || *c == '\r' || *c == '\\')
            buf_printf(&text, "\\%c", *c == '\n' ? 'n' : *c == '\t' ? 't' : *c == '\r' ? 'r' : '\\');
        else
            buf_printf(&text, "\\x%02x", (unsigned char)*c);
        c += size ? size : 1;
    }
    return text.data;
}

/* --- stamps ---------------------------------------------------------------------------------------- */

ImageStamp image_stamp(const struct stat *st)
{
    return (ImageStamp){st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec};
}

bool image_stamp_same(const char *name, const ImageStamp *then, const struct stat *now, Err *err)
{
    ImageStamp is = image_stamp(now);
    if (is.size == then->size && is.seconds == then->seconds && is.nanoseconds == then->nanoseconds)
        return true;
    return err_set(
        err, ERR_NOT_FOUND,
        "image %s: it changed while the images were read: %lld bytes before, %lld bytes now%s; measure again "
        "when no other process writes there",
        name, (long long)then->size, (long long)is.size, is.size == then->size ? " of another time" : "");
}
