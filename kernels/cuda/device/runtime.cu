/* The CUDA runtime behind kernels/cuda/runtime.h. Every call that returns a cudaError_t goes through `fine`, which
 * keeps the first failure with the call's name and the device's words. */
#include "kernels/cuda/runtime.h"

#include <stdio.h>

#include "core/err.h"

namespace gpu_device {

static thread_local bool failed;
static thread_local char failure[512];
static thread_local char device_name[200] = "cuda";

static bool fine(cudaError_t code, const char *call)
{
    if (code != cudaSuccess && !failed) {
        snprintf(failure, sizeof(failure), "%s: %s (%s)", call, cudaGetErrorString(code), cudaGetErrorName(code));
        failed = true;
    }
    return code == cudaSuccess;
}

#define FINE(call) fine(call, #call)

/* Of a call that is reported at once. */
static bool told(cudaError_t code, const char *call, Err *err)
{
    return code == cudaSuccess || err_set(err, ERR_DEVICE, "device %s: %s: %s", device_name, call, cudaGetErrorString(code));
}

/* --- devices ---------------------------------------------------------------------------------------------- */

static void print_uuid(const cudaUUID_t *uuid, char *ret_text, size_t size)
{
    size_t used = static_cast<size_t>(snprintf(ret_text, size, "GPU-"));
    for (int i = 0; i < 16 && used < size; i++)
        used += static_cast<size_t>(snprintf(ret_text + used, size - used, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                             static_cast<unsigned char>(uuid->bytes[i])));
}

static bool describe(int index, GpuDevice *ret_device)
{
    cudaDeviceProp prop;
    if (cudaGetDeviceProperties(&prop, index) != cudaSuccess)
        return false;
    GpuDevice device = {};
    device.index = index;
    snprintf(device.info.name, sizeof(device.info.name), "%.*s", static_cast<int>(sizeof(device.info.name) - 1), prop.name);
    print_uuid(&prop.uuid, device.info.uuid, sizeof(device.info.uuid));
    device.info.memory_mib = device.info.free_mib = static_cast<int64_t>(prop.totalGlobalMem >> 20);
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
        err_set(ret_why, ERR_DEVICE, "device cuda: the driver knows CUDA %d.%d, this build needs %d.%d; install a newer driver",
                driver / 1000, driver % 1000 / 10, built / 1000, built % 1000 / 10);
    else if (code == cudaErrorInsufficientDriver)
        err_set(ret_why, ERR_NOT_FOUND, "device cuda: this machine has no NVIDIA driver (libcuda.so.1); use the device cpu");
    else if (code != cudaSuccess)
        err_set(ret_why, ERR_NOT_FOUND, "device cuda: %s; use the device cpu", cudaGetErrorString(code));
    else if (count == 0)
        err_set(ret_why, ERR_NOT_FOUND, "device cuda: the driver sees no GPU; use the device cpu");
    for (int i = 0; code == cudaSuccess && i < count && n < max; i++)
        n += describe(i, &ret_devices[n]);
    cudaGetLastError(); /* what was asked here is answered */
    return n;
}

bool gpu_bind(int index, Err *err)
{
    GpuDevice device;
    if (!told(cudaSetDevice(index), "binding", err) || !told(cudaFree(nullptr), "starting", err))
        return false;
    if (describe(index, &device))
        snprintf(device_name, sizeof(device_name), "%s (%s)", device.info.uuid, device.info.name);
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
        cudaGetLastError(); /* the caller answers with a smaller batch */
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
    FINE(cudaFreeHost(memory));
}

/* --- streams ---------------------------------------------------------------------------------------------- */

GpuStream gpu_stream_new(Err *err)
{
    GpuStream stream = nullptr;
    return told(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream", err) ? stream : nullptr;
}

void gpu_stream_free(GpuStream stream)
{
    if (stream)
        FINE(cudaStreamDestroy(stream));
}

void gpu_copy(void *dst, const void *src, size_t bytes, GpuStream stream)
{
    if (!failed)
        FINE(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, stream));
}

void gpu_fill(void *dst, int byte, size_t bytes, GpuStream stream)
{
    if (!failed)
        FINE(cudaMemsetAsync(dst, byte, bytes, stream));
}

bool gpu_sync(GpuStream stream, Err *err)
{
    FINE(cudaStreamSynchronize(stream));
    bool was = failed;
    failed = false;
    return !was || err_set(err, ERR_DEVICE, "device %s: %s", device_name, failure);
}

/* --- launches --------------------------------------------------------------------------------------------- */

bool gpu_may_launch(const void *kernel, size_t shared_bytes)
{
    const size_t unasked = 48 << 10;
    return !failed &&
           (shared_bytes <= unasked || FINE(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
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
    return told(cudaEventCreate(&event), "an event", err) ? event : nullptr;
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
    if (!failed)
        FINE(cudaGraphLaunch(graph, stream));
}

void gpu_graph_free(GpuGraph graph)
{
    if (graph)
        FINE(cudaGraphExecDestroy(graph));
}

} // namespace gpu_device
