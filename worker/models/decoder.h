/* The tokenizer's decoder: vectors on a grid in, pixels out. docs/dev/models.md, "Tokenizer decoder".
 *
 *     decoder_run(&decoder, &work, vectors, pixels, tap, ctx, err)     in groups of images
 *
 * Folded at load, equal in exact arithmetic: post_quant_conv into conv_in (a constant channel carries its bias past the
 * zero padding); q with k, and v with proj_out, in the attention blocks. */
#ifndef WORKER_MODELS_DECODER_H
#define WORKER_MODELS_DECODER_H

#include "kernels/workspace.h"
#include "worker/weights/weights.h"

enum { DECODER_LEVELS = 8, DECODER_BLOCKS = 4, DECODER_MAPS = 3 };

typedef struct DecoderNorm {
    Tensor gamma, beta; /* [c] */
} DecoderNorm;

typedef struct DecoderRes {
    int c_in, c_out;
    DecoderNorm norm1, norm2;
    Conv *conv1, *conv2, *shortcut; /* shortcut NULL when c_in == c_out */
} DecoderRes;

typedef struct DecoderAttn { /* c 0: there is none */
    int c;
    DecoderNorm norm;
    Conv *query, *out; /* keys and values are the normed map itself */
} DecoderAttn;

typedef struct DecoderLevel {
    int blocks, c; /* c: channels it ends with */
    DecoderRes res[DECODER_BLOCKS];
    DecoderAttn attn[DECODER_BLOCKS];
    Conv *upsample; /* NULL on the last level */
} DecoderLevel;

typedef struct Decoder {
    Backend *be;
    int channels, grid, levels, image_size; /* C; image_size = grid << (levels-1) */
    Conv *conv_in, *conv_out;               /* [top,C+1,3,3], [3,c,3,3] */
    DecoderRes mid[2];
    DecoderAttn mid_attn;
    DecoderLevel level[DECODER_LEVELS];
    DecoderNorm norm_out;
} Decoder;

typedef struct DecoderWork {
    int wide, chunk;        /* images at a time, at low resolution and at high */
    Tensor rows, pixels[2]; /* pixels: chunks change places, so one is fetched while the next is made */
    FeatureMap in;
    FeatureMap low_map;       /* what the wide part leaves */
    void *attention;          /* as large as the largest map in an attention block */
    void *low[DECODER_MAPS];  /* each as large as the largest map of the wide part */
    void *high[DECODER_MAPS]; /* each as large as the largest map of a chunk */
    float *host_rows;         /* [wide*L,C+1] */
} DecoderWork;

/* Sees the map after "mid", "level0", ..., "image" of every chunk; tests. */
typedef void DecoderTap(void *ctx, const char *stage, FeatureMap map);

int decoder_levels(const Weights *weights); /* that the file has */
/* grid 0 is an error: no file has it (worker/weights/sizes.h). */
bool decoder_load(Decoder *ret_decoder, const Weights *weights, Backend *be, int grid, Err *err);
void decoder_free(Decoder *decoder); /* a zeroed one is fine */

/* For batches of b images: groups and chunks that suit the backend. */
void decoder_layout(const Decoder *decoder, Workspace *workspace, int b, DecoderWork *work);
void decoder_work_open(const Decoder *decoder, DecoderWork *work); /* the host part */
void decoder_work_close(DecoderWork *work);

/* vectors host [b,L,C], pixels host [b,S,S,3]. */
bool decoder_run(const Decoder *decoder, DecoderWork *work, const float *vectors, int b, uint8_t *pixels,
                 DecoderTap *tap, void *ctx, Err *err);

#endif
