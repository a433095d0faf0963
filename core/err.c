/* The table of error kinds. To add a kind: one enum value in err.h, one row here. */
#include "core/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/secret.h"

static const struct {
    const char *name;
    ErrPolicy policy;
    bool ends_worker;
    int exit_code;
} kinds[ERR_KINDS] = {
    [ERR_NONE] = {"none", POLICY_RETRY, false, EXIT_OK},
    [ERR_USAGE] = {"usage", POLICY_FAIL, false, EXIT_USAGE},
    [ERR_NOT_FOUND] = {"not_found", POLICY_FAIL, false, EXIT_NOT_FOUND},
    [ERR_FORMAT] = {"format", POLICY_FAIL, false, EXIT_ERROR},
    [ERR_NUMERIC] = {"numeric", POLICY_FAIL, false, EXIT_ERROR},
    [ERR_IO] = {"io", POLICY_HOLD, false, EXIT_ERROR},
    [ERR_DISK_FULL] = {"disk_full", POLICY_HOLD, false, EXIT_ERROR},
    [ERR_MEMORY] = {"memory", POLICY_RETRY, false, EXIT_ERROR},
    [ERR_DEVICE] = {"device", POLICY_RETRY, true, EXIT_ERROR},
    [ERR_DEVICE_ECC] = {"device_ecc", POLICY_RETRY, true, EXIT_ERROR},
    [ERR_DEVICE_LOST] = {"device_lost", POLICY_RETRY, true, EXIT_ERROR},
    [ERR_PROTOCOL] = {"protocol", POLICY_RETRY, true, EXIT_ERROR},
    [ERR_UNREACHABLE] = {"unreachable", POLICY_RETRY, false, EXIT_UNREACHABLE},
    [ERR_REFUSED] = {"refused", POLICY_RETRY, false, EXIT_REFUSED},
    [ERR_PERMISSION] = {"permission", POLICY_HOLD, false, EXIT_PERMISSION},
    [ERR_CANCELLED] = {"cancelled", POLICY_RETRY, false, EXIT_CANCELLED},
    [ERR_INTERNAL] = {"internal", POLICY_RETRY, true, EXIT_ERROR},
};

/* How many bytes the UTF-8 character at text has; 0 if it is none. */
static size_t utf8_size(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte; of the second */
        size_t size;
    } forms[] = {{0x20, 0x7e, 0, 0xff, 1},    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (text[0] >= forms[i].first && text[0] <= forms[i].last && text[1] >= forms[i].low &&
            text[1] <= forms[i].high) {
            for (size_t k = 2; k < forms[i].size; k++)
                if (text[k] < 0x80 || text[k] > 0xbf)
                    return 0;
            return forms[i].size;
        }
    return 0;
}

/* Sentences quote names out of files and off the wire: what would break a line of a log or a JSON string becomes '?'.
 */
static void clean(char *text)
{
    secret_mask(text);
    for (size_t size; *text; text += size ? size : 1)
        if (!(size = utf8_size((const unsigned char *)text)))
            *text = '?';
}

static void set_va(Err *err, ErrKind kind, const char *format, va_list args)
{
    err->kind = kind;
    vsnprintf(err->text, sizeof err->text, format, args);
    clean(err->text);
}

bool err_set(Err *err, ErrKind kind, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_va(err, kind, format, args);
        va_end(args);
    }
    return false;
}

static ErrKind kind_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return ERR_DISK_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOMEM:
        return ERR_MEMORY;
    default:
        return ERR_IO;
    }
}

bool err_errno(Err *err, const char *format, ...)
{
    int number = errno;
    if (err) {
        va_list args;
        va_start(args, format);
        set_va(err, kind_of_errno(number), format, args);
        va_end(args);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(number));
    }
    return false;
}

bool err_wrap(Err *err, const char *format, ...)
{
    if (err) {
        char rest[sizeof err->text];
        memcpy(rest, err->text, sizeof rest);
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, ": %s", rest);
        clean(err->text);
    }
    return false;
}

void err_clear(Err *err)
{
    if (err)
        *err = (Err){0};
}

const char *err_name(ErrKind kind)
{
    assert((unsigned)kind < ERR_KINDS);
    return kinds[kind].name;
}

bool err_kind_parse(const char *name, ErrKind *ret_kind)
{
    for (int kind = 0; name && kind < ERR_KINDS; kind++)
        if (strcmp(name, kinds[kind].name) == 0) {
            *ret_kind = (ErrKind)kind;
            return true;
        }
    return false;
}

ErrPolicy err_policy(ErrKind kind)
{
    return kinds[kind].policy;
}

const char *err_policy_name(ErrPolicy policy)
{
    static const char *const names[] = {"fail", "retry", "hold"};
    return names[policy];
}

bool err_ends_worker(ErrKind kind)
{
    return kinds[kind].ends_worker;
}

bool err_is_device_failure(ErrKind kind)
{
    return kind == ERR_DEVICE_ECC || kind == ERR_DEVICE_LOST;
}

int err_exit_code(ErrKind kind)
{
    return kinds[kind].exit_code;
}
