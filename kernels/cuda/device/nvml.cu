/* Five calls of NVML, declared here because its header is not part of every toolkit. Their ABI is fixed by the version
 * in their names. */
#include "kernels/cuda/device/nvml.h"

#include <dlfcn.h>

namespace gpu_device
{

typedef struct nvmlDevice *NvmlDevice;
struct NvmlMemory {
    unsigned long long total, free, used;
};
enum { NVML_SUCCESS = 0, NVML_ERROR_GPU_IS_LOST = 15 };

struct Nvml {
    bool there;
    int (*init)();
    int (*driver_version)(char *text, unsigned size);
    int (*device)(const char *uuid, NvmlDevice *ret_device);
    int (*memory)(NvmlDevice device, NvmlMemory *ret_memory);
};

template <class Function> static bool find(void *library, const char *name, Function *ret_function)
{
    *ret_function = reinterpret_cast<Function>(dlsym(library, name));
    return *ret_function != nullptr;
}

/* Stays loaded: it is used again after failures. */
static Nvml load()
{
    Nvml nvml = {};
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    nvml.there = library && find(library, "nvmlInit_v2", &nvml.init) &&
                 find(library, "nvmlSystemGetDriverVersion", &nvml.driver_version) &&
                 find(library, "nvmlDeviceGetHandleByUUID", &nvml.device) &&
                 find(library, "nvmlDeviceGetMemoryInfo", &nvml.memory) && nvml.init() == NVML_SUCCESS;
    return nvml;
}

static const Nvml &library()
{
    static const Nvml nvml = load();
    return nvml;
}

static int ask_memory(const char *uuid, NvmlMemory *ret_memory)
{
    NvmlDevice device = nullptr;
    int status = library().device(uuid, &device);
    return status == NVML_SUCCESS ? library().memory(device, ret_memory) : status;
}

bool nvml_memory(const char *uuid, int64_t *ret_free_mib)
{
    NvmlMemory memory = {};
    if (!library().there || ask_memory(uuid, &memory) != NVML_SUCCESS)
        return false;
    *ret_free_mib = static_cast<int64_t>(memory.free >> 20);
    return true;
}

bool nvml_driver(char *ret_version, size_t size)
{
    return library().there && library().driver_version(ret_version, static_cast<unsigned>(size)) == NVML_SUCCESS;
}

bool nvml_lost(const char *uuid)
{
    NvmlMemory memory = {};
    return library().there && ask_memory(uuid, &memory) == NVML_ERROR_GPU_IS_LOST;
}

} // namespace gpu_device
