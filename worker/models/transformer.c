/* The block stack: loading with folded gains, the class token's table, one forward for student and teacher.
 *
 *     x = rms(h);  q,k,v = rope(wqkv x);  h += wo attention(q,k,v);  x = rms(h);  h += w2 swiglu(w13 x)
 *
 * Rows that are not read are not computed: see `from` in the last layer. A new weight goes into load_layer and
 * docs/dev/models.md; a new op into the forward, one line, its shape beside it. */
#include "worker/models/transformer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/weights/sizes.h"

enum { MAX_LAYERS = 512 };

static const Tensor NO_GAIN = {0};

Tensor tensor_part(Tensor t, int64_t at, int ndim, int64_t a, int64_t b, int64_t c)
{
    void *data =
        t.data ? (char *)t.data + (size_t)at * dtype_size(t.dtype) : NULL; /* NULL while a workspace measures */
    return (Tensor){data, t.dtype, ndim, {a, b, c, 0}};
}

/* --- loading -------------------------------------------------------------------------------------- */

static const char *layer_name(char *room, size_t size, int layer, const char *weight)
{
    snprintf(room, size, "layers.%d.%s.weight", layer, weight);
    return room;
}

/* w[n,k] *= gain[k]. */
static void fold_gain(float *w, const float *gain, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            w[i * k + j] *= gain[j];
}

/* Packs `parts` matrices [n,k], one under the other, with the gain of the norm before them folded in. */
static Linear *load_product(const Weights *weights, Backend *be, const char *const *names, int parts, const char *norm,
                            int64_t n, int64_t k, Err *err)
{
    Linear *packed = NULL;
    float *gain = norm ? weights_take(weights, norm, k, 0, 0, 0, err) : NULL;
    float *w = !norm || gain ? weights_room(weights, parts * n * k, err) : NULL;
    bool ok = w != NULL;
    for (int i = 0; ok && i < parts; i++)
        ok = weights_read(weights, names[i], w + i * n * k, n, k, 0, 0, err);
    if (ok && gain)
        fold_gain(w, gain, parts * n, k);
    if (ok)
        packed = be_linear_pack(be, w, NULL, parts * n, k, err);
    free(w);
    free(gain);
    return packed;
}

static bool load_layer(Transformer *tf, const Weights *weights, int i, Err *err)
{
    TransformerLayer *layer = &tf->layer[i];
    int64_t d = tf->width, f = tf->hidden;
    char norm[80], one[80], two[80];
    layer_name(norm, sizeof norm, i, "attention_norm");
    const char *wqkv = layer_name(one, sizeof one, i, "attention.wqkv");
    layer->wqkv = load_product(weights, tf->be, &wqkv, 1, norm, 3 * d, d, err);
    if (!layer->wqkv)
        return false;
    const char *wo = layer_name(one, sizeof one, i, "attention.wo");
    layer->wo = load_product(weights, tf->be, &wo, 1, NULL, d, d, err);
    if (!layer->wo)
        return false;
    layer_name(norm, sizeof norm, i, "ffn_norm");
    const char *w13[] = {layer_name(one, sizeof one, i, "feed_forward.w1"),
                         layer_name(two, sizeof two, i, "feed_forward.w3")};
    layer->w13 = load_product(weights, tf->be, w13, 2, norm, f, d, err);
    if (!layer->w13)
        return false;
    const char *w2 = layer_name(one, sizeof one, i, "feed_forward.w2");
    layer->w2 = load_product(weights, tf->be, &w2, 1, NULL, d, f, err);
    return layer->w2 != NULL;
}

/* Whether the file has anything of a layer: a layer that lacks one weight must not be taken for the end of the stack.
 */
static bool has_layer(const Weights *weights, int layer)
{
    static const char *const leaves[] = {"attention.wqkv",  "attention.wo",    "attention_norm", "ffn_norm",
                                         "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"};
    char name[80];
    for (size_t i = 0; i < countof(leaves); i++)
        if (weights_has(weights, layer_name(name, sizeof name, layer, leaves[i])))
            return true;
    return false;
}

static bool read_sizes(Transformer *tf, const Weights *weights, const char *role, int heads, Err *err)
{
    int64_t cls[] = {-1, -1}, head[] = {-1, -1}, w1[] = {-1, -1};
    if (!weights_shape(weights, "cls_embedding.embedding_table.weight", 2, cls, err))
        return false;
    head[1] = w1[1] = cls[1];
    if (!weights_shape(weights, "output.weight", 2, head, err) ||
        !weights_shape(weights, "layers.0.feed_forward.w1.weight", 2, w1, err))
        return false;
    while (tf->layers < MAX_LAYERS && has_layer(weights, tf->layers))
        tf->layers++;
    if (cls[0] < 2 || cls[0] > 1 << 24 || cls[1] > 1 << 16 || head[0] > 1 << 24 || w1[0] > 1 << 20)
        return err_set(err, ERR_FORMAT,
                       "%s: no transformer has %lld classes, width %lld, %lld codes and %lld hidden units",
                       weights->path, (long long)cls[0] - 1, (long long)cls[1], (long long)head[0], (long long)w1[0]);
    tf->classes = (int)cls[0] - 1;
    tf->width = (int)cls[1];
    tf->codes = (int)head[0];
    tf->hidden = (int)w1[0];
    SizeChoice choice = {0};
    if (!tf->layers)
        return err_set(err, ERR_FORMAT, "%s: no layers.0.attention.wqkv.weight in it", weights->path);
    if (!weights_no_gap(weights, role, "layers", tf->layers, err) ||
        !sizes_heads(weights, role, tf->width, tf->layers, heads, &choice, err))
        return false;
    tf->heads = choice.value;
    tf->heads_from = choice.from;
    tf->heads_assumed = choice.assumed;
    return true;
}

/* The first hd/4 pairs turn with the row, the others with the column; both at frequencies 10000^(-4j/hd). */
static bool place_rotary(Transformer *tf, Err *err)
{
    int pairs = tf->width / tf->heads / 2, half = pairs / 2;
    float *table = xmalloc((size_t)tf->tokens * (size_t)pairs * 2 * sizeof(float));
    for (int i = 0; i < tf->tokens; i++)
        for (int j = 0; j < pairs; j++) {
            int at = j < half ? i / tf->grid : i % tf->grid;
            double angle = at * pow(10000, -2.0 * (j % half) / pairs);
            table[(i * pairs + j) * 2] = (float)cos(angle);
            table[(i * pairs + j) * 2 + 1] = (float)sin(angle);
        }
    bool ok = weights_place(tf->be, table, (int64_t)tf->tokens * pairs, 2, &tf->cos_sin, err);
    free(table);
    if (ok)
        tf->cos_sin = tensor_part(tf->cos_sin, 0, 3, tf->tokens, pairs, 2);
    return ok;
}

static bool place_classes(Transformer *tf, const Weights *weights, const float *add, Err *err)
{
    int64_t rows = tf->classes + 1, d = tf->width;
    float *table = weights_take(weights, "cls_embedding.embedding_table.weight", rows, d, 0, 0, err);
    if (!table)
        return false;
    for (int64_t i = 0; add && i < rows * d; i++)
        table[i] += add[i % d];
    bool ok = weights_place(tf->be, table, rows, d, &tf->cls, err);
    free(table);
    tf->class_known = xcalloc((size_t)rows, sizeof *tf->class_known);
    tf->class_fresh = xcalloc((size_t)rows, sizeof *tf->class_fresh);
    tf->class_value = tensor_f32(NULL, 2, tf->layers * rows, d, 0, 0);
    tf->class_last = tensor_f32(NULL, 2, rows, d, 0, 0);
    return ok && (tf->class_value.data = be_alloc(tf->be, tensor_bytes(&tf->class_value), err)) &&
           (tf->class_last.data = be_alloc(tf->be, tensor_bytes(&tf->class_last), err));
}

static bool load_all(Transformer *tf, const Weights *weights, const char *role, int heads, const float *add, Err *err)
{
    if (!read_sizes(tf, weights, role, heads, err))
        return false;
    tf->layer = xcalloc((size_t)tf->layers, sizeof *tf->layer);
    for (int i = 0; i < tf->layers; i++)
        if (!load_layer(tf, weights, i, err))
            return false;
    const char *head = "output.weight";
    tf->head = load_product(weights, tf->be, &head, 1, "norm.weight", tf->codes, tf->width, err);
    return tf->head && place_rotary(tf, err) && place_classes(tf, weights, add, err);
}

bool transformer_sizes(const Weights *weights, const char *role, int heads, Transformer *ret_sizes, Err *err)
{
    *ret_sizes = (Transformer){0};
    return read_sizes(ret_sizes, weights, role, heads, err);
}

bool transformer_load(Transformer *ret_tf, const Weights *weights, const char *role, Backend *be, int heads, int grid,
                      const float *add, Err *err)
{
    Transformer tf = {.be = be, .grid = grid, .tokens = grid * grid};
    if (!load_all(&tf, weights, role, heads, add, err)) {
        transformer_free(&tf);
        return false;
    }
    *ret_tf = tf;
    return true;
}

void transformer_free(Transformer *tf)
{
    for (int i = 0; tf->layer && i < tf->layers; i++) {
        be_linear_free(tf->be, tf->layer[i].wqkv);
        be_linear_free(tf->be, tf->layer[i].wo);
        be_linear_free(tf->be, tf->layer[i].w13);
        be_linear_free(tf->be, tf->layer[i].w2);
    }
    if (tf->be) {
        be_linear_free(tf->be, tf->head);
        be_free(tf->be, tf->cos_sin.data);
        be_free(tf->be, tf->cls.data);
        be_free(tf->be, tf->class_value.data);
        be_free(tf->be, tf->class_last.data);
    }
    free(tf->layer);
    free(tf->class_known);
    free(tf->class_fresh);
    memset(tf, 0, sizeof *tf);
}

/* --- memory --------------------------------------------------------------------------------------- */

void transformer_layout(const Transformer *tf, Workspace *workspace, int sequences, bool keeps, TransformerWork *work)
{
    int64_t rows = (int64_t)sequences * tf->tokens, d = tf->width, f = tf->hidden, layers = keeps ? tf->layers : 1;
    work->sequences = sequences;
    work->keeps = keeps;
    work->labels = workspace_take(workspace, DTYPE_I32, 1, sequences, 0, 0, 0);
    work->v_class = workspace_take(workspace, DTYPE_F32, 2, sequences, d, 0, 0);
    work->k = workspace_take(workspace, DTYPE_F32, 2, layers * rows, d, 0, 0);
    work->v = workspace_take(workspace, DTYPE_F32, 2, layers * rows, d, 0, 0);
    work->h = workspace_take(workspace, DTYPE_F32, 2, rows, d, 0, 0);
    work->x = workspace_take(workspace, DTYPE_F32, 2, rows, d, 0, 0);
    /* qkv and q are done with when the feed-forward part begins: one room for both. */
    Tensor room = workspace_take(workspace, DTYPE_F32, 2, rows, 3 * f > 4 * d ? 3 * f : 4 * d, 0, 0);
    work->qkv = tensor_part(room, 0, 2, rows, 3 * d, 0);
    work->q = tensor_part(room, rows * 3 * d, 2, rows, d, 0);
    work->wide = tensor_part(room, 0, 2, rows, 2 * f, 0);
    work->gated = tensor_part(room, rows * 2 * f, 2, rows, f, 0);
}

/* --- forward -------------------------------------------------------------------------------------- */

/* h[R,D] += w2 swiglu(w13 rms(h)); x[R,D] is scratch. */
static void feed_forward(const Transformer *tf, const TransformerWork *work, const TransformerLayer *layer, Tensor h,
                         Tensor x)
{
    int64_t rows = h.shape[0], f = tf->hidden;
    Tensor wide = tensor_part(work->wide, 0, 2, rows, 2 * f, 0);
    Tensor gated = tensor_part(work->gated, 0, 2, rows, f, 0);
    be_rms_norm(tf->be, h, NO_GAIN, x);
    be_linear(tf->be, layer->w13, x, wide, false); /* [R,2F] */
    be_swiglu(tf->be, wide, gated);                /* [R,F] */
    be_linear(tf->be, layer->w2, gated, h, true);  /* [R,D] */
}

/* Rows of class_value for one layer: [classes+1,D]. */
static Tensor class_values(const Transformer *tf, int layer)
{
    int64_t rows = tf->classes + 1, d = tf->width;
    return tensor_part(tf->class_value, layer * rows * d, 2, rows, d, 0);
}

/* The class token attends to itself alone, so its attention is its value row. n classes at once, as n rows. */
static void class_rows(Transformer *tf, TransformerWork *work, int n)
{
    int64_t d = tf->width;
    Tensor ids = tensor_part(work->labels, 0, 1, n, 0, 0);
    Tensor h = tensor_part(work->h, 0, 2, n, d, 0), x = tensor_part(work->x, 0, 2, n, d, 0);
    Tensor qkv = tensor_part(work->qkv, 0, 2, n, 3 * d, 0);
    be_upload(tf->be, ids, tf->class_fresh);
    be_gather(tf->be, tf->cls, ids, h);
    for (int l = 0; l < tf->layers; l++) {
        Tensor values = class_values(tf, l);
        be_rms_norm(tf->be, h, NO_GAIN, x);
        be_linear(tf->be, tf->layer[l].wqkv, x, qkv, false);
        for (int i = 0; i < n; i++)
            be_copy(tf->be, tensor_part(values, tf->class_fresh[i] * d, 1, d, 0, 0),
                    tensor_part(qkv, (3 * i + 2) * d, 1, d, 0, 0));
        be_gather(tf->be, values, ids, x);
        be_linear(tf->be, tf->layer[l].wo, x, h, true);
        feed_forward(tf, work, &tf->layer[l], h, x);
    }
    for (int i = 0; i < n; i++)
        be_copy(tf->be, tensor_part(tf->class_last, tf->class_fresh[i] * d, 1, d, 0, 0),
                tensor_part(h, i * d, 1, d, 0, 0));
}

void transformer_begin(Transformer *tf, TransformerWork *work, const int32_t *labels, int b)
{
    int fresh = 0;
    for (int i = 0; i < b; i++)
        if (!tf->class_known[labels[i]]) {
            tf->class_known[labels[i]] = true;
            tf->class_fresh[fresh++] = labels[i];
        }
    if (fresh)
        class_rows(tf, work, fresh);
    be_upload(tf->be, tensor_part(work->labels, 0, 1, b, 0, 0), labels);
}

void transformer_forget(Transformer *tf)
{
    if (tf->class_known)
        memset(tf->class_known, 0, (size_t)(tf->classes + 1) * sizeof *tf->class_known);
}

/* dst[b,t-from,D] = rows from..t-1 of every sequence of src[b,t,D]. */
static void keep_rows(const Transformer *tf, Tensor src, const TransformerPass *pass, Tensor dst)
{
    int64_t d = tf->width;
    be_slice(tf->be, tensor_part(src, 0, 3, pass->b, pass->t, d), pass->from,
             tensor_part(dst, 0, 3, pass->b, pass->t - pass->from, d));
}

Tensor transformer_forward(const Transformer *tf, TransformerWork *work, const TransformerPass *pass)
{
    Backend *be = tf->be;
    int64_t d = tf->width, hd = d / tf->heads, rows = (int64_t)pass->b * pass->t;
    int64_t span = work->keeps ? tf->tokens : pass->t; /* rows of the K and V of a sequence */
    Tensor h = tensor_part(work->h, 0, 2, rows, d, 0), x = tensor_part(work->x, 0, 2, rows, d, 0);
    Tensor qkv = tensor_part(work->qkv, 0, 3, pass->b, pass->t, 3 * d);
    Tensor labels = tensor_part(work->labels, 0, 1, pass->b, 0, 0);
    Tensor v_class = tensor_part(work->v_class, 0, 2, pass->b, d, 0);
    for (int l = 0; l < tf->layers; l++) {
        const TransformerLayer *layer = &tf->layer[l];
        int64_t at = work->keeps ? (int64_t)l * work->sequences * tf->tokens * d : 0;
        Tensor k = tensor_part(work->k, at, 3, pass->b, tf->heads, span);
        Tensor v = tensor_part(work->v, at, 3, pass->b, tf->heads, span);
        k.ndim = v.ndim = 4, k.shape[3] = v.shape[3] = hd; /* [b,H,span,hd] */
        Tensor q = tensor_part(work->q, 0, 3, pass->b, pass->t, d), y = x;
        int first = pass->first;
        be_rms_norm(be, h, NO_GAIN, x);
        be_linear(be, layer->wqkv, x, tensor_part(qkv, 0, 2, rows, 3 * d, 0), false);
        be_rope_split(be, qkv, tf->cos_sin, tf->heads, first, q, k, v);
        if (l == tf->layers - 1 && pass->from) { /* h and q are swapped with x: only the rows that are read */
            int64_t kept = pass->t - pass->from;
            rows = pass->b * kept;
            keep_rows(tf, h, pass, x);
            keep_rows(tf, q, pass, h);
            q = tensor_part(h, 0, 3, pass->b, kept, d);
            h = tensor_part(x, 0, 2, rows, d, 0);
            x = tensor_part(q, 0, 2, rows, d, 0);
            y = tensor_part(qkv, 0, 2, rows, d, 0);
            first += pass->from;
        }
        be_gather(be, class_values(tf, l), labels, v_class);
        be_attention(be, q, k, v, v_class, tf->heads, first, tensor_part(y, 0, 3, pass->b, q.shape[1], d));
        be_linear(be, layer->wo, y, h, true);
        feed_forward(tf, work, layer, h, x);
    }
    return tensor_part(h, 0, 3, pass->b, rows / pass->b, d);
}
