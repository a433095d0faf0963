/* What workers run on: the devices of `workers = cuda,cpu:2`, and the locks that prevent two daemons from using one
 * GPU.
 *
 *     cpu        one worker on the CPU with all cores       cuda          one worker for each GPU of this machine
 *     cpu:N      N workers that share the cores             cuda:GPU-...  one worker on this GPU
 */
#ifndef DAEMON_WORKERS_DEVICES_H
#define DAEMON_WORKERS_DEVICES_H

#include <stdbool.h>

#include "core/err.h"

enum { DEVICES_MAX = 64 };

typedef struct Device {
    char name[80]; /* "cpu:0", "cuda:GPU-6d8f..."; the worker's name as well */
    char uuid[64]; /* empty for a CPU */
    int threads;   /* for the worker's own use */
} Device;

typedef struct DeviceList {
    Device items[DEVICES_MAX];
    int count;
} DeviceList;

/* `cores` is how many this process may use; `proc` is "/proc" but in tests. NULL or "" means cpu:1 where the machine
 * has no GPU, else cuda. */
bool devices_parse(const char *text, int cores, const char *proc, DeviceList *ret_list, Err *err);
int devices_cores(void);

/* Takes the lock of a GPU; *ret_fd is kept open as long as it is used. An error with the holder's pid when it is held.
 * A CPU needs no lock: *ret_fd is -1. */
bool device_lock(const Device *device, int *ret_fd, Err *err);

#endif
