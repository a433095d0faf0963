/* The table of error kinds. To add a kind: one enum value in err.h, one row here. */
#include "core/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/secret.h"
#include "core/utf8.h"

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
    [ERR_BUSY] = {"busy", POLICY_RETRY, false, EXIT_REFUSED},
    [ERR_REFUSED] = {"refused", POLICY_RETRY, false, EXIT_REFUSED},
    [ERR_PERMISSION] = {"permission", POLICY_HOLD, false, EXIT_PERMISSION},
    [ERR_CANCELLED] = {"cancelled", POLICY_RETRY, false, EXIT_CANCELLED},
    [ERR_INTERNAL] = {"internal", POLICY_RETRY, true, EXIT_ERROR},
};

/* Sentences quote names out of files and off the wire: what would break a line of a log or a JSON string becomes '?'.
 */
static void clean(char *text)
{
    secret_mask(text);
    for (size_t size; *text; text += size ? size : 1)
        if (!(size = utf8_size(text)) || (unsigned char)*text < 0x20 || *text == 0x7f)
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
