/* The CUDA backend's inside: its state, scratch, and the op functions that cuda.cu puts into the table.
 *
 * Rows (Tensor) are f32 at the interface. A map is NHWC, channels padded to a multiple of 8 with zeros, which every op
 * that writes a map writes; its elements are __half in PREC_F16, __nv_bfloat16 in PREC_BF16, else float. */
#ifndef KERNELS_CUDA_CUDA_H
#define KERNELS_CUDA_CUDA_H

#include "kernels/backend_ops.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/num.h"
#include "kernels/cuda/runtime.h"

namespace GPU_SPACE
{

enum { CHANNEL_PAD = 8 };

/* Device memory that ops use for the length of one call; grows at the first call with a larger shape and then stays. */
enum CudaScratch {
    SCRATCH_OPERAND, /* a product's rows in 16 bits */
    SCRATCH_WORK,    /* the op's own: logits, partial results */
    SCRATCH_PACK,    /* weights on their way into their packed form */
    SCRATCH_STATS,   /* statistics of the map that a convolution wrote: map_stats.h */
    SCRATCHES
};

/* A kernel that finds an error in device data, such as an id outside its table, writes it here; the first one is kept.
 */
struct Fault {
    int op; /* BackendOp + 1 */
    int row, found, limit;
    int overflow; /* OVERFLOW_...: infinity or NaN occurred: num.h */
};

enum Overflow { OVERFLOW_NONE, OVERFLOW_ROWS, OVERFLOW_MAPS, OVERFLOW_IMAGE };

/* Whose statistics are in SCRATCH_STATS: [map.b][parts][channels] of a map, for the op after the op-th. */
struct CudaStats {
    FeatureMap map;
    int parts;
    int64_t op;
};

/* transfer.cu: a ring of pinned buffers between the host's memory and the device's, and a stream for downloads. */
enum { TRANSFER_SLOTS = 8, TRANSFER_BYTES = 4 << 20 };

struct TransferSlot {
    void *pinned; /* [TRANSFER_BYTES], from its first use on */
    GpuEvent done;
    bool busy;  /* a copy was queued; `done` is its event */
    void *host; /* the destination of a download; NULL: no download */
    size_t bytes;
};

struct Transfer {
    TransferSlot slots[TRANSFER_SLOTS];
    int next;
    GpuStream stream; /* of downloads beside */
    GpuEvent computed, copied;
    bool beside; /* one was queued since the last sync */
};

/* replay.cu: passes that were recorded, by key in a table with open addresses. */
enum { REPLAYS_MAX = 4096 };

struct Replay {
    uint64_t key;
    bool met;
    GpuGraph graph; /* NULL: the key came once */
};

struct Replays {
    Replay *items, *recording;
    size_t count;
};

struct Cuda {
    Backend base;
    GpuDevice device;
    GpuStream stream;
    Transfer transfer;
    Replays replays;
    Gemm *gemm;
    Fault *fault; /* pinned: kernels write, cuda_sync reads */
    struct {
        void *data;
        size_t size;
    } scratch[SCRATCHES];
    CudaStats stats;
};

static inline Cuda *cuda_of(Backend *be)
{
    return reinterpret_cast<Cuda *>(be);
}

bool transfer_open(Cuda *cuda, Err *err);
bool transfer_sync(Cuda *cuda, Err *err); /* after the main stream was waited for: all downloads are in their places */
void transfer_close(Cuda *cuda);
void cuda_upload(Backend *be, void *dst, const void *host, size_t bytes);
void cuda_download(Backend *be, void *host, const void *src, size_t bytes);
void cuda_download_beside(Backend *be, void *host, const void *src, size_t bytes);

void replays_open(Cuda *cuda);
void replays_forget(Cuda *cuda);
void replays_close(Cuda *cuda);
bool cuda_replay_begin(Backend *be, uint64_t key);
void cuda_replay_end(Backend *be);

/* At least this many bytes; NULL after backend_fail. */
void *cuda_scratch(Cuda *cuda, CudaScratch which, size_t bytes);

static inline bool cuda_16bit(const Cuda *cuda)
{
    return cuda->base.precision == PREC_F16 || cuda->base.precision == PREC_BF16;
}

/* Elements of a product's row as operands: k rounded up so that rows start at 16 bytes; in f32 it is k. */
int64_t cuda_operand_width(const Cuda *cuda, int64_t k);
/* rows [R,k] f32 in device memory as operands of a product, [R,cuda_operand_width(k)] with zeros at the end: in f32
 * x itself, else a copy in SCRATCH_OPERAND. NULL after backend_fail. */
const void *cuda_operand(Cuda *cuda, const float *x, int64_t rows, int64_t k);
/* The same into memory of the caller's. */
void cuda_narrow(Cuda *cuda, const float *x, int64_t rows, int64_t k, void *y);

static inline int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* --- maps ------------------------------------------------------------------------------------------------- */

static inline int map_channels(int c) /* with padding */
{
    return (c + CHANNEL_PAD - 1) / CHANNEL_PAD * CHANNEL_PAD;
}

static inline size_t map_element(const Cuda *cuda)
{
    return cuda_16bit(cuda) ? 2 : 4;
}

/* Calls `function<T>(args...)` with the map's (or operand's) type. */
#define CUDA_BY_TYPE(cuda, function, ...)                                                                              \
    do {                                                                                                               \
        if ((cuda)->base.precision == PREC_F16)                                                                        \
            function<__half>(__VA_ARGS__);                                                                             \
        else if ((cuda)->base.precision == PREC_BF16)                                                                  \
            function<__nv_bfloat16>(__VA_ARGS__);                                                                      \
        else                                                                                                           \
            function<float>(__VA_ARGS__);                                                                              \
    } while (0)

/* --- the ops, one file a family -------------------------------------------------------------------------- */

Linear *cuda_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err);
void cuda_linear_free(Backend *be, Linear *linear);
void cuda_linear(Backend *be, const Linear *linear, Tensor x, Tensor y, bool accumulate);

void cuda_rms_norm(Backend *be, Tensor x, Tensor gain, Tensor y);
void cuda_layer_norm_modulate(Backend *be, Tensor x, Tensor shift_scale, Tensor y);
void cuda_swiglu(Backend *be, Tensor x, Tensor y);

void cuda_embed_latents(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h);
void cuda_gather(Backend *be, Tensor table, Tensor ids, Tensor y);
void cuda_slice(Backend *be, Tensor x, int from, Tensor y);
void cuda_rope_split(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v);
void cuda_cfg(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y);

void cuda_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y);

void cuda_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin);
void cuda_nearest_code(Backend *be, Tensor x, Tensor codebook, Tensor ids);
void cuda_sample(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids,
                 Tensor probs);

void cuda_map_from_rows(Backend *be, Tensor rows, FeatureMap y);
void cuda_map_to_rows(Backend *be, FeatureMap x, Tensor rows);
void cuda_concat(Backend *be, const FeatureMap *x, int n, FeatureMap y);
void cuda_to_u8(Backend *be, FeatureMap x, Tensor u8);
void cuda_resize_inception(Backend *be, Tensor u8, Resize pipeline, FeatureMap y);
void cuda_pool(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y);
void cuda_global_mean(Backend *be, FeatureMap x, Tensor y);
void cuda_pixel_attention(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y);

Conv *cuda_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                     Err *err);
void cuda_conv_free(Backend *be, Conv *conv);
void cuda_conv(Backend *be, const Conv *conv, FeatureMap x, FeatureMap residual, FeatureMap y);
void cuda_group_norm(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y);

} // namespace GPU_SPACE

#endif
