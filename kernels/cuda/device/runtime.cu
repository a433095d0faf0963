/* The CUDA runtime behind kernels/cuda/runtime.h. Every call that returns a cudaError_t goes through `fine`, which
 * keeps the first failure with the call's name and the device's message. */
#include "kernels/cuda/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "kernels/cuda/device/nvml.h"
#include "kernels/cuda/failure.h"

namespace gpu_device
{

static thread_local Err failure; /* ERR_NONE: none */
static thread_local bool bound;
static thread_local DeviceInfo bound_to;

static bool check(cudaError_t code, const char *call, Err *err)
{
    char device[sizeof(bound_to.uuid) + sizeof(bound_to.name) + 4] = "cuda";
    if (code == cudaSuccess)
        return true;
    cudaGetLastError(); /* reported here, and not again at the next launch */
    if (bound_to.uuid[0])
        snprintf(device, sizeof(device), "%s (%s)", bound_to.uuid, bound_to.name);
    gpu_failure(err, bound ? GPU_RUNNING : GPU_OPENING, device, call, cudaGetErrorName(code), cudaGetErrorString(code));
    if (err && err->kind == ERR_DEVICE && nvml_lost(bound_to.uuid)) /* CUDA has many names for that */
        gpu_failure(err, GPU_RUNNING, device, call, "cudaErrorNoDevice", "the driver has lost this GPU");
    return false;
}

static bool fine(cudaError_t code, const char *call)
{
    return failure.kind == ERR_NONE ? check(code, call, &failure) : code == cudaSuccess;
}

#define FINE(call) fine(call, #call)

/* --- devices ---------------------------------------------------------------------------------------------- */

/* A process that sees a slice of a GPU was given its UUID. */
static void print_uuid(const cudaUUID_t *uuid, char *ret_text, size_t size)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    bool slice = visible && !strncmp(visible, "MIG-", 4);
    size_t used = static_cast<size_t>(snprintf(ret_text, size, slice ? "MIG-" : "GPU-"));
    for (int i = 0; i < 16 && used < size; i++)
        used += static_cast<size_t>(snprintf(ret_text + used, size - used, "%s%02x",
                                             i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                             static_cast<unsigned char>(uuid->bytes[i])));
}

static bool describe(int index, GpuDevice *ret_device)
{
    cudaDeviceProp prop;
    if (cudaGetDeviceProperties(&prop, index) != cudaSuccess)
        return false;
    GpuDevice device = {};
    device.index = index;
    snprintf(device.info.name, sizeof(device.info.name), "%.*s", static_cast<int>(sizeof(device.info.name) - 1),
             prop.name);
    print_uuid(&prop.uuid, device.info.uuid, sizeof(device.info.uuid));
    device.info.memory_mib = static_cast<int64_t>(prop.totalGlobalMem >> 20);
    device.info.free_mib = -1;
    device.sm = prop.major * 10 + prop.minor;
    device.processors = prop.multiProcessorCount;
    device.shared_most = prop.sharedMemPerBlockOptin;
    device.l2 = static_cast<size_t>(prop.l2CacheSize);
    *ret_device = device;
    return true;
}

int gpu_devices(GpuDevice *ret_devices, int max, Err *ret_why)
{
    int count = 0, n = 0, driver = 0, built = CUDART_VERSION;
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
        err_set(ret_why, ERR_DEVICE,
                "device cuda: the driver supports CUDA %d.%d, this build needs %d.%d; install a newer driver",
                driver / 1000, driver % 1000 / 10, built / 1000, built % 1000 / 10);
    else if (code == cudaErrorInsufficientDriver)
        err_set(ret_why, ERR_NOT_FOUND,
                "device cuda: this machine has no NVIDIA driver (libcuda.so.1); use the device cpu");
    else if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0))
        err_set(ret_why, ERR_NOT_FOUND,
                "device cuda: the driver sees no GPU (nvidia-smi -L lists them, CUDA_VISIBLE_DEVICES hides some); use "
                "the device cpu");
    else
        check(code, "looking for GPUs", ret_why);
    for (int i = 0; code == cudaSuccess && i < count && n < max; i++)
        n += describe(i, &ret_devices[n]);
    cudaGetLastError(); /* the error of this query is handled */
    return n;
}

void gpu_inspect(const GpuDevice *device, DeviceInfo *info)
{
    int driver = 0, runtime = 0;
    char version[80] = "";
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    nvml_driver(version, sizeof(version));
    nvml_memory(info->uuid, &info->free_mib);
    snprintf(info->driver, sizeof(info->driver), "%.40s%sCUDA %d.%d", version, version[0] ? " " : "", driver / 1000,
             driver % 1000 / 10);
    snprintf(info->runtime, sizeof(info->runtime), "CUDA %d.%d", runtime / 1000, runtime % 1000 / 10);
    snprintf(info->compute, sizeof(info->compute), "%d.%d", device->sm / 10, device->sm % 10);
}

bool gpu_bind(const GpuDevice *device, Err *err)
{
    bound = false;
    bound_to = device->info;
    failure = {};
    if (!check(cudaSetDevice(device->index), "binding", err) || !check(cudaFree(nullptr), "starting", err))
        return false;
    bound = true;
    return true;
}

/* --- memory ----------------------------------------------------------------------------------------------- */

void gpu_memory(size_t *ret_free, size_t *ret_total)
{
    *ret_free = *ret_total = 0;
    FINE(cudaMemGetInfo(ret_free, ret_total));
}

void *gpu_malloc(size_t bytes)
{
    void *memory = nullptr;
    cudaError_t code = cudaMalloc(&memory, bytes ? bytes : 1);
    if (code == cudaErrorMemoryAllocation)
        cudaGetLastError(); /* the caller retries with a smaller batch */
    else
        fine(code, "cudaMalloc");
    return code == cudaSuccess ? memory : nullptr;
}

void gpu_free(void *memory)
{
    FINE(cudaFree(memory));
}

void *gpu_pinned(size_t bytes)
{
    void *memory = nullptr;
    cudaError_t code = cudaHostAlloc(&memory, bytes ? bytes : 1, cudaHostAllocDefault);
    if (code != cudaSuccess)
        cudaGetLastError();
    return code == cudaSuccess ? memory : nullptr;
}

void gpu_pinned_free(void *memory)
{
    if (memory) /* the runtime passes NULL on to the driver, unlike cudaFree */
        FINE(cudaFreeHost(memory));
}

/* --- streams ---------------------------------------------------------------------------------------------- */

GpuStream gpu_stream_new(Err *err)
{
    GpuStream stream = nullptr;
    return check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream", err) ? stream : nullptr;
}

void gpu_stream_free(GpuStream stream)
{
    if (stream)
        FINE(cudaStreamDestroy(stream));
}

void gpu_copy(void *dst, const void *src, size_t bytes, GpuStream stream)
{
    if (failure.kind == ERR_NONE)
        FINE(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, stream));
}

void gpu_fill(void *dst, int byte, size_t bytes, GpuStream stream)
{
    if (failure.kind == ERR_NONE)
        FINE(cudaMemsetAsync(dst, byte, bytes, stream));
}

bool gpu_sync(GpuStream stream, Err *err)
{
    FINE(cudaStreamSynchronize(stream));
    Err was = failure;
    failure = {};
    return was.kind == ERR_NONE || err_set(err, was.kind, "%s", was.text);
}

/* --- launches --------------------------------------------------------------------------------------------- */

bool gpu_may_launch(const void *kernel, size_t shared_bytes)
{
    const size_t unasked = 48 << 10;
    cudaFuncAttributes has;
    if (failure.kind != ERR_NONE || shared_bytes <= unasked)
        return failure.kind == ERR_NONE;
    /* Raised, never lowered: a recording may hold launches of this kernel with more. */
    return FINE(cudaFuncGetAttributes(&has, kernel)) &&
           (static_cast<size_t>(has.maxDynamicSharedSizeBytes) >= shared_bytes ||
            FINE(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shared_bytes))));
}

void gpu_launched(const char *kernel)
{
    fine(cudaGetLastError(), kernel);
}

/* --- events ----------------------------------------------------------------------------------------------- */

GpuEvent gpu_event_new(Err *err)
{
    GpuEvent event = nullptr;
    return check(cudaEventCreate(&event), "an event", err) ? event : nullptr;
}

void gpu_event_free(GpuEvent event)
{
    if (event)
        FINE(cudaEventDestroy(event));
}

void gpu_event_record(GpuEvent event, GpuStream stream)
{
    FINE(cudaEventRecord(event, stream));
}

void gpu_event_wait(GpuEvent event, GpuStream stream)
{
    FINE(cudaStreamWaitEvent(stream, event, 0));
}

void gpu_event_sync(GpuEvent event)
{
    FINE(cudaEventSynchronize(event));
}

float gpu_event_ms(GpuEvent from, GpuEvent to)
{
    float ms = 0;
    FINE(cudaEventElapsedTime(&ms, from, to));
    return ms;
}

/* --- graphs ----------------------------------------------------------------------------------------------- */

void gpu_capture_begin(GpuStream stream)
{
    FINE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

GpuGraph gpu_capture_end(GpuStream stream)
{
    cudaGraph_t graph = nullptr;
    GpuGraph ready = nullptr;
    if (!FINE(cudaStreamEndCapture(stream, &graph)))
        return nullptr;
    if (!FINE(cudaGraphInstantiate(&ready, graph, 0)))
        ready = nullptr;
    FINE(cudaGraphDestroy(graph));
    return ready;
}

void gpu_graph_launch(GpuGraph graph, GpuStream stream)
{
    if (failure.kind == ERR_NONE)
        FINE(cudaGraphLaunch(graph, stream));
}

void gpu_graph_free(GpuGraph graph)
{
    if (graph)
        FINE(cudaGraphExecDestroy(graph));
}

} // namespace gpu_device
