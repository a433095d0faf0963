/* Image files in: reads the bytes, looks at the first of them and hands them to png.c or jpeg.c; the file's name does
 * not matter. Owns the message about files of other formats. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/stall.h"
#include "worker/images/parts.h"

#define FILE_MAX (1LL << 30)

/* --- what it is ------------------------------------------------------------------------------------ */

typedef bool (*DecodeFn)(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err);

static const struct {
    const char *bytes;
    size_t size;
    const char *what;
    DecodeFn decode; /* NULL: not supported */
} signatures[] = {
    {"\x89PNG\r\n\x1a\n", 8, "a PNG", image_decode_png},
    {"\xff\xd8\xff", 3, "a JPEG", image_decode_jpeg},
    {"GIF8", 4, "a GIF", NULL},
    {"RIFF", 4, "a WebP", NULL},
    {"BM", 2, "a BMP", NULL},
    {"II*\0", 4, "a TIFF", NULL},
    {"MM\0*", 4, "a TIFF", NULL},
};

bool image_decode(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    if (size == 0)
        return err_set(err, ERR_FORMAT, "image %s: the file is empty", name);
    for (size_t i = 0; i < countof(signatures); i++) {
        if (size < signatures[i].size || memcmp(data, signatures[i].bytes, signatures[i].size) != 0)
            continue;
        if (signatures[i].decode)
            return signatures[i].decode(data, size, name, ret_image, err);
        return err_set(err, ERR_FORMAT, "image %s: this is %s; only PNG and JPEG are read", name, signatures[i].what);
    }
    return err_set(err, ERR_FORMAT, "image %s: neither a PNG nor a JPEG: it does not begin like one", name);
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
static int plain_size(const unsigned char *text)
{
    if (text[0] >= 0x20 && text[0] < 0x7f)
        return text[0] == '\\' ? 0 : 1;
    int size = text[0] >= 0xf0 && text[0] <= 0xf4 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (int i = 1; i < size; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    bool control = text[0] == 0xc2 && text[1] < 0xa0; /* C1 */
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool outside = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
    return control || overlong || outside ? 0 : size;
}

char *image_printable(const char *name)
{
    Buf text = {0};
    buf_add(&text, "", 0);
    for (const unsigned char *c = (const unsigned char *)name; *c;) {
        int size = plain_size(c);
        if (size)
            buf_add(&text, (const char *)c, (size_t)size);
        else if (*c == '\n' || *c == '\t' || *c == '\r' || *c == '\\')
            buf_printf(&text, "\\%c", *c == '\n' ? 'n' : *c == '\t' ? 't' : *c == '\r' ? 'r' : '\\');
        else
            buf_printf(&text, "\\x%02x", *c);
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
        "when nobody writes there",
        name, (long long)then->size, (long long)is.size, is.size == then->size ? " of another time" : "");
}
