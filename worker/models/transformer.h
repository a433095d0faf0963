/* The LlamaGen block stack that student and teacher share. docs/dev/models.md, "Transformer".
 *
 *     transformer_load(&tf, &weights, role, be, heads, grid, add, err)    once
 *     transformer_layout(&tf, &workspace, sequences, keeps, &work)      measured, then placed
 *     transformer_begin(&tf, &work, labels, b)                      the class tokens of a batch
 *     hidden = transformer_forward(&tf, &work, &pass)               work.h holds the rows; any number of times
 *
 * The class token is never a row: its query and key are zero, so its output depends on the class alone. Its value row
 * of every layer (and its last hidden state) is computed the first time a class is met and kept in a table. Gains of
 * the RMS norms are folded into the product that follows. */
#ifndef WORKER_MODELS_TRANSFORMER_H
#define WORKER_MODELS_TRANSFORMER_H

#include "kernels/workspace.h"
#include "worker/weights/weights.h"

typedef struct TransformerLayer {
    Linear *wqkv; /* [3D,D], attention_norm folded in */
    Linear *wo;   /* [D,D] */
    Linear *w13;  /* [2F,D]: w1 over w3, ffn_norm folded in */
    Linear *w2;   /* [D,F] */
} TransformerLayer;

typedef struct Transformer {
    Backend *be;
    int layers, width, heads, hidden; /* N, D, H, F */
    const char *heads_from;           /* where H comes from (sizes.h), */
    bool heads_assumed;               /* and whether it is a guess */
    int codes, classes;               /* V; classes without the null class */
    int grid, tokens;                 /* L = grid*grid */
    TransformerLayer *layer;
    Linear *head;       /* [V,D], the final norm folded in */
    Tensor cos_sin;     /* [L,hd/2,2] */
    Tensor cls;         /* [classes+1,D] the class token on entry */
    Tensor class_value; /* [N*(classes+1),D] its value rows, filled as classes are met */
    Tensor class_last;  /* [classes+1,D] its last hidden state, before the final norm */
    bool *class_known;
    int32_t *class_fresh; /* scratch: classes met for the first time */
} Transformer;

typedef struct TransformerWork {
    int sequences;      /* room for: sequences of L tokens, */
    bool keeps;         /* with K and V of every layer kept, else of one at a time */
    Tensor h, x;        /* [R,D], R = sequences*L */
    Tensor qkv, q;      /* [R,3D], [R,D] */
    Tensor wide, gated; /* [R,2F], [R,F]; in the same place as qkv and q */
    Tensor k, v;        /* [layers,sequences,H,L,hd] as one run of floats */
    Tensor v_class;     /* [sequences,D] */
    Tensor labels;      /* [sequences] i32 */
} TransformerWork;

/* One pass over grid tokens first..first+t-1 of b sequences. work.h[b,t,D] holds what enters the first layer. The last
 * layer computes only the rows from..t-1 of each sequence. Without K and V kept first must be 0. */
typedef struct TransformerPass {
    int b, first, t, from;
} TransformerPass;

/* The sizes alone, without grid and tokens: nothing is loaded. role: "student" or "teacher", for messages; heads 0: as
 * sizes.h says. */
bool transformer_sizes(const Weights *weights, const char *role, int heads, Transformer *ret_sizes, Err *err);
/* add [D] is added to every class embedding on entry, unless NULL. */
bool transformer_load(Transformer *ret_tf, const Weights *weights, const char *role, Backend *be, int heads, int grid,
                      const float *add, Err *err);
void transformer_free(Transformer *tf); /* a zeroed one is fine */

/* keeps: tokens come one by one; else a pass sees all its tokens at once. */
void transformer_layout(const Transformer *tf, Workspace *workspace, int sequences, bool keeps, TransformerWork *work);

/* labels [b], the null class is tf->classes. Computes the class tokens not met before. */
void transformer_begin(Transformer *tf, TransformerWork *work, const int32_t *labels, int b);

/* The last hidden state, before the final norm: [b,t-from,D], inside work (gone after the next pass). work->qkv is
 * free. */
Tensor transformer_forward(const Transformer *tf, TransformerWork *work, const TransformerPass *pass);

/* After a failed run: nothing that was in flight counts as computed. */
void transformer_forget(Transformer *tf);

/* The part of t that starts at element `at`, seen with another shape. Unused axes 0. */
Tensor tensor_part(Tensor t, int64_t at, int ndim, int64_t a, int64_t b, int64_t c);

#endif
