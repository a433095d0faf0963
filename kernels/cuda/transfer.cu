/* Copies between ordinary host memory and the device, through a ring of pinned buffers.
 *
 * A copy from or to pageable memory blocks the host; one from or to a pinned buffer is asynchronous. So an upload is
 * copied into the next buffer of the ring and sent from there, and the caller may use its memory again at once. A
 * download arrives in a buffer and is copied to its destination when that buffer is needed again, or at the latest in
 * be_check. The host waits for a buffer whose copy is pending; when all are pending, that limits its speed.
 *
 * Downloads `beside` run on a second stream, after the work queued before them; the main stream continues, and waits
 * for such a download only when the next one is queued. */
#include "kernels/cuda/cuda.h"

#include <string.h>

namespace GPU_SPACE
{

/* The next buffer, free: its copy is complete and its data were delivered. NULL after backend_fail. */
static TransferSlot *next_slot(Cuda *cuda)
{
    Transfer *transfer = &cuda->transfer;
    TransferSlot *slot = &transfer->slots[transfer->next];
    transfer->next = (transfer->next + 1) % TRANSFER_SLOTS;
    Err err = {};
    if (!slot->pinned) {
        slot->done = gpu_event_new(&err);
        slot->pinned = slot->done ? gpu_pinned(TRANSFER_BYTES) : nullptr;
        if (!slot->pinned) {
            backend_fail(&cuda->base, ERR_MEMORY, "device %s: no %d MiB of pinned host memory", cuda->base.info.uuid,
                         TRANSFER_BYTES >> 20);
            return nullptr;
        }
    }
    if (slot->busy)
        gpu_event_sync(slot->done);
    if (slot->host)
        memcpy(slot->host, slot->pinned, slot->bytes);
    slot->busy = false;
    slot->host = nullptr;
    return slot;
}

static void slot_started(TransferSlot *slot, GpuStream stream)
{
    gpu_event_record(slot->done, stream);
    slot->busy = true;
}

static size_t piece(size_t left)
{
    const size_t most = TRANSFER_BYTES;
    return left < most ? left : most;
}

void cuda_upload(Backend *be, void *dst, const void *host, size_t bytes)
{
    Cuda *cuda = cuda_of(be);
    cuda->stats.map.data = nullptr; /* its memory may be the one that is written */
    for (size_t at = 0; at < bytes; at += TRANSFER_BYTES) {
        size_t size = piece(bytes - at);
        TransferSlot *slot = next_slot(cuda);
        if (!slot)
            return;
        memcpy(slot->pinned, static_cast<const char *>(host) + at, size);
        gpu_copy(static_cast<char *>(dst) + at, slot->pinned, size, cuda->stream);
        slot_started(slot, cuda->stream);
    }
}

static void download_on(Cuda *cuda, GpuStream stream, void *host, const void *src, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += TRANSFER_BYTES) {
        TransferSlot *slot = next_slot(cuda);
        if (!slot)
            return;
        slot->bytes = piece(bytes - at);
        slot->host = static_cast<char *>(host) + at;
        gpu_copy(slot->pinned, static_cast<const char *>(src) + at, slot->bytes, stream);
        slot_started(slot, stream);
    }
}

void cuda_download(Backend *be, void *host, const void *src, size_t bytes)
{
    download_on(cuda_of(be), cuda_of(be)->stream, host, src, bytes);
}

void cuda_download_beside(Backend *be, void *host, const void *src, size_t bytes)
{
    Cuda *cuda = cuda_of(be);
    Transfer *transfer = &cuda->transfer;
    if (transfer->beside) /* the one before: its source may be written again from here on */
        gpu_event_wait(transfer->copied, cuda->stream);
    gpu_event_record(transfer->computed, cuda->stream);
    gpu_event_wait(transfer->computed, transfer->stream);
    download_on(cuda, transfer->stream, host, src, bytes);
    gpu_event_record(transfer->copied, transfer->stream);
    transfer->beside = true;
}

bool transfer_open(Cuda *cuda, Err *err)
{
    Transfer *transfer = &cuda->transfer;
    transfer->stream = gpu_stream_new(err);
    transfer->computed = transfer->stream ? gpu_event_new(err) : nullptr;
    transfer->copied = transfer->computed ? gpu_event_new(err) : nullptr;
    return transfer->copied != nullptr;
}

bool transfer_sync(Cuda *cuda, Err *err)
{
    Transfer *transfer = &cuda->transfer;
    bool good = !transfer->beside || gpu_sync(transfer->stream, err);
    transfer->beside = false;
    for (int i = 0; i < TRANSFER_SLOTS; i++) { /* in the order in which they were queued */
        TransferSlot *slot = &transfer->slots[(transfer->next + i) % TRANSFER_SLOTS];
        if (slot->host && good)
            memcpy(slot->host, slot->pinned, slot->bytes);
        slot->host = nullptr;
        slot->busy = false;
    }
    return good;
}

void transfer_close(Cuda *cuda)
{
    Transfer *transfer = &cuda->transfer;
    for (int i = 0; i < TRANSFER_SLOTS; i++) {
        gpu_pinned_free(transfer->slots[i].pinned);
        gpu_event_free(transfer->slots[i].done);
    }
    gpu_event_free(transfer->computed);
    gpu_event_free(transfer->copied);
    gpu_stream_free(transfer->stream);
}

} // namespace GPU_SPACE
