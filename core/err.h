/* Errors: a kind that policy reads, and a sentence that people read.
 *
 *     bool thing_open(const char *path, Err *err)
 *     {
 *         if (...)
 *             return err_set(err, ERR_FORMAT, "checkpoint %s: %s has [%d], wanted [%d]", ...);
 *
 * The sentence names the thing, what was found, what was wanted and, where there is one, the next step.
 * A function that can fail takes `Err *err` last and returns false or NULL; an Err holds the first failure.
 * Library code returns errors and does not log them; programs log or print them, once. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ErrKind {
    ERR_NONE = 0,
    ERR_USAGE,       /* the request itself is wrong: unknown field, value out of range */
    ERR_NOT_FOUND,   /* a file, job, model or key that is not there */
    ERR_FORMAT,      /* a file that is not what it should be: truncated, wrong shape, hostile */
    ERR_NUMERIC,     /* NaN or infinity where numbers are wanted */
    ERR_IO,          /* the operating system refused a read or a write */
    ERR_DISK_FULL,   /* no space (or quota) left: the job is held, not failed */
    ERR_MEMORY,      /* not enough memory for this batch */
    ERR_DEVICE,      /* something went wrong on the device; the worker reports and exits */
    ERR_DEVICE_ECC,  /* its hardware failed: memory, a link */
    ERR_DEVICE_LOST, /* it is gone */
    ERR_PROTOCOL,    /* a peer sent an invalid message */
    ERR_UNREACHABLE, /* Redis or the daemon cannot be reached */
    ERR_BUSY,        /* a server cannot do it now and can later: it loads, is full, is held up */
    ERR_REFUSED,     /* refused for now: quota, draining, in use by another process */
    ERR_PERMISSION,  /* not allowed */
    ERR_CANCELLED,   /* a stop was requested */
    ERR_INTERNAL,    /* a bug of ddq */
    ERR_KINDS
} ErrKind;

/* What the scheduler does with a range that failed so. One row a kind, in err.c. */
typedef enum ErrPolicy {
    POLICY_FAIL,  /* it will fail again the same way: the job fails with the sentence */
    POLICY_RETRY, /* another try, perhaps elsewhere, within the job's budget */
    POLICY_HOLD   /* a person must act first: the job is held with the sentence as its reason */
} ErrPolicy;

typedef struct Err {
    ErrKind kind;
    char text[768];
} Err;

/* Records the failure and returns false. err may be NULL. An earlier failure is overwritten. The text is always one
 * line of UTF-8: control characters and stray bytes in what it quotes become '?', passwords in addresses "***". */
bool err_set(Err *err, ErrKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, for a failed system call: the kind follows errno (ENOENT, ENOSPC, EACCES, ENOMEM, ...) and
 * ": <strerror>" is appended. */
bool err_errno(Err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the sentence. Returns false. */
bool err_wrap(Err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

void err_clear(Err *err);

const char *err_name(ErrKind kind); /* "disk_full"; the name on the wire */
bool err_kind_parse(const char *name, ErrKind *ret_kind);
ErrPolicy err_policy(ErrKind kind);
const char *err_policy_name(ErrPolicy policy); /* "fail", "retry", "hold" */
bool err_ends_worker(ErrKind kind);            /* true: the worker should exit and be started again */
bool err_is_device_failure(ErrKind kind);      /* true: the device is broken; the job is not at fault */
int err_exit_code(ErrKind kind);               /* exit status of a program that ends with this error */

/* Exit codes that users see (docs/cli.md). */
enum {
    EXIT_OK = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 69,
    EXIT_REFUSED = 75,
    EXIT_PERMISSION = 77,
    EXIT_JOB_FAILED = 100,
    EXIT_TIMED_OUT = 101,
    EXIT_NOT_FOUND = 102,
    EXIT_CANCELLED = 103,
    EXIT_INCOMPLETE = 104, /* done, but images could not be made */
    EXIT_HELD = 105,       /* held until it is released */
    EXIT_INTERRUPTED = 130
};

#ifdef __cplusplus
}
#endif

#endif
