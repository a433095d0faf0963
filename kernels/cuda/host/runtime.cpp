/* The CUDA runtime's calls on the host. Work runs when it is queued, in the order of the calls; a stream that captures
 * keeps it for the graph. Device memory starts as NaN and is plain malloc memory, so AddressSanitizer watches it. */
#include "kernels/cuda/runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <map>
#include <memory>
#include <vector>

#include "core/err.h"
#include "kernels/cuda/failure.h"
#include "kernels/cuda/host/driver.h"
#include "kernels/cuda/host/fiber.h"

namespace gpu_host
{

struct Graph {
    std::vector<std::unique_ptr<Work>> works;
};

struct Stream {
    Graph *capturing; /* NULL: work runs */
};

struct Event {
    double ms;
};

#define NAME "CUDA kernels on the host"
enum { POISON = 0xff, ALIGN = 256, MEMORY_MIB = 2048 };

static size_t memory_bytes();

/* --- failures --------------------------------------------------------------------------------------------- */

static thread_local Err failure; /* ERR_NONE: none */

void device_fail(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (failure.kind == ERR_NONE)
        err_set(&failure, ERR_DEVICE, "device cuda-host: %s", text);
}

bool device_failed()
{
    return failure.kind != ERR_NONE;
}

/* How tests configured the device (driver.h). */
static struct {
    const char *error, *refusal;
    int64_t works_left;
    size_t memory;
} breakage;

/* One more piece of work: a broken device stays broken, as a GPU's context does. */
static void wear()
{
    if (breakage.error && breakage.works_left-- <= 0 && failure.kind == ERR_NONE)
        gpu_failure(&failure, GPU_RUNNING, "cuda-host (" NAME ")", "the kernel", breakage.error, nullptr);
}

/* --- devices ---------------------------------------------------------------------------------------------- */

int gpu_devices(GpuDevice *ret_devices, int max, Err *ret_why)
{
    (void)ret_why;
    if (max < 1)
        return 0;
    GpuDevice device = {};
    strcpy(device.info.uuid, "cuda-host");
    strcpy(device.info.name, NAME);
    device.info.memory_mib = static_cast<int64_t>(memory_bytes() >> 20);
    device.info.free_mib = -1;
    device.sm = 80;
    device.processors = 2;
    device.shared_most = 99 << 10; /* of the targets, sm_89 has least */
    device.l2 = 4 << 20;
    *ret_devices = device;
    return 1;
}

void gpu_inspect(const GpuDevice *device, DeviceInfo *info)
{
    size_t have, all;
    gpu_memory(&have, &all);
    info->free_mib = static_cast<int64_t>(have >> 20);
    snprintf(info->compute, sizeof(info->compute), "%d.%d", device->sm / 10, device->sm % 10);
    strcpy(info->driver, "none");
    strcpy(info->runtime, "none");
}

bool gpu_bind(const GpuDevice *device, Err *err)
{
    (void)device;
    failure = {};
    return !breakage.refusal ||
           gpu_failure(err, GPU_OPENING, "cuda-host (" NAME ")", "starting", breakage.refusal, nullptr);
}

/* --- memory ----------------------------------------------------------------------------------------------- */

static std::map<void *, size_t> allocations; /* beside the memory, not in front: AddressSanitizer guards its edges */
static size_t used;

static size_t memory_bytes()
{
    return breakage.memory ? breakage.memory : static_cast<size_t>(MEMORY_MIB) << 20;
}

void gpu_memory(size_t *ret_free, size_t *ret_total)
{
    *ret_total = memory_bytes();
    *ret_free = used < *ret_total ? *ret_total - used : 0;
}

void *gpu_malloc(size_t bytes)
{
    void *memory = nullptr;
    size_t have, all;
    gpu_memory(&have, &all);
    if (bytes > have || posix_memalign(&memory, ALIGN, bytes ? bytes : 1))
        return nullptr;
    allocations[memory] = bytes;
    used += bytes;
    return memset(memory, POISON, bytes);
}

void gpu_free(void *memory)
{
    auto found = allocations.find(memory);
    if (found == allocations.end())
        return;
    used -= found->second;
    allocations.erase(found);
    free(memory);
}

void *gpu_pinned(size_t bytes) /* the host's, so it does not count */
{
    void *memory = nullptr;
    return posix_memalign(&memory, ALIGN, bytes ? bytes : 1) ? nullptr : memset(memory, POISON, bytes);
}

void gpu_pinned_free(void *memory)
{
    free(memory);
}

/* --- streams ---------------------------------------------------------------------------------------------- */

GpuStream gpu_stream_new(Err *err)
{
    (void)err;
    return new Stream{nullptr};
}

void gpu_stream_free(GpuStream stream)
{
    delete stream;
}

void stream_take(Stream *stream, Work *work)
{
    std::unique_ptr<Work> mine(work);
    wear();
    if (stream->capturing)
        stream->capturing->works.push_back(std::move(mine));
    else
        mine->run();
}

struct CopyWork : Work {
    void *dst;
    const void *src;
    size_t bytes;
    CopyWork(void *d, const void *s, size_t n) : dst(d), src(s), bytes(n) {}
    void run() override
    {
        if (!device_failed())
            memmove(dst, src, bytes);
    }
};

struct FillWork : Work {
    void *dst;
    int byte;
    size_t bytes;
    FillWork(void *d, int b, size_t n) : dst(d), byte(b), bytes(n) {}
    void run() override
    {
        if (!device_failed())
            memset(dst, byte, bytes);
    }
};

void gpu_copy(void *dst, const void *src, size_t bytes, GpuStream stream)
{
    stream_take(stream, new CopyWork(dst, src, bytes));
}

void gpu_fill(void *dst, int byte, size_t bytes, GpuStream stream)
{
    stream_take(stream, new FillWork(dst, byte, bytes));
}

bool gpu_sync(GpuStream stream, Err *err)
{
    if (stream->capturing)
        device_fail("a stream that captures a graph cannot be waited for");
    Err was = failure;
    failure = {};
    return was.kind == ERR_NONE || err_set(err, was.kind, "%s", was.text);
}

/* --- events ----------------------------------------------------------------------------------------------- */

GpuEvent gpu_event_new(Err *err)
{
    (void)err;
    return new Event{0};
}

void gpu_event_free(GpuEvent event)
{
    delete event;
}

void gpu_event_record(GpuEvent event, GpuStream stream)
{
    (void)stream; /* all of its work has run */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->ms = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void gpu_event_wait(GpuEvent event, GpuStream stream)
{
    (void)event, (void)stream;
}

void gpu_event_sync(GpuEvent event)
{
    (void)event;
}

float gpu_event_ms(GpuEvent from, GpuEvent to)
{
    return static_cast<float>(to->ms - from->ms);
}

/* --- graphs ----------------------------------------------------------------------------------------------- */

void gpu_capture_begin(GpuStream stream)
{
    if (stream->capturing)
        device_fail("a stream begins a second graph before the first is ended");
    else
        stream->capturing = new Graph();
}

GpuGraph gpu_capture_end(GpuStream stream)
{
    if (!stream->capturing)
        device_fail("a stream ends a graph that was not begun");
    return std::exchange(stream->capturing, nullptr);
}

struct GraphWork : Work {
    Graph *graph;
    explicit GraphWork(Graph *g) : graph(g) {}
    void run() override
    {
        for (std::unique_ptr<Work> &work : graph->works)
            work->run();
    }
};

void gpu_graph_launch(GpuGraph graph, GpuStream stream)
{
    stream_take(stream, new GraphWork(graph));
}

void gpu_graph_free(GpuGraph graph)
{
    delete graph;
}

} // namespace gpu_host

void cuda_host_break(const char *error, int64_t works)
{
    gpu_host::breakage.error = error;
    gpu_host::breakage.works_left = works;
}

void cuda_host_refuse(const char *error)
{
    gpu_host::breakage.refusal = error;
}

void cuda_host_memory(size_t bytes)
{
    gpu_host::breakage.memory = bytes;
}
