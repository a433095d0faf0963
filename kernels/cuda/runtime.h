/* What the backend needs of the CUDA runtime: devices, memory, streams, events, graphs. One implementation for the
 * device (device/runtime.cu), one for the host (host/runtime.cpp), where "device memory" is poisoned malloc memory and
 * work runs as it is queued.
 *
 * The first failure is kept, with the device's message: queued calls return nothing, gpu_sync reports. After a failure
 * queued calls do nothing until it was reported. Frees take NULL. */
#ifndef KERNELS_CUDA_RUNTIME_H
#define KERNELS_CUDA_RUNTIME_H

#include "kernels/backend.h"
#include "kernels/cuda/gpu.h"

namespace GPU_SPACE
{

struct GpuDevice {
    int index; /* the runtime's number */
    DeviceInfo info;
    int sm;             /* 90: compute capability 9.0 */
    int processors;     /* SMs */
    size_t shared_most; /* bytes of shared memory that a block may ask for */
    size_t l2;
};

#ifdef __CUDACC__
typedef cudaEvent_t GpuEvent;
typedef cudaGraphExec_t GpuGraph;
#else
struct Event;
struct Graph;
typedef Event *GpuEvent;
typedef Graph *GpuGraph;
#endif

/* How many there are, at most max. With none, *ret_why is the reason. */
int gpu_devices(GpuDevice *ret_devices, int max, Err *ret_why);
void gpu_inspect(const GpuDevice *device, DeviceInfo *info); /* what backend_inspect adds */
bool gpu_bind(const GpuDevice *device, Err *err);            /* the calling thread works with it from now on */
void gpu_memory(size_t *ret_free, size_t *ret_total);

void *gpu_malloc(size_t bytes); /* 256-byte aligned; NULL: not enough memory */
void gpu_free(void *memory);
void *gpu_pinned(size_t bytes); /* host memory that the device reads and writes directly; NULL: none left */
void gpu_pinned_free(void *memory);

GpuStream gpu_stream_new(Err *err);
void gpu_stream_free(GpuStream stream);
void gpu_copy(void *dst, const void *src, size_t bytes, GpuStream stream); /* host or device memory on either side */
void gpu_fill(void *dst, int byte, size_t bytes, GpuStream stream);
/* Waits; false with the first failure since the last report, as in failure.h. */
bool gpu_sync(GpuStream stream, Err *err);

/* stream_b waits for the work of stream_a before gpu_event_record(event, stream_a). */
GpuEvent gpu_event_new(Err *err);
void gpu_event_free(GpuEvent event);
void gpu_event_record(GpuEvent event, GpuStream stream);
void gpu_event_wait(GpuEvent event, GpuStream stream); /* the stream waits */
void gpu_event_sync(GpuEvent event);                   /* the host waits */
float gpu_event_ms(GpuEvent from, GpuEvent to);        /* between two that have happened */

/* Work of a stream between begin and end does not run but becomes a graph: the same launches with the same arguments,
 * as often as launched. NULL: the failure is kept. */
void gpu_capture_begin(GpuStream stream);
GpuGraph gpu_capture_end(GpuStream stream);
void gpu_graph_launch(GpuGraph graph, GpuStream stream);
void gpu_graph_free(GpuGraph graph);

} // namespace GPU_SPACE

#endif
