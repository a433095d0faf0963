/* The CPU backend's inside: its state, scratch, and the op functions that cpu.c puts into the table.
 *
 * A map is nChw16c: [B][C/16][h][w][16], channels padded to a multiple of 16 with zeros. Every op that writes a map
 * writes those zeros, so every op that reads one may rely on them. */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "kernels/backend_ops.h"
#include "kernels/cpu/isa.h"

enum { CACHE_LINE = 64 };

/* Loops marked so are compiled once for each vector width; that of the machine is chosen when the program starts. They
 * must be plain C without OpenMP regions: the regions call them. (ThreadSanitizer cannot run their resolvers.) */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define CPU_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CPU_CLONES
#endif

/* Memory that ops use for the length of one call; grows at the first call with a larger shape and then stays. */
typedef enum CpuScratch {
    SCRATCH_INPUT, /* an input in another form: bf16, enlarged, with a border */
    SCRATCH_WORK,  /* the op's own loops */
    SCRATCHES
} CpuScratch;

typedef struct Cpu {
    Backend base;
    int threads;
    const Isa *isa;
    struct {
        void *data;
        size_t size;
    } scratch[SCRATCHES];
} Cpu;

static inline Cpu *cpu_of(Backend *be)
{
    return (Cpu *)be;
}

/* At least this many bytes, aligned to a cache line; NULL after backend_fail. */
void *cpu_scratch(Cpu *cpu, CpuScratch which, size_t bytes);

/* Part i of n nearly equal parts of 0..count-1 starts here. */
static inline int64_t part_start(int64_t count, int i, int n)
{
    return count * i / n;
}

/* The calling thread of an OpenMP region: 0..threads-1. */
int cpu_thread(void);

static inline int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static inline int map_blocks(int c)
{
    return (c + BLOCK - 1) / BLOCK;
}

static inline size_t map_image_floats(const FeatureMap *m) /* of one image */
{
    return (size_t)map_blocks(m->c) * BLOCK * (size_t)m->h * (size_t)m->w;
}

static inline float *map_image(const FeatureMap *m, int b)
{
    return (float *)m->data + (size_t)b * map_image_floats(m);
}

/* --- the ops, one file a family -------------------------------------------------------------------- */

Linear *cpu_linear_pack(Backend *be, const float *w, const float *bias, int64_t n, int64_t k, Err *err);
void cpu_linear_free(Backend *be, Linear *linear);
void cpu_linear(Backend *be, const Linear *linear, Tensor x, Tensor y, bool accumulate);

Conv *cpu_conv_pack(Backend *be, const float *w, const float *bias, const ConvShape *shape, int h_hint, int w_hint,
                    Err *err);
void cpu_conv_free(Backend *be, Conv *conv);
void cpu_conv(Backend *be, const Conv *conv, FeatureMap x, FeatureMap residual, FeatureMap y);

void cpu_rms_norm(Backend *be, Tensor x, Tensor gain, Tensor y);
void cpu_layer_norm_modulate(Backend *be, Tensor x, Tensor shift_scale, Tensor y);
void cpu_swiglu(Backend *be, Tensor x, Tensor y);
void cpu_group_norm(Backend *be, FeatureMap x, Tensor gamma, Tensor beta, int groups, bool silu, FeatureMap y);

void cpu_embed_latents(Backend *be, Tensor x, Tensor w, Tensor bias, Tensor nd, int first, int known, Tensor h);
void cpu_gather(Backend *be, Tensor table, Tensor ids, Tensor y);
void cpu_slice(Backend *be, Tensor x, int from, Tensor y);
void cpu_rope_split(Backend *be, Tensor qkv, Tensor cos_sin, int heads, int first, Tensor q, Tensor k, Tensor v);

void cpu_attention(Backend *be, Tensor q, Tensor k, Tensor v, Tensor v_class, int heads, int first, Tensor y);
void cpu_pixel_attention(Backend *be, FeatureMap q, FeatureMap k, FeatureMap v, float scale, FeatureMap y);

void cpu_argmax_linear(Backend *be, const Linear *head, Tensor x, Tensor ids, Tensor margin);
void cpu_nearest_code(Backend *be, Tensor x, Tensor codebook, Tensor ids);
void cpu_cfg(Backend *be, Tensor cond, Tensor uncond, float scale, Tensor y);
void cpu_sample(Backend *be, Tensor logits, int top_k, float top_p, float temperature, Tensor uniform, Tensor ids,
                Tensor probs);

void cpu_map_from_rows(Backend *be, Tensor rows, FeatureMap y);
void cpu_map_to_rows(Backend *be, FeatureMap x, Tensor rows);
void cpu_to_u8(Backend *be, FeatureMap x, Tensor u8);
void cpu_concat(Backend *be, const FeatureMap *x, int n, FeatureMap y);

void cpu_resize_inception(Backend *be, Tensor u8, Resize pipeline, FeatureMap y);
void cpu_pool(Backend *be, FeatureMap x, Pool kind, int size, int stride, int pad, FeatureMap y);
void cpu_global_mean(Backend *be, FeatureMap x, Tensor y);

#endif
