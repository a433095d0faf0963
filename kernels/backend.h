/* Backend: one flat table of coarse ops; model code uses a Backend and does not depend on which one it is.
 *
 * Rules
 * - Tensor and FeatureMap arguments point at the backend's memory (be_alloc); `const float *` arguments of
 *   *_pack functions point at host memory.
 * - Ops are queued in order. Errors are sticky: the first failing op is kept with its name and shapes, later ops do
 *   nothing, be_check reports. Shape checks are shared by all backends (backend.c) and their errors name the tensor,
 *   its shape and the wanted one.
 * - An op may allocate (scratch, a compiled kernel) only when it meets a shape for the first time. A second pass
 *   over the same shapes allocates nothing; backend_counters shows it.
 * - Batch invariance: row r (or image b) of a result depends on row r (image b) of the inputs and on the weights
 *   alone, bit for bit; never on how many rows or images are in the call.
 * - Sums are in f32 unless the op says double.
 * - A result may lie on an input only where the op says so.
 * - One thread at a time calls a backend; inside an op it uses its own threads.
 *
 * To add an op: a wrapper here with the maths in its comment and its name in BACKEND_OPS, a field in BackendOps
 * (backend_ops.h), its shape check in backend_rows.c or backend_maps.c, its loop in tests/ops/ref.c with a section in
 * op_rows.c or op_maps.c and rows in op_cases.c, then cpu/ and cuda/. */
#ifndef KERNELS_BACKEND_H
#define KERNELS_BACKEND_H

#include "core/err.h"
#include "kernels/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Backend Backend;
typedef struct Linear Linear; /* packed weights of a matrix product */
typedef struct Conv Conv;     /* packed weights of a convolution */

typedef enum Precision { PREC_F32, PREC_TF32, PREC_F16, PREC_BF16 } Precision;

typedef struct DeviceInfo {
    char uuid[64]; /* "cpu" or "GPU-..." */
    char name[128];
    int64_t memory_mib, free_mib; /* free: -1 if unknown */
    /* of a GPU, by backend_inspect; else empty */
    char driver[64];  /* "580.65.06 CUDA 13.0": the newest CUDA that it supports */
    char runtime[24]; /* "CUDA 13.0", of this build */
    char compute[24]; /* capability: "9.0" */
} DeviceInfo;

/* Every op, by the name that follows be_. The test of ops fails for a name without rows. */
#define BACKEND_OPS(X)                                                                                                 \
    X(linear)                                                                                                          \
    X(rms_norm)                                                                                                        \
    X(layer_norm_modulate)                                                                                             \
    X(swiglu)                                                                                                          \
    X(embed_latents)                                                                                                   \
    X(gather)                                                                                                          \
    X(slice)                                                                                                           \
    X(rope_split)                                                                                                      \
    X(attention)                                                                                                       \
    X(argmax_linear)                                                                                                   \
    X(cfg)                                                                                                             \
    X(sample)                                                                                                          \
    X(nearest_code)                                                                                                    \
    X(conv)                                                                                                            \
    X(group_norm)                                                                                                      \
    X(pixel_attention)                                                                                                 \
    X(map_from_rows)                                                                                                   \
    X(map_to_rows)                                                                                                     \
    X(to_u8)                                                                                                           \
    X(resize_inception)                                                                                                \
    X(pool)                                                                                                            \
    X(concat)                                                                                                          \
    X(global_mean)

#define BACKEND_OP_ENUM(name) OP_##name,
typedef enum BackendOp { BACKEND_OPS(BACKEND_OP_ENUM) BACKEND_OP_COUNT } BackendOp;
#undef BACKEND_OP_ENUM

/* What has happened since backend_open; subtract two readings to count a forward pass. */
typedef struct BackendCounters {
    int64_t calls[BACKEND_OP_COUNT]; /* of each op */
    int64_t allocations;             /* by be_alloc, by packing, and of scratch inside ops */
    int64_t allocated_bytes;         /* allocated in all those, never subtracted */
    int64_t replays;                 /* passes that were queued as a recording; their ops are not in calls */
} BackendCounters;

/* Devices this build and machine offer: the CPU first. Returns how many (at most max). */
int backend_devices(DeviceInfo *ret_devices, int max);

/* Fills in what the driver reports: free memory, versions. */
void backend_inspect(DeviceInfo *info);
/* Why supported kinds of device are not among them, one sentence each. Returns how many (at most max). */
int backend_absent(Err *ret_whys, int max);

/* device: "cpu", "cuda" (the first) or a UUID. A precision the device does not offer is an error, not a substitute.
 * threads: CPU threads, 0 for all that the process may use. */
Backend *backend_open(const char *device, Precision precision, int threads, Err *err);
void backend_close(Backend *be); /* NULL is fine; after all that was packed or allocated with it is freed */
const DeviceInfo *backend_device(const Backend *be);
Precision backend_precision(const Backend *be);
bool backend_is_host(const Backend *be); /* memory can be read by the host as it is */

const BackendCounters *backend_counters(const Backend *be);
const char *backend_op_name(BackendOp op); /* "linear" */

/* Runs a few ops of every kind on small inputs against plain loops. False with the op, its result and the wanted one.
 */
bool backend_selftest(Backend *be, Err *err);

/* Waits for all queued ops; false with the first failure since the last check. */
bool be_check(Backend *be, Err *err);

/* --- memory ------------------------------------------------------------------------------------- */
void *be_alloc(Backend *be, size_t bytes,
               Err *err); /* 64-byte aligned, contents undefined; NULL: MiB wanted and free */
void be_free(Backend *be, void *memory);
void be_upload(Backend *be, Tensor dst, const void *host); /* the host may write to it again at once */
void be_download(Backend *be, void *host, Tensor src);     /* the host may read after be_check */
/* The same in parallel with the ops that follow, for large results: src may be written again by ops that are queued
 * after the next be_download_beside, or after be_check. So two buffers in turn never wait. */
void be_download_beside(Backend *be, void *host, Tensor src);
void be_copy(Backend *be, Tensor dst, Tensor src); /* same bytes */
size_t be_map_bytes(const Backend *be, int b, int h, int w, int c);
/* Bytes that be_alloc could allocate now, given other processes' use of the device; SIZE_MAX if unknown. */
size_t be_memory_free(const Backend *be);

/* --- replays: a pass whose ops are the same every time ------------------------------------------------------------
 *
 *     if (be_replay_begin(be, key)) {
 *         ... ops ...
 *         be_replay_end(be);
 *     }
 *
 * A backend that can record (CUDA graphs) runs the ops of a key as they come the first time, records them the second
 * time, and from then on begin queues the recording and returns false. The key must include all that the ops depend on
 * besides the contents of memory: shapes, positions, and which memory (be_replay_key hashes such numbers; the address
 * of a buffer is one). Between begin and end: ops and be_copy only. Freeing memory drops all recordings. Backends that
 * cannot record always return true. */
bool be_replay_begin(Backend *be, uint64_t key);
void be_replay_end(Backend *be);
uint64_t be_replay_key(const char *what, const int64_t *numbers, int count);

/* --- rows: the transformers --------------------------------------------------------------------- */

/* w [N,K], bias [N] or NULL. NULL on failure. */
Linear *be_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err);
void be_linear_free(Backend *be, Linear *linear);
/* y[R,N] = x[R,K] w^T + bias; with accumulate, y += that. */
void be_linear(Backend *be, const Linear *linear, Tensor x, Tensor y, bool accumulate);

/* y = x / sqrt(mean(x^2) + 1e-5) * gain; x,y [R,D], gain [D] or data NULL for 1. y may be x. */
void be_rms_norm(Backend *be, Tensor x, Tensor gain, Tensor y);

/* y = (x - mean) / sqrt(var + 1e-6) * (1 + scale) + shift over D; x,y [B,T,D]; shift_scale [B,2,D]: row 0 shift, 1
 * scale. y may be x. */
void be_layer_norm_modulate(Backend *be, Tensor x, Tensor shift_scale, Tensor y);

/* y[R,F] = silu(x[R,0:F]) * x[R,F:2F]. */
void be_swiglu(Backend *be, Tensor x, Tensor y);

/* h[B,T,D] = x[B,T,C] w^T + bias + (first + i < known ? nd[1] : nd[0]) for i in 0..T-1; w [D,C], bias [D], nd [2,D]. */
void be_embed_latents(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h);

/* y[R,D] = table[ids[R]], ids i32, table [V,D]. */
void be_gather(Backend *be, Tensor table, Tensor ids, Tensor y);

/* y[B,n,D] = rows from..from+n-1 of every x[b] of x [B,T,D]. y is not x. */
void be_slice(Backend *be, Tensor x, int from, Tensor y);

/* Splits qkv [B,T,3*H*hd], turns q and k by the 2-D rotary table, and writes q [B,T,H*hd] and cache rows
 * first..first+T-1 of k and v [B,H,S,hd]. Row i is grid token first+i; cos_sin [L,hd/2,2]; pairs (2j,2j+1) are turned
 * by entry j. */
void be_rope_split(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v);

/* Causal attention of grid tokens first..first+T-1 over the class column and tokens 0..own. The class key is the zero
 * vector, so its score is exactly 0 and only its value row v_class [B,H*hd] enters. scale = 1/sqrt(hd).
 * q,y [B,T,H*hd]; k,v [B,H,S,hd] with rows up to first+T-1 filled. */
void be_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y);

/* ids[R] = argmax over V of x[R,D] w^T (first on ties), without storing the logits. margin[R] f32 (top-1 minus top-2)
 * unless its data is NULL. */
void be_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin);

/* y = uncond + (cond - uncond) * scale, any equal shapes; y may be either. */
void be_cfg(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y);

/* One token a row from logits [R,V]: divide by max(temperature,1e-5); keep the top_k (0: all; ties with the k-th stay);
 * nucleus top_p (first entry always kept); softmax; the smallest id whose cumulative probability in id order exceeds
 * uniform[R]. uniform data NULL: argmax, first on ties. probs [R,V] receives the filtered distribution unless NULL. */
void be_sample(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids,
               Tensor probs);

/* ids[R] = the row of codebook [V,C] nearest to x[R,C] by squared distance, first on ties. */
void be_nearest_code(Backend *be, Tensor x, Tensor codebook, Tensor ids);

/* --- maps: the decoder and Inception ------------------------------------------------------------- */

typedef struct ConvShape {
    int c_in, c_out, kh, kw, stride, pad_h, pad_w;
    bool relu;     /* y = max(0, .) at the end */
    bool upsample; /* the input is enlarged x2, nearest, before the convolution */
} ConvShape;

/* w [c_out,c_in,kh,kw], bias [c_out] or NULL. NULL on failure. h,w: the input size it will meet most (a hint). */
Conv *be_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                   Err *err);
void be_conv_free(Backend *be, Conv *conv);
/* y = conv(x) + bias (+ residual unless its data is NULL; residual and y may be the same map). Zero padding. */
void be_conv(Backend *be, const Conv *conv, FeatureMap x, FeatureMap residual, FeatureMap y);

/* GroupNorm over `groups` groups of channels, eps 1e-6, affine gamma/beta [C], then SiLU if silu. y may be x. */
void be_group_norm(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y);

/* y = softmax(q k^T * scale) v over all pixels of an image, one head of C channels; q,k,v,y [B,h,w,C]. */
void be_pixel_attention(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y);

/* Rows [B*h*w, C] <-> map [B,h,w,C]. */
void be_map_from_rows(Backend *be, Tensor rows, FeatureMap y);
void be_map_to_rows(Backend *be, FeatureMap x, Tensor rows);

/* u8 [B,h,w,3] = clamp(((x + 1) / 2) * 255 + 0.5, 0, 255) truncated; x [B,h,w,3]. */
void be_to_u8(Backend *be, FeatureMap x, Tensor u8);

/* The Inception input: images u8 [B,h,w,3] -> y [B,299,299,3]. docs/fid.md, "Resize". */
typedef enum Resize { RESIZE_PT, RESIZE_TF } Resize;
void be_resize_inception(Backend *be, Tensor u8, Resize pipeline, FeatureMap y);

typedef enum Pool { POOL_MAX, POOL_AVG /* divisor: pixels inside the image */ } Pool;
void be_pool(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y);

/* y = the maps x[0..n-1] side by side along the channels. */
void be_concat(Backend *be, const FeatureMap *x, int n, FeatureMap y);

/* y[B,C] = mean over the pixels. */
void be_global_mean(Backend *be, FeatureMap x, Tensor y);

#ifdef __cplusplus
}
#endif
#endif
