/* BackendOps: the flat table that a backend fills. Read by backend.c and by the backends, not by models.
 *
 * A backend puts a Backend first in its own state, Linear first in its packed weights and Conv first in its packed
 * convolutions, fills one BackendOps and adds a row to the drivers in backend.c. The wrappers there have checked
 * shapes, types and NULL before an op is called, have skipped empty calls, and have counted; an op only computes.
 * A failure inside an op goes to backend_fail, which keeps the first.
 *
 * To add an op: a line in BACKEND_OPS and a field in BackendOps, both named as in backend.h. */
#ifndef KERNELS_BACKEND_OPS_H
#define KERNELS_BACKEND_OPS_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BackendOps {
    const char *name; /* "cpu" */

    /* life and memory */
    void (*close)(Backend *be);
    void (*sync)(Backend *be); /* waits for queued ops; device errors go to backend_fail */
    void *(*alloc)(Backend *be, size_t bytes, Err *err);
    void (*free)(Backend *be, void *memory);
    void (*upload)(Backend *be, void *dst, const void *host, size_t bytes);
    void (*download)(Backend *be, void *host, const void *src, size_t bytes);
    void (*copy)(Backend *be, void *dst, const void *src, size_t bytes);
    /* optional, NULL: as download; unknown; nothing is recorded */
    void (*download_beside)(Backend *be, void *host, const void *src, size_t bytes);
    size_t (*memory_free)(const Backend *be);
    bool (*replay_begin)(Backend *be, uint64_t key); /* false: a recording was queued */
    void (*replay_end)(Backend *be);
    size_t (*map_bytes)(const Backend *be, int b, int h, int w, int c);

    /* weights */
    Linear *(*linear_pack)(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err);
    void (*linear_free)(Backend *be, Linear *linear);
    Conv *(*conv_pack)(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                       Err *err);
    void (*conv_free)(Backend *be, Conv *conv);

    /* rows */
    void (*linear)(Backend *be, const Linear *linear, Tensor x, Tensor y, bool accumulate);
    void (*rms_norm)(Backend *be, Tensor x, Tensor gain, Tensor y);
    void (*layer_norm_modulate)(Backend *be, Tensor x, Tensor shift_scale, Tensor y);
    void (*swiglu)(Backend *be, Tensor x, Tensor y);
    void (*embed_latents)(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h);
    void (*gather)(Backend *be, Tensor table, Tensor ids, Tensor y);
    void (*slice)(Backend *be, Tensor x, int from, Tensor y);
    void (*rope_split)(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v);
    void (*attention)(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y);
    void (*argmax_linear)(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin);
    void (*cfg)(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y);
    void (*sample)(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids,
                   Tensor probs);
    void (*nearest_code)(Backend *be, Tensor x, Tensor codebook, Tensor ids);

    /* maps */
    void (*conv)(Backend *be, const Conv *conv, FeatureMap x, FeatureMap residual, FeatureMap y);
    void (*group_norm)(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y);
    void (*pixel_attention)(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y);
    void (*map_from_rows)(Backend *be, Tensor rows, FeatureMap y);
    void (*map_to_rows)(Backend *be, FeatureMap x, Tensor rows);
    void (*to_u8)(Backend *be, FeatureMap x, Tensor u8);
    void (*resize_inception)(Backend *be, Tensor u8, Resize pipeline, FeatureMap y);
    void (*pool)(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y);
    void (*concat)(Backend *be, const FeatureMap *x, int n, FeatureMap y);
    void (*global_mean)(Backend *be, FeatureMap x, Tensor y);

    /* statistics */
} BackendOps;

/* The part of a backend that backend.c reads; a backend's own state follows it. */
struct Backend {
    const BackendOps *ops;
    DeviceInfo info;
    Precision precision;
    bool host;   /* memory can be read by the host as it is */
    bool failed; /* error is set: ops do nothing until be_check */
    Err error;
    BackendCounters counters;
};

struct Linear {
    int64_t n, k;
};

struct Conv {
    ConvShape shape;
};

/* Keeps the first failure; later ones follow from it. */
void backend_fail(Backend *be, ErrKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For the wrappers: checks. Each returns true, or records "OP: NAME is [..], wanted [..]". A wanted axis of -1 is any
 * size. */
bool backend_want(Backend *be, const char *op, const char *name, const Tensor *t, Dtype dtype, int ndim, int64_t a,
                  int64_t b, int64_t c, int64_t d);
bool backend_want_map(Backend *be, const char *op, const char *name, const FeatureMap *m, int b, int h, int w, int c);
/* Counts a call. False when an earlier op failed: then the call does nothing. */
bool backend_begin(Backend *be, BackendOp op);

/* One row a backend: how backend.c finds and opens it. */
typedef struct BackendDriver {
    const char *name;
    int (*devices)(DeviceInfo *ret_devices, int max);
    Backend *(*open)(const DeviceInfo *device, Precision precision, int threads, Err *err);
    void (*why_none)(Err *err);        /* a sentence when it has no devices; NULL where it always has devices */
    void (*inspect)(DeviceInfo *info); /* as backend_inspect; NULL: no more details */
    bool unlisted;                     /* opened when asked for, not among backend_devices */
} BackendDriver;

/* Registers one more driver in this process; for tests. */
void backend_register(const BackendDriver *driver);

extern const BackendDriver cpu_driver;
#ifdef DDQ_CUDA
extern const BackendDriver cuda_driver;
#endif

#ifdef __cplusplus
}
#endif
#endif
