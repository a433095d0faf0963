/* The CUDA backend: opening, memory, scratch, and the table. Each op's kernels are in the file of its family.
 *
 * One stream in order, and a second one for downloads (transfer.cu); only be_check waits. This file is compiled twice
 * like every other here: as the driver "cuda", and by the host compiler as "cuda-host", the same backend over host/,
 * which tests open by name. */
#include "kernels/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#ifndef __CUDACC__
#include "kernels/cuda/host/driver.h"
#endif

namespace GPU_SPACE
{

enum { DEVICES_MAX = 64 };

/* --- memory ----------------------------------------------------------------------------------------------- */

static void *cuda_alloc(Backend *be, size_t bytes, Err *err)
{
    size_t have, all;
    void *memory = gpu_malloc(bytes);
    if (memory)
        return memory;
    gpu_memory(&have, &all);
    err_set(err, ERR_MEMORY, "device %s (%s): wanted %zu MiB, %zu of %zu MiB are free; a smaller batch needs less",
            be->info.uuid, be->info.name, (bytes >> 20) + 1, have >> 20, all >> 20);
    return nullptr;
}

static void cuda_free(Backend *be, void *memory)
{
    replays_forget(cuda_of(be)); /* one of them may use this address */
    gpu_free(memory);
}

static size_t cuda_memory_free(const Backend *be)
{
    size_t have, all;
    (void)be;
    gpu_memory(&have, &all);
    return have;
}

static void cuda_copy(Backend *be, void *dst, const void *src, size_t bytes)
{
    cuda_of(be)->stats.map.data = nullptr; /* its memory may be the one that is written */
    gpu_copy(dst, src, bytes, cuda_of(be)->stream);
}

static size_t cuda_map_bytes(const Backend *be, int b, int h, int w, int c)
{
    const Cuda *cuda = reinterpret_cast<const Cuda *>(be);
    return static_cast<size_t>(b) * static_cast<size_t>(h) * static_cast<size_t>(w) *
           static_cast<size_t>(map_channels(c)) * map_element(cuda);
}

void *cuda_scratch(Cuda *cuda, CudaScratch which, size_t bytes)
{
    if (cuda->scratch[which].size >= bytes && cuda->scratch[which].data)
        return cuda->scratch[which].data;
    Err err = {};
    be_free(&cuda->base, cuda->scratch[which].data); /* waits for what is queued */
    cuda->scratch[which].data = be_alloc(&cuda->base, bytes, &err);
    cuda->scratch[which].size = cuda->scratch[which].data ? bytes : 0;
    if (!cuda->scratch[which].data)
        backend_fail(&cuda->base, err.kind, "scratch: %s", err.text);
    return cuda->scratch[which].data;
}

/* --- life ------------------------------------------------------------------------------------------------- */

/* Names of Fault::overflow. */
static void overflow_tell(Backend *be, int where)
{
    static const char *const places[] = {"", "a number of the transformer", "a number of the decoder", "a pixel"};
    backend_fail(be, ERR_NUMERIC, "device %s: %s %s", be->info.uuid, places[where],
                 be->precision == PREC_F16 ? "does not fit into fp16, which ends at 65504"
                                           : "is infinite, or not a number");
}

static void cuda_sync(Backend *be)
{
    Cuda *cuda = cuda_of(be);
    Err err = {};
    bool good = gpu_sync(cuda->stream, &err);
    if (!transfer_sync(cuda, good ? &err : nullptr) || !good)
        backend_fail(be, err.kind, "%s", err.text);
    if (cuda->fault->op)
        backend_fail(be, ERR_INTERNAL, "be_%s: id %d of row %d, the table has %d rows",
                     backend_op_name(static_cast<BackendOp>(cuda->fault->op - 1)), cuda->fault->found, cuda->fault->row,
                     cuda->fault->limit);
    if (cuda->fault->overflow)
        overflow_tell(be, cuda->fault->overflow);
    memset(cuda->fault, 0, sizeof(*cuda->fault));
}

static void cuda_close(Backend *be)
{
    Cuda *cuda = cuda_of(be);
    for (int i = 0; i < SCRATCHES; i++)
        be_free(be, cuda->scratch[i].data);
    replays_close(cuda);
    transfer_close(cuda);
    gemm_close(cuda->gemm);
    gpu_pinned_free(cuda->fault);
    gpu_stream_free(cuda->stream);
    free(cuda);
}

#ifdef __CUDACC__
#define DRIVER_NAME "cuda"
static constexpr bool for_tests = false;
#else
#define DRIVER_NAME "cuda-host"
static constexpr bool for_tests = true; /* tests open it by name; it is not offered to jobs */
#endif

static const BackendOps cuda_ops = {
    .name = DRIVER_NAME,
    .close = cuda_close,
    .sync = cuda_sync,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .upload = cuda_upload,
    .download = cuda_download,
    .copy = cuda_copy,
    .download_beside = cuda_download_beside,
    .memory_free = cuda_memory_free,
    .replay_begin = cuda_replay_begin,
    .replay_end = cuda_replay_end,
    .map_bytes = cuda_map_bytes,
    .linear_pack = cuda_linear_pack,
    .linear_free = cuda_linear_free,
    .conv_pack = cuda_conv_pack,
    .conv_free = cuda_conv_free,
    .linear = cuda_linear,
    .rms_norm = cuda_rms_norm,
    .layer_norm_modulate = cuda_layer_norm_modulate,
    .swiglu = cuda_swiglu,
    .embed_latents = cuda_embed_latents,
    .gather = cuda_gather,
    .slice = cuda_slice,
    .rope_split = cuda_rope_split,
    .attention = cuda_attention,
    .argmax_linear = cuda_argmax_linear,
    .cfg = cuda_cfg,
    .sample = cuda_sample,
    .nearest_code = cuda_nearest_code,
    .conv = cuda_conv,
    .group_norm = cuda_group_norm,
    .pixel_attention = cuda_pixel_attention,
    .map_from_rows = cuda_map_from_rows,
    .map_to_rows = cuda_map_to_rows,
    .to_u8 = cuda_to_u8,
    .resize_inception = cuda_resize_inception,
    .pool = cuda_pool,
    .concat = cuda_concat,
    .global_mean = cuda_global_mean,
};

/* --- opening ---------------------------------------------------------------------------------------------- */

static int cuda_devices(DeviceInfo *ret_devices, int max)
{
    GpuDevice found[DEVICES_MAX];
    int n = gpu_devices(found, max < DEVICES_MAX ? max : DEVICES_MAX, nullptr);
    for (int i = 0; i < n; i++)
        ret_devices[i] = found[i].info;
    return n;
}

static void cuda_why_none(Err *err)
{
    GpuDevice found[DEVICES_MAX];
    gpu_devices(found, DEVICES_MAX, err);
}

static bool find_device(const DeviceInfo *info, GpuDevice *ret_device)
{
    GpuDevice found[DEVICES_MAX];
    int n = gpu_devices(found, DEVICES_MAX, nullptr);
    for (int i = 0; i < n; i++)
        if (!strcmp(found[i].info.uuid, info->uuid)) {
            *ret_device = found[i];
            return true;
        }
    return false;
}

static void cuda_inspect(DeviceInfo *info)
{
    GpuDevice device;
    if (find_device(info, &device))
        gpu_inspect(&device, info);
}

/* Runs a first kernel, so that a build whose code does not run on this device fails here and not in a job. */
static __global__ void first_kernel(Fault *fault)
{
    *fault = Fault{};
}

static Backend *cuda_open(const DeviceInfo *info, Precision precision, int threads, Err *err)
{
    (void)threads;
    Cuda *cuda = static_cast<Cuda *>(xcalloc(1, sizeof(*cuda)));
    cuda->base.ops = &cuda_ops;
    cuda->base.info = *info;
    cuda->base.precision = precision;
    bool good =
        find_device(info, &cuda->device) || err_set(err, ERR_DEVICE, "device %s (%s): gone", info->uuid, info->name);
    good = good && gpu_bind(&cuda->device, err);
    cuda->stream = good ? gpu_stream_new(err) : nullptr;
    cuda->fault = cuda->stream && transfer_open(cuda, err) ? static_cast<Fault *>(gpu_pinned(sizeof(Fault))) : nullptr;
    if (cuda->transfer.copied && !cuda->fault)
        err_set(err, ERR_MEMORY, "device %s (%s): no pinned memory", info->uuid, info->name);
    cuda->gemm = cuda->fault ? gemm_open(&cuda->device, err) : nullptr;
    if (cuda->gemm)
        LAUNCH(first_kernel, 1, 1, 0, cuda->stream, cuda->fault);
    if (!cuda->gemm || !gpu_sync(cuda->stream, err)) {
        cuda_close(&cuda->base);
        return nullptr;
    }
    replays_open(cuda);
    return &cuda->base;
}

} // namespace GPU_SPACE

#ifdef __CUDACC__
const BackendDriver cuda_driver = {
#else
const BackendDriver cuda_host_driver = {
#endif
    .name = GPU_SPACE::cuda_ops.name,
    .devices = GPU_SPACE::cuda_devices,
    .open = GPU_SPACE::cuda_open,
    .why_none = GPU_SPACE::cuda_why_none,
    .inspect = GPU_SPACE::cuda_inspect,
    .unlisted = GPU_SPACE::for_tests,
};
