/* The CUDA runtime's calls on the host. Work runs when it is queued, in the order of the calls; a stream that captures
 * keeps it for the graph. Device memory starts as NaN and is plain malloc memory, so AddressSanitizer watches it. */
#include "kernels/cuda/runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <memory>
#include <vector>

#include "core/err.h"
#include "kernels/cuda/host/fiber.h"

namespace gpu_host {

struct Graph {
    std::vector<std::unique_ptr<Work>> works;
};

struct Stream {
    Graph *capturing; /* NULL: work runs */
};

struct Event {
    double ms;
};

enum { POISON = 0xff, ALIGN = 256, MEMORY_MIB = 2048 };

/* --- failures --------------------------------------------------------------------------------------------- */

static thread_local bool failed;
static thread_local char failure[512];

void device_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!failed)
        vsnprintf(failure, sizeof(failure), format, args);
    failed = true;
    va_end(args);
}

bool device_failed()
{
    return failed;
}

bool device_take_failure(char *ret_text, size_t size)
{
    bool was = failed;
    if (was)
        snprintf(ret_text, size, "%s", failure);
    failed = false;
    return was;
}

/* --- devices ---------------------------------------------------------------------------------------------- */

int gpu_devices(GpuDevice *ret_devices, int max, Err *ret_why)
{
    (void)ret_why;
    if (max < 1)
        return 0;
    GpuDevice device = {};
    strcpy(device.info.uuid, "cuda-host");
    strcpy(device.info.name, "CUDA kernels on the host");
    device.info.memory_mib = device.info.free_mib = MEMORY_MIB;
    device.sm = 80;
    device.processors = 2;
    device.shared_most = 99 << 10; /* of the targets, sm_89 has least */
    device.l2 = 4 << 20;
    *ret_devices = device;
    return 1;
}

bool gpu_bind(int index, Err *err)
{
    return index == 0 || err_set(err, ERR_DEVICE, "device cuda-host: number %d, there is 0", index);
}

/* --- memory ----------------------------------------------------------------------------------------------- */

void gpu_memory(size_t *ret_free, size_t *ret_total)
{
    *ret_free = *ret_total = static_cast<size_t>(MEMORY_MIB) << 20;
}

void *gpu_malloc(size_t bytes)
{
    void *memory = nullptr;
    if (bytes > static_cast<size_t>(MEMORY_MIB) << 20 || posix_memalign(&memory, ALIGN, bytes ? bytes : 1))
        return nullptr;
    return memset(memory, POISON, bytes);
}

void gpu_free(void *memory)
{
    free(memory);
}

void *gpu_pinned(size_t bytes)
{
    return gpu_malloc(bytes);
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
    char text[512];
    if (stream->capturing)
        device_fail("a stream that captures a graph cannot be waited for");
    return !device_take_failure(text, sizeof(text)) || err_set(err, ERR_DEVICE, "device cuda-host: %s", text);
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
    (void)stream; /* whatever it was given has run */
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
