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

#include "core/log.h"
#include "core/mem.h"
#include "spec/conf/conf.h"

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
        return err_set(err, ERR_USAGE,
                       "workers: '%s' is no device; it is cpu, cpu:N, cuda or cuda:GPU-..., or none alone", word);
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
    } else if (strcmp(text, "none") != 0) {
        char *copy = xstrdup(text), *rest = copy, *word;
        while (ok && (word = strsep(&rest, ", \t")))
            if (*word)
                ok = add_word(&list, word, cores, proc, err);
        free(copy);
        if (ok && list.count == 0)
            ok = err_set(err, ERR_USAGE, "workers: '%s' names no device; write cpu:1, cuda or none", text);
    }
    if (ok)
        *ret_list = list;
    return ok;
}

/* A folder that only this user writes in, so that no other user can hold or block a lock. Daemons of different users do
 * not see each other's locks: between users no file lock is secure. */
static bool lock_folder(char **ret_folder, Err *err)
{
    static const char *const names[] = {"DDQ_LOCK_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"};
    *ret_folder = NULL;
    for (size_t i = 0; i < countof(names) && !*ret_folder; i++) {
        const char *value = getenv(names[i]);
        if (value && value[0] == '/' && !strchr(value, ':'))
            *ret_folder = xstrdup(value);
    }
    if (*ret_folder)
        return true;
    *ret_folder = conf_temporary_folder();
    return conf_temporary_folder_make(err);
}

/* Never waits and never follows a link: what stands at the path may be a FIFO, a link or another user's file. */
static int lock_open(const char *path, Err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_errno(err, "lock %s", path);
    } else if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0)) {
        err_set(err, ERR_PERMISSION, "lock %s: %s stands there; remove it", path,
                S_ISREG(st.st_mode) ? "a file of another user" : "something that is no file");
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

bool device_lock(const Device *device, int *ret_fd, Err *err)
{
    *ret_fd = -1;
    if (!device->uuid[0])
        return true;
    char *folder, *path = NULL, pid[32] = "";
    bool ok = lock_folder(&folder, err);
    if (ok)
        path = xasprintf("%s/ddq-%s.lock", folder, device->uuid);
    int fd = ok ? lock_open(path, err) : -1;
    ok = fd >= 0 || err_wrap(err, "GPU %s", device->uuid);
    if (ok && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
        pid[got > 0 ? strspn(pid, "0123456789") : 0] = 0;
        ok = err_set(err, ERR_REFUSED,
                     "GPU %s is used by another ddqd (pid %s, lock %s): stop it, or leave this GPU out of "
                     "'workers'",
                     device->uuid, pid[0] ? pid : "unknown", path);
        close(fd);
    } else if (ok) {
        int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
            log_trace("lock=%s holds no pid: %s", path, strerror(errno)); /* it is valid without */
        *ret_fd = fd;
    }
    free(folder);
    free(path);
    return ok;
}
