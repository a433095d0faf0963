/* The student: embeddings of vectors, marks for data and noise, two heads.
 *
 * Grid token i is both read and predicted at its own row: the row that carries x_t[i] gives token i. */
#include "worker/models/student.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/weights/kind.h"

static bool read_sizes(Student *student, const Weights *weights, Err *err)
{
    int64_t embed[] = {student->tf.width, -1};
    if (!weights_shape(weights, "tok_embeddings.weight", 2, embed, err))
        return false;
    if (embed[1] < 1 || embed[1] > 4096)
        return err_set(err, ERR_FORMAT, "student %s: tok_embeddings.weight has %lld channels a token, wanted 1 to 4096",
                       weights->path, (long long)embed[1]);
    student->channels = (int)embed[1];
    return true;
}

/* Shift and scale of every class: the head's table plus the class embedding, once for each. */
static bool place_shift_scale(Student *student, const Weights *weights, Err *err)
{
    int64_t rows = student->tf.classes + 1, d = student->tf.width;
    float *cls = weights_take(weights, "cls_embedding.embedding_table.weight", rows, d, 0, 0, err);
    float *own = cls ? weights_take(weights, "final_layer_conti.scale_shift_table", 2, d, 0, 0, err) : NULL;
    float *table = own ? weights_room(weights, rows * 2 * d, err) : NULL;
    for (int64_t i = 0; table && i < rows * 2 * d; i++)
        table[i] = own[i % (2 * d)] + cls[i / (2 * d) * d + i % d];
    bool ok = table && weights_place(student->tf.be, table, rows, 2 * d, &student->shift_scale, err);
    free(table);
    free(own);
    free(cls);
    return ok;
}

static bool load_heads(Student *student, const Weights *weights, Err *err)
{
    Backend *be = student->tf.be;
    int64_t d = student->tf.width, c = student->channels;
    float *w = weights_take(weights, "final_layer_conti.linear.weight", c, d, 0, 0, err);
    float *bias = w ? weights_take(weights, "final_layer_conti.linear.bias", c, 0, 0, 0, err) : NULL;
    if (bias)
        student->vector_head = be_linear_pack(be, w, bias, c, d, err);
    free(w);
    free(bias);
    return student->vector_head && weights_tensor(weights, be, "tok_embeddings.weight", d, c, &student->embed, err) &&
           weights_tensor(weights, be, "tok_embeddings.bias", d, 0, &student->bias, err) &&
           weights_tensor(weights, be, "n_d_embed.weight", 2, d, &student->noise_data, err) &&
           place_shift_scale(student, weights, err);
}

bool student_load(Student *ret_student, const Weights *weights, Backend *be, int heads, int grid, Err *err)
{
    Student student = {0};
    int64_t marks[] = {2, -1};
    float *data_mark = NULL; /* the class token is marked as data, whatever t */
    bool ok = network_check(weights, NETWORK_STUDENT, err) &&
              weights_shape(weights, "n_d_embed.weight", 2, marks, err) &&
              (data_mark = weights_take(weights, "n_d_embed.weight", 2, marks[1], 0, 0, err)) &&
              transformer_load(&student.tf, weights, "student", be, heads, grid, data_mark + marks[1], err) &&
              read_sizes(&student, weights, err) && load_heads(&student, weights, err);
    free(data_mark);
    if (!ok) {
        student_free(&student);
        return false;
    }
    *ret_student = student;
    return true;
}

void student_free(Student *student)
{
    Backend *be = student->tf.be;
    if (be) {
        be_linear_free(be, student->vector_head);
        be_free(be, student->embed.data);
        be_free(be, student->bias.data);
        be_free(be, student->noise_data.data);
        be_free(be, student->shift_scale.data);
    }
    transformer_free(&student->tf);
    memset(student, 0, sizeof *student);
}

void student_layout(const Student *student, Workspace *workspace, int b, StudentWork *work)
{
    int64_t rows = (int64_t)b * student->tf.tokens;
    work->latents = workspace_take(workspace, DTYPE_F32, 2, rows, student->channels, 0, 0);
    work->modulation = workspace_take(workspace, DTYPE_F32, 2, b, 2 * student->tf.width, 0, 0);
    work->codes = workspace_take(workspace, DTYPE_I32, 1, rows, 0, 0, 0);
    work->margin = workspace_take(workspace, DTYPE_F32, 1, rows, 0, 0, 0);
    work->vectors = workspace_take(workspace, DTYPE_F32, 2, rows, student->channels, 0, 0);
    transformer_layout(&student->tf, workspace, b, false, &work->tf);
}

int student_codes(const StudentStep *step)
{
    int upto = step->split < step->end ? step->split : step->end;
    return upto > step->t ? upto - step->t : 0;
}

int student_vectors(const StudentStep *step)
{
    int from = step->split > step->t ? step->split : step->t;
    return step->end > from ? step->end - from : 0;
}

/* Codes of the first n rows of every sequence of hidden[b,rows,D]. */
static void code_head(const Student *student, StudentWork *work, Tensor hidden, int n)
{
    Backend *be = student->tf.be;
    int64_t b = hidden.shape[0], d = student->tf.width;
    Tensor x = tensor_part(work->tf.qkv, 0, 2, b * n, d, 0);
    be_slice(be, hidden, 0, tensor_part(x, 0, 3, b, n, d));
    be_rms_norm(be, x, (Tensor){0}, x);
    be_argmax_linear(be, student->tf.head, x, tensor_part(work->codes, 0, 1, b * n, 0, 0),
                     tensor_part(work->margin, 0, 1, b * n, 0, 0));
}

/* Vectors of the last m rows of every sequence. */
static void vector_head(const Student *student, StudentWork *work, Tensor hidden, int m)
{
    Backend *be = student->tf.be;
    int64_t b = hidden.shape[0], rows = hidden.shape[1], d = student->tf.width;
    Tensor x = tensor_part(work->tf.qkv, 0, 3, b, m, d);
    Tensor modulation = tensor_part(work->modulation, 0, 2, b, 2 * d, 0);
    be_gather(be, student->shift_scale, tensor_part(work->tf.labels, 0, 1, b, 0, 0), modulation);
    be_slice(be, hidden, (int)(rows - m), x);
    be_layer_norm_modulate(be, x, tensor_part(modulation, 0, 3, b, 2, d), x);
    be_linear(be, student->vector_head, tensor_part(x, 0, 2, b * m, d, 0),
              tensor_part(work->vectors, 0, 2, b * m, student->channels, 0), false);
}

/* From latents and labels on the device to the outputs of both heads. */
static void queue_step(Student *student, StudentWork *work, const StudentStep *step)
{
    Transformer *tf = &student->tf;
    int b = step->b, n = student_codes(step), m = student_vectors(step);
    Tensor latents = tensor_part(work->latents, 0, 3, b, step->end, student->channels);
    Tensor h = tensor_part(work->tf.h, 0, 3, b, step->end, tf->width);
    TransformerPass pass = {.b = b, .first = 0, .t = step->end, .from = step->t};
    be_embed_latents(tf->be, latents, student->embed, student->bias, student->noise_data, 0, step->t, h);
    Tensor hidden = transformer_forward(tf, &work->tf, &pass);
    if (n)
        code_head(student, work, hidden, n);
    if (m)
        vector_head(student, work, hidden, m);
}

static void fetch(Student *student, StudentWork *work, const StudentStep *step, const StudentResult *result)
{
    Backend *be = student->tf.be;
    int64_t n = (int64_t)step->b * student_codes(step), m = (int64_t)step->b * student_vectors(step);
    be_download(be, result->codes, tensor_part(work->codes, 0, 1, n, 0, 0));
    be_download(be, result->margin, tensor_part(work->margin, 0, 1, n, 0, 0));
    be_download(be, result->vectors, tensor_part(work->vectors, 0, 2, m, student->channels, 0));
}

bool student_step(Student *student, StudentWork *work, const StudentStep *step, const StudentResult *result, Err *err)
{
    Transformer *tf = &student->tf;
    transformer_begin(tf, &work->tf, step->labels, step->b);
    be_upload(tf->be, tensor_part(work->latents, 0, 3, step->b, step->end, student->channels), step->latents);
    const int64_t key[] = {(intptr_t)work->latents.data, step->b, step->t, step->split, step->end};
    if (be_replay_begin(tf->be, be_replay_key("student", key, countof(key)))) {
        queue_step(student, work, step);
        be_replay_end(tf->be);
    }
    fetch(student, work, step, result);
    if (be_check(tf->be, err))
        return true;
    transformer_forget(tf);
    return false;
}
