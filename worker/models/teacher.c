/* The teacher: prefill, then one row a sequence and token. Nothing comes back to the host before the last token.
 *
 * The head has no bias, so guidance is applied to the normed hidden states and the head runs once:
 *     head(u) + (head(c) - head(u)) * s = head(u + (c - u) * s)
 * After cfg_interval the unguided half is not computed: no later token uses it. */
#include "worker/models/teacher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/weights/kind.h"

bool teacher_load(Teacher *ret_teacher, const Weights *weights, Backend *be, int heads, int grid, Err *err)
{
    Teacher teacher = {0};
    if (!network_check(weights, NETWORK_TEACHER, err) ||
        !transformer_load(&teacher.tf, weights, "teacher", be, heads, grid, NULL, err) ||
        !weights_tensor(weights, be, "tok_embeddings.weight", teacher.tf.codes, teacher.tf.width, &teacher.embed,
                        err)) {
        teacher_free(&teacher);
        return false;
    }
    *ret_teacher = teacher;
    return true;
}

void teacher_free(Teacher *teacher)
{
    if (teacher->tf.be)
        be_free(teacher->tf.be, teacher->embed.data);
    transformer_free(&teacher->tf);
    memset(teacher, 0, sizeof *teacher);
}

void teacher_layout(const Teacher *teacher, Workspace *workspace, int b, TeacherWork *work)
{
    int64_t tokens = teacher->tf.tokens, d = teacher->tf.width;
    work->b = b;
    work->prefix = workspace_take(workspace, DTYPE_I32, 1, 2 * b * tokens, 0, 0, 0);
    work->picks = workspace_take(workspace, DTYPE_I32, 2, tokens, 2 * b, 0, 0);
    work->uniform = workspace_take(workspace, DTYPE_F32, 2, tokens, b, 0, 0);
    work->margin = workspace_take(workspace, DTYPE_F32, 2, tokens, b, 0, 0);
    work->cond = workspace_take(workspace, DTYPE_F32, 2, b, d, 0, 0);
    work->uncond = workspace_take(workspace, DTYPE_F32, 2, b, d, 0, 0);
    work->guided = workspace_take(workspace, DTYPE_F32, 2, b, d, 0, 0);
    work->logits = workspace_take(workspace, DTYPE_F32, 2, b, teacher->tf.codes, 0, 0);
    transformer_layout(&teacher->tf, workspace, 2 * b, true, &work->tf);
}

void teacher_work_open(const Teacher *teacher, int b, TeacherWork *work)
{
    size_t tokens = (size_t)teacher->tf.tokens;
    work->labels = xcalloc(2 * (size_t)b, sizeof *work->labels);
    work->ids = xcalloc(2 * (size_t)b * tokens, sizeof *work->ids);
    work->numbers = xcalloc((size_t)b * tokens, sizeof *work->numbers);
}

void teacher_work_close(TeacherWork *work)
{
    free(work->labels);
    free(work->ids);
    free(work->numbers);
    memset(work, 0, sizeof *work);
}

/* Whether new token k (0 is the first) is guided. */
static bool guided(const TeacherDraw *draw, int k)
{
    return draw->cfg_scale > 1 && (k == 0 || draw->cfg_interval < 0 || k - 1 <= draw->cfg_interval);
}

/* Uploads labels (classes, then null classes) and the uniforms of the tokens to come, token by token. */
static void begin(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw)
{
    int b = draw->b, tokens = teacher->tf.tokens, count = draw->end - draw->start;
    for (int i = 0; i < b; i++) {
        work->labels[i] = draw->labels[i];
        work->labels[b + i] = teacher->tf.classes;
    }
    transformer_begin(&teacher->tf, &work->tf, work->labels, guided(draw, 0) ? 2 * b : b);
    if (!draw->uniform)
        return;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < b; i++)
            work->numbers[k * b + i] = draw->uniform[(int64_t)i * tokens + draw->start + k];
    be_upload(teacher->tf.be, tensor_part(work->uniform, 0, 2, count, b, 0), work->numbers);
}

/* Hidden states [rows,D] after the prefix: of its last token, or of the class token when there is none. */
static Tensor prefill(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, int rows)
{
    const Transformer *tf = &teacher->tf;
    int b = draw->b, start = draw->start;
    int64_t d = tf->width;
    if (!start) {
        Tensor h = tensor_part(work->tf.h, 0, 2, rows, d, 0);
        be_gather(tf->be, tf->class_last, tensor_part(work->tf.labels, 0, 1, rows, 0, 0), h);
        return h;
    }
    for (int copy = 0; copy < rows / b; copy++)
        memcpy(work->ids + (size_t)copy * b * start, draw->prefix, (size_t)b * start * sizeof(int32_t));
    Tensor ids = tensor_part(work->prefix, 0, 1, (int64_t)rows * start, 0, 0);
    be_upload(tf->be, ids, work->ids);
    be_gather(tf->be, teacher->embed, ids, tensor_part(work->tf.h, 0, 2, (int64_t)rows * start, d, 0));
    TransformerPass pass = {.b = rows, .first = 0, .t = start, .from = start - 1};
    return tensor_part(transformer_forward(tf, &work->tf, &pass), 0, 2, rows, d, 0);
}

/* New token k of every sequence from hidden states [b or 2b,D], into picks row k. */
static void pick(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, int k, Tensor hidden, bool want_logits)
{
    const Transformer *tf = &teacher->tf;
    Backend *be = tf->be;
    int64_t b = draw->b, d = tf->width;
    Tensor x = tensor_part(work->cond, 0, 2, b, d, 0), ids = tensor_part(work->picks, k * 2 * b, 1, b, 0, 0);
    be_rms_norm(be, tensor_part(hidden, 0, 2, b, d, 0), (Tensor){0}, x);
    if (guided(draw, k)) {
        Tensor uncond = tensor_part(work->uncond, 0, 2, b, d, 0), y = tensor_part(work->guided, 0, 2, b, d, 0);
        be_rms_norm(be, tensor_part(hidden, b * d, 2, b, d, 0), (Tensor){0}, uncond);
        be_cfg(be, x, uncond, draw->cfg_scale, y);
        x = y;
    }
    Tensor logits = tensor_part(work->logits, 0, 2, b, tf->codes, 0);
    if (draw->uniform || want_logits)
        be_linear(be, tf->head, x, logits, false);
    if (draw->uniform)
        be_sample(be, logits, draw->top_k, draw->top_p, draw->temperature,
                  tensor_part(work->uniform, k * b, 1, b, 0, 0), ids, (Tensor){0});
    else
        be_argmax_linear(be, tf->head, x, ids, tensor_part(work->margin, k * b, 1, b, 0, 0));
}

/* Feeds picks row k as token start+k; hidden states for token start+k+1, to the first rows of work->tf.h. */
static void advance(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, int k)
{
    const Transformer *tf = &teacher->tf;
    int64_t b = draw->b, rows = guided(draw, k + 1) ? 2 * b : b, d = tf->width;
    Tensor ids = tensor_part(work->picks, k * 2 * b, 1, rows, 0, 0);
    if (rows > b)
        be_copy(tf->be, tensor_part(ids, b, 1, b, 0, 0), tensor_part(ids, 0, 1, b, 0, 0));
    be_gather(tf->be, teacher->embed, ids, tensor_part(work->tf.h, 0, 2, rows, d, 0));
    TransformerPass pass = {.b = (int)rows, .first = draw->start + k, .t = 1, .from = 0};
    Tensor hidden = transformer_forward(tf, &work->tf, &pass);
    assert(hidden.data == work->tf.h.data);
}

static int64_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* New token k, and what the next one needs of it. The position is part of the key: a recording each. */
static void step(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, int k, Tensor hidden, bool want_logits)
{
    Backend *be = teacher->tf.be;
    bool last = k == draw->end - draw->start - 1;
    const int64_t key[] = {(intptr_t)work->prefix.data,
                           (intptr_t)hidden.data,
                           draw->b,
                           draw->start,
                           k,
                           last,
                           guided(draw, k),
                           guided(draw, k + 1),
                           bits_of(draw->cfg_scale),
                           draw->top_k,
                           bits_of(draw->top_p),
                           bits_of(draw->temperature),
                           draw->uniform != NULL,
                           want_logits};
    if (!be_replay_begin(be, be_replay_key("teacher", key, countof(key))))
        return;
    pick(teacher, work, draw, k, hidden, want_logits);
    if (!last)
        advance(teacher, work, draw, k);
    be_replay_end(be);
}

/* Picks [count,2b] and margins [count,b] on the device, sequence by sequence in the result. */
static bool collect(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, const TeacherResult *result, Err *err)
{
    int b = draw->b, count = draw->end - draw->start;
    Backend *be = teacher->tf.be;
    be_download(be, work->ids, tensor_part(work->picks, 0, 2, count, 2 * b, 0));
    if (!draw->uniform)
        be_download(be, work->numbers, tensor_part(work->margin, 0, 2, count, b, 0));
    if (result->logits)
        be_download(be, result->logits, tensor_part(work->logits, 0, 2, b, teacher->tf.codes, 0));
    if (!be_check(be, err)) {
        transformer_forget(&teacher->tf);
        return false;
    }
    for (int i = 0; i < b; i++)
        for (int k = 0; k < count; k++) {
            result->ids[i * count + k] = work->ids[k * 2 * b + i];
            if (!draw->uniform)
                result->margin[i * count + k] = work->numbers[k * b + i];
        }
    return true;
}

bool teacher_draw(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, const TeacherResult *result, Err *err)
{
    int count = draw->end - draw->start;
    begin(teacher, work, draw);
    Tensor hidden = prefill(teacher, work, draw, guided(draw, 0) ? 2 * draw->b : draw->b);
    for (int k = 0; k < count; k++) {
        step(teacher, work, draw, k, hidden, result->logits && k == count - 1);
        hidden = tensor_part(work->tf.h, 0, 2, hidden.shape[0], hidden.shape[1], 0);
    }
    return collect(teacher, work, draw, result, err);
}
