#include "worker/memory.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kernels/device_memory.h"

/* The part of nvml.h that is used; 0 means success everywhere. */
typedef struct NvmlMemory {
    unsigned long long total, free, used; /* bytes */
} NvmlMemory;
static struct {
    int (*init)(void);
    int (*by_uuid)(const char *uuid, void **ret_device);
    int (*memory)(void *device, NvmlMemory *ret_memory);
    bool ready;
} nvml;

static void nvml_open(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL); /* for as long as the process lives */
    if (!library)
        return;
    *(void **)&nvml.init = dlsym(library, "nvmlInit_v2");
    *(void **)&nvml.by_uuid = dlsym(library, "nvmlDeviceGetHandleByUUID");
    *(void **)&nvml.memory = dlsym(library, "nvmlDeviceGetMemoryInfo");
    nvml.ready = nvml.init && nvml.by_uuid && nvml.memory && nvml.init() == 0;
}

static int64_t gpu_free_bytes(const char *uuid)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    void *device;
    NvmlMemory memory;
    pthread_once(&once, nvml_open);
    if (!nvml.ready || nvml.by_uuid(uuid, &device) != 0 || nvml.memory(device, &memory) != 0)
        return -1;
    return (int64_t)memory.free;
}

static int64_t host_free_bytes(void)
{
    long long kib = -1;
    char line[256];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && kib < 0 && fgets(line, sizeof line, file))
        sscanf(line, "MemAvailable: %lld kB", &kib);
    if (file)
        fclose(file);
    return kib < 0 ? -1 : kib * 1024;
}

int64_t memory_usable_mib(const char *device)
{
    int64_t bytes = strcmp(device, "cpu") == 0 ? host_free_bytes() : gpu_free_bytes(device);
    return bytes < 0 ? -1 : (bytes + device_memory_held()) >> 20;
}
