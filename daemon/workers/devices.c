/* GPUs are found in /proc/driver/nvidia, which needs no CUDA and no NVML, and are always named by UUID: indices differ
 * between CUDA, NVML and the bus. The lock is a flock in a folder that all users of the machine share. */
#include "daemon/workers/devices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

int devices_cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

static bool add(DeviceList *list, Device device, Err *err)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, device.name) == 0)
            return err_set(err, ERR_USAGE, "workers: %s is named twice", device.name);
    if (list->count == DEVICES_MAX)
        return err_set(err, ERR_USAGE, "workers: more than %d of them", DEVICES_MAX);
    list->items[list->count++] = device;
    return true;
}

static bool add_gpu(DeviceList *list, const char *uuid, Err *err)
{
    Device device = {.threads = 1};
    size_t len = strspn(uuid, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    bool known = strncmp(uuid, "GPU-", 4) == 0 || strncmp(uuid, "MIG-", 4) == 0; /* MIG: a slice of one */
    if (!known || uuid[len] || len >= sizeof device.uuid)
        return err_set(err, ERR_USAGE, "workers: cuda:%s is no GPU; write cuda:GPU-... as nvidia-smi -L lists them",
                       uuid);
    snprintf(device.uuid, sizeof device.uuid, "%s", uuid);
    snprintf(device.name, sizeof device.name, "cuda:%s", uuid);
    return add(list, device, err);
}

/* "GPU UUID: 	 GPU-6d8f..." in one information file. */
static bool read_uuid(const char *path, char ret_uuid[64])
{
    FILE *file = fopen(path, "re");
    char line[256];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "GPU UUID: %63s", ret_uuid) == 1;
    if (file)
        fclose(file);
    return found;
}

static bool add_all_gpus(DeviceList *list, const char *proc, Err *err)
{
    char *folder = xasprintf("%s/driver/nvidia/gpus", proc);
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    bool ok = true;
    for (int i = 0; i < count; i++) {
        char uuid[64], *path = xasprintf("%s/%s/information", folder, entries[i]->d_name);
        if (ok && entries[i]->d_name[0] != '.' && read_uuid(path, uuid))
            ok = add_gpu(list, uuid, err);
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
    return ok;
}

static bool add_cpus(DeviceList *list, const char *number, int cores, Err *err)
{
    char *end = NULL;
    long count = number ? strtol(number, &end, 10) : 1;
    if (number && (end == number || *end || count < 1 || count > DEVICES_MAX))
        return err_set(err, ERR_USAGE, "workers: cpu:%s, wanted cpu:N with N from 1 to %d", number, DEVICES_MAX);
    for (int i = 0; i < (int)count; i++) {
        Device device = {.threads = cores / (int)count > 1 ? cores / (int)count : 1};
        snprintf(device.name, sizeof device.name, "cpu:%d", i);
        if (!add(list, device, err))
            return false;
    }
    return true;
}

static bool add_word(DeviceList *list, char *word, int cores, const char *proc, Err *err)
{
    char *detail = strchr(word, ':');
    if (detail)
        *detail++ = 0;
    if (strcmp(word, "cpu") == 0)
        return add_cpus(list, detail, cores, err);
    if (strcmp(word, "cuda") == 0 && detail)
        return add_gpu(list, detail, err);
    if (strcmp(word, "cuda") != 0)
        return err_set(err, ERR_USAGE, "workers: '%s' is no device; it is cpu, cpu:N, cuda or cuda:GPU-...", word);
    int before = list->count;
    if (!add_all_gpus(list, proc, err))
        return false;
    return list->count > before ||
           err_set(err, ERR_NOT_FOUND,
                   "workers: cuda asked for, and %s/driver/nvidia lists no GPU: load the nvidia driver, name "
                   "them (cuda:GPU-..., nvidia-smi -L), or say cpu",
                   proc);
}

bool devices_parse(const char *text, int cores, const char *proc, DeviceList *ret_list, Err *err)
{
    DeviceList list = {.count = 0};
    bool ok = true;
    if (!text || !*text) {
        ok = add_all_gpus(&list, proc, err) && (list.count > 0 || add_cpus(&list, NULL, cores, err));
    } else {
        char *copy = xstrdup(text), *rest = copy, *word;
        while (ok && (word = strsep(&rest, ", \t")))
            if (*word)
                ok = add_word(&list, word, cores, proc, err);
        free(copy);
        if (ok && list.count == 0)
            ok = err_set(err, ERR_USAGE, "workers: '%s' names no device; write cpu:1 or cuda", text);
    }
    if (ok)
        *ret_list = list;
    return ok;
}

/* Opened without creating first: in a sticky folder the kernel refuses O_CREAT on another user's file, and a lock needs
 * no write permission. */
static int lock_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0)
            fchmod(fd, 0666);
    }
    return fd;
}

static char *lock_path(const Device *device)
{
    const char *folder = getenv("DDQ_LOCK_DIR");
    if (!folder || !*folder)
        folder = access("/run/lock", W_OK) == 0 ? "/run/lock" : "/tmp";
    return xasprintf("%s/ddq-%s.lock", folder, device->uuid);
}

bool device_lock(const Device *device, int *ret_fd, Err *err)
{
    *ret_fd = -1;
    if (!device->uuid[0])
        return true;
    char *path = lock_path(device), pid[32] = "";
    int fd = lock_open(path);
    bool ok = fd >= 0 || err_errno(err, "lock %s of %s", path, device->name);
    if (ok && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
        pid[got > 0 ? strcspn(pid, "\n") : 0] = 0;
        ok = err_set(err, ERR_REFUSED,
                     "GPU %s is used by another ddqd (pid %s, lock %s): stop it, or leave this GPU out of "
                     "'workers'",
                     device->uuid, pid[0] ? pid : "unknown", path);
        close(fd);
    } else if (ok) {
        int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
            pid[0] = 0; /* another user's file, read-only: the lock is valid without the pid */
        *ret_fd = fd;
    }
    free(path);
    return ok;
}
