/* The samplers: which model runs when, on which tokens, and how its results are used.
 *
 * Vectors and codes of a batch live on the host between steps (8 KiB an image): a code's vector is a row of the
 * codebook, so no search is needed. A token below min(t, split_t) came from the codebook and is its own nearest row;
 * among duplicate rows the first is used, as a search would.
 *
 * Student, teacher and decoder run one after another and share one workspace. To add a sampler, add its function
 * beside few_step and with_teacher; to add a model, open it in load_all and give it its part of layout. */
#include "worker/models/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/weights/kind.h"
#include "worker/models/plan.h"
#include "worker/models/sampler_parts.h"

static void enter(const Stages *stages, const char *name)
{
    if (stages->call)
        stages->call(name, stages->ctx);
}

/* --- opening -------------------------------------------------------------------------------------- */

static bool fits(const Sampler *s, const Weights *student, const Weights *teacher, const Weights *tokenizer, Err *err)
{
    const Codebook *book = &s->book;
    if (s->decoder.channels != book->channels)
        return err_set(err, ERR_FORMAT, "tokenizer %s: post_quant_conv takes %d channels, its codebook has %d",
                       tokenizer->path, s->decoder.channels, book->channels);
    if (student && s->student.channels != book->channels)
        return err_set(err, ERR_FORMAT,
                       "student %s: its tokens have %d channels, those of tokenizer %s have %d; a student needs the "
                       "tokenizer it was trained with",
                       student->path, s->student.channels, tokenizer->path, book->channels);
    if (student && s->student.tf.codes != book->codes)
        return err_set(err, ERR_FORMAT,
                       "student %s: it chooses among %d codes, tokenizer %s has %d; a student needs the tokenizer it "
                       "was trained with",
                       student->path, s->student.tf.codes, tokenizer->path, book->codes);
    if (teacher && s->teacher.tf.codes != book->codes)
        return err_set(err, ERR_FORMAT,
                       "teacher %s: it chooses among %d codes, tokenizer %s has %d; a teacher needs the tokenizer it "
                       "was trained with",
                       teacher->path, s->teacher.tf.codes, tokenizer->path, book->codes);
    if (student && teacher && s->student.tf.classes != s->teacher.tf.classes)
        return err_set(err, ERR_FORMAT, "teacher %s: it has %d classes, student %s has %d", teacher->path,
                       s->teacher.tf.classes, student->path, s->student.tf.classes);
    return true;
}

/* The grid that all three run on, from the sizes of the models before they are loaded. */
static bool choose_grid(Sampler *s, const Weights *student, const Weights *teacher, const Weights *tokenizer, int heads,
                        int grid, Err *err)
{
    SizedModel models[] = {{student, "student", 0, 0}, {teacher, "teacher", 0, 0}};
    for (size_t i = 0; i < countof(models); i++) {
        Transformer sizes;
        NetworkKind kind = i == 0 ? NETWORK_STUDENT : NETWORK_TEACHER;
        if (models[i].weights && (!network_check(models[i].weights, kind, err) ||
                                  !transformer_sizes(models[i].weights, models[i].role, heads, &sizes, err)))
            return false;
        if (models[i].weights)
            models[i].width = sizes.width, models[i].layers = sizes.layers;
    }
    return sizes_grid(models, countof(models), decoder_levels(tokenizer), grid, &s->grid, err);
}

static bool load_all(Sampler *s, const Weights *student, const Weights *teacher, const Weights *tokenizer, int heads,
                     int grid, Err *err)
{
    if (!student && !teacher)
        return err_set(err, ERR_USAGE, "models: neither a student nor a teacher was given, wanted at least one");
    if (!network_check(tokenizer, NETWORK_TOKENIZER, err) || !codebook_load(&s->book, tokenizer, s->be, err) ||
        !choose_grid(s, student, teacher, tokenizer, heads, grid, err) ||
        !decoder_load(&s->decoder, tokenizer, s->be, s->grid.value, err))
        return false;
    grid = s->decoder.grid;
    if ((student && !student_load(&s->student, student, s->be, heads, grid, err)) ||
        (teacher && !teacher_load(&s->teacher, teacher, s->be, heads, grid, err)))
        return false;
    const Transformer *any = student ? &s->student.tf : &s->teacher.tf;
    s->info = (ModelInfo){.grid = grid,
                          .tokens = grid * grid,
                          .channels = s->book.channels,
                          .codes = s->book.codes,
                          .classes = any->classes,
                          .image_size = s->decoder.image_size};
    return fits(s, student, teacher, tokenizer, err);
}

Sampler *sampler_open_weights(const Weights *student, const Weights *teacher, const Weights *tokenizer, int heads,
                              int grid, Backend *be, Err *err)
{
    Sampler *s = xcalloc(1, sizeof *s);
    s->be = be;
    if (load_all(s, student, teacher, tokenizer, heads, grid, err))
        return s;
    sampler_close(s);
    return NULL;
}

bool sampler_sizes_weights(const Weights *student, const Weights *teacher, const Weights *tokenizer, int heads,
                           int grid, ModelInfo *ret_info, Err *err)
{
    Sampler *s = xcalloc(1, sizeof *s);
    const Weights *any = student ? student : teacher;
    Transformer sizes = {.be = NULL};
    bool ok = network_check(tokenizer, NETWORK_TOKENIZER, err) &&
              choose_grid(s, student, teacher, tokenizer, heads, grid, err) &&
              (!any || transformer_sizes(any, student ? "student" : "teacher", heads, &sizes, err));
    if (ok)
        *ret_info = (ModelInfo){.grid = s->grid.value,
                                .tokens = s->grid.value * s->grid.value,
                                .classes = sizes.classes,
                                .image_size = s->grid.value << (decoder_levels(tokenizer) - 1)};
    free(s);
    return ok;
}

const ModelInfo *sampler_info(const Sampler *sampler)
{
    return &sampler->info;
}

bool sampler_check(const Sampler *sampler, const SamplerPlan *plan, Err *err)
{
    return plan_check(plan, &sampler->info, sampler->student.tf.be, sampler->teacher.tf.be, err);
}

/* --- memory --------------------------------------------------------------------------------------- */

static void layout(Sampler *s, int b)
{
    if (s->student.tf.be)
        student_layout(&s->student, &s->workspace, b, &s->student_work);
    workspace_rewind(&s->workspace, 0);
    if (s->teacher.tf.be)
        teacher_layout(&s->teacher, &s->workspace, b, &s->teacher_work);
    workspace_rewind(&s->workspace, 0);
    decoder_layout(&s->decoder, &s->workspace, b, &s->decoder_work);
}

static void release(Sampler *s)
{
    workspace_close(&s->workspace);
    teacher_work_close(&s->teacher_work);
    decoder_work_close(&s->decoder_work);
    free(s->vectors), free(s->latents), free(s->margin), free(s->codes), free(s->prefix);
    free(s->found.codes), free(s->found.margin), free(s->found.vectors);
    free(s->drawn.ids), free(s->drawn.margin);
    s->vectors = s->latents = s->margin = NULL;
    s->codes = s->prefix = NULL;
    s->found = (StudentResult){0};
    s->drawn = (TeacherResult){0};
    s->reserved = 0;
}

static void open_host(Sampler *s, int b)
{
    size_t tokens = (size_t)b * (size_t)s->info.tokens, numbers = tokens * (size_t)s->info.channels;
    s->vectors = xcalloc(numbers, sizeof(float));
    s->latents = xcalloc(numbers, sizeof(float));
    s->margin = xcalloc(tokens, sizeof(float));
    s->codes = xcalloc(tokens, sizeof(int32_t));
    s->prefix = xcalloc(tokens, sizeof(int32_t));
    s->found.codes = xcalloc(tokens, sizeof(int32_t));
    s->found.margin = xcalloc(tokens, sizeof(float));
    s->found.vectors = xcalloc(numbers, sizeof(float));
    s->drawn.ids = xcalloc(tokens, sizeof(int32_t));
    s->drawn.margin = xcalloc(tokens, sizeof(float));
    if (s->teacher.tf.be)
        teacher_work_open(&s->teacher, b, &s->teacher_work);
    decoder_work_open(&s->decoder, &s->decoder_work);
}

/* Memory that ops need beside the workspace: operands in 16 bits, logits, statistics. */
static size_t with_scratch(size_t bytes)
{
    return bytes + bytes / 4 + ((size_t)256 << 20);
}

static bool fits_free(const Sampler *s, int count, Err *err)
{
    size_t want = with_scratch(s->workspace.size), have = be_memory_free(s->be);
    return want <= have || err_set(err, ERR_MEMORY, "device %s: a batch of %d wants %zu MiB, %zu MiB are free",
                                   backend_device(s->be)->uuid, count, want >> 20, have >> 20);
}

bool sampler_reserve(Sampler *s, int count, Err *err)
{
    if (count == s->reserved)
        return true;
    release(s);
    if (count < 1 || count > 1 << 16)
        return err_set(err, ERR_USAGE, "batch: it is %d, wanted 1 to 65536", count);
    layout(s, count);
    if (!fits_free(s, count, err)) {
        workspace_close(&s->workspace);
        return false;
    }
    if (!workspace_open(&s->workspace, s->be, err))
        return err_wrap(err, "batch of %d", count);
    layout(s, count);
    open_host(s, count);
    s->reserved = count;
    return true;
}

void sampler_close(Sampler *sampler)
{
    if (!sampler)
        return;
    release(sampler);
    built_free(&sampler->built);
    codebook_free(&sampler->book);
    decoder_free(&sampler->decoder);
    student_free(&sampler->student);
    teacher_free(&sampler->teacher);
    free(sampler);
}

/* --- running -------------------------------------------------------------------------------------- */

static void set_code(Sampler *s, int64_t token, int32_t code)
{
    size_t c = (size_t)s->info.channels;
    s->codes[token] = code;
    memcpy(s->vectors + (size_t)token * c, s->book.rows + (size_t)code * c, c * sizeof(float));
}

/* What one student step found, into tokens t..end-1; and data tokens become the first of their duplicates. */
static void take_step(Sampler *s, const StudentStep *step)
{
    int n = student_codes(step), m = student_vectors(step), tokens = s->info.tokens;
    size_t c = (size_t)s->info.channels;
    for (int i = 0; i < step->b; i++) {
        int64_t row = (int64_t)i * tokens;
        for (int j = 0; j < step->t && j < step->split; j++)
            s->codes[row + j] = s->book.first[s->codes[row + j]];
        for (int j = 0; j < n; j++) {
            set_code(s, row + step->t + j, s->found.codes[i * n + j]);
            s->margin[row + step->t + j] = s->found.margin[i * n + j];
        }
        for (int j = 0; j < m; j++) {
            int64_t token = row + step->end - m + j;
            s->codes[token] = -1;
            s->margin[token] = NAN;
            memcpy(s->vectors + (size_t)token * c, s->found.vectors + ((size_t)i * (size_t)m + (size_t)j) * c,
                   c * sizeof(float));
        }
    }
}

/* One student step at t: tokens t..end-1 are found from data 0..t-1 and the batch's noise. */
static bool student_at(Sampler *s, const SamplerPlan *plan, const ModelBatch *batch, int t, int end, Err *err)
{
    StudentStep step = {.b = batch->count,
                        .t = t,
                        .split = plan->split_t,
                        .end = end,
                        .labels = batch->condition.labels,
                        .latents = s->latents};
    size_t c = (size_t)s->info.channels, tokens = (size_t)s->info.tokens;
    for (int i = 0; i < batch->count; i++) {
        float *dst = s->latents + (size_t)i * (size_t)end * c;
        size_t row = (size_t)i * tokens * c, data = (size_t)t * c;
        memcpy(dst, s->vectors + row, data * sizeof(float));
        memcpy(dst + data, batch->noise + row + data, ((size_t)end * c - data) * sizeof(float));
    }
    if (!student_step(&s->student, &s->student_work, &step, &s->found, err))
        return err_wrap(err, "student step at t=%d", t);
    take_step(s, &step);
    return true;
}

static bool few_step(Sampler *s, const SamplerPlan *plan, const ModelBatch *batch, const Stages *stages, Err *err)
{
    for (int i = 0; i < plan->t_count; i++) {
        int end = i + 1 < plan->t_count ? plan->t_list[i + 1] : s->info.tokens; /* what the next step reads */
        enter(stages, "student");
        if (!student_at(s, plan, batch, plan->t_list[i], end, err))
            return false;
    }
    return true;
}

/* Tokens from..upto-1, which the continuous head gave, become their nearest codes. */
static bool snap(Sampler *s, int b, int from, int upto, Err *err)
{
    size_t c = (size_t)s->info.channels, tokens = (size_t)s->info.tokens, n = (size_t)(upto - from);
    Tensor x = tensor_part(s->student_work.latents, 0, 2, (int64_t)n * b, s->info.channels, 0);
    Tensor ids = tensor_part(s->student_work.codes, 0, 1, (int64_t)n * b, 0, 0);
    for (size_t i = 0; i < (size_t)b; i++)
        memcpy(s->latents + i * n * c, s->vectors + (i * tokens + (size_t)from) * c, n * c * sizeof(float));
    be_upload(s->be, x, s->latents);
    be_nearest_code(s->be, x, s->book.device, ids);
    be_download(s->be, s->found.codes, ids);
    if (!be_check(s->be, err))
        return false;
    for (size_t i = 0; i < (size_t)b; i++)
        for (size_t j = 0; j < n; j++)
            set_code(s, (int64_t)(i * tokens + (size_t)from + j), s->found.codes[i * n + j]);
    return true;
}

/* The teacher's prefix: a student step, every token snapped to the codebook. */
static bool find_prefix(Sampler *s, const SamplerPlan *plan, const ModelBatch *batch, Err *err)
{
    int start = plan->teacher_start_t, tokens = s->info.tokens;
    if (!student_at(s, plan, batch, plan->t_list[0], start, err) ||
        (plan->split_t < start && !snap(s, batch->count, plan->split_t, start, err)))
        return false;
    for (int i = 0; i < batch->count; i++)
        for (int j = 0; j < start; j++) {
            int64_t token = (int64_t)i * tokens + j;
            set_code(s, token, s->book.first[s->codes[token]]);
            s->prefix[i * start + j] = s->codes[token];
        }
    return true;
}

static bool with_teacher(Sampler *s, const SamplerPlan *plan, const ModelBatch *batch, const Stages *stages, Err *err)
{
    int start = plan->teacher_start_t, end = plan->t_list[1], count = end - start;
    if (start) {
        enter(stages, "student");
        if (!find_prefix(s, plan, batch, err))
            return false;
    }
    TeacherDraw draw = {.b = batch->count,
                        .start = start,
                        .end = end,
                        .labels = batch->condition.labels,
                        .prefix = s->prefix,
                        .cfg_scale = plan->cfg_scale,
                        .cfg_interval = plan->cfg_interval,
                        .top_k = plan->top_k,
                        .top_p = plan->top_p,
                        .temperature = plan->temperature,
                        .uniform = plan->argmax ? NULL : batch->uniform};
    enter(stages, "teacher");
    if (!teacher_draw(&s->teacher, &s->teacher_work, &draw, &s->drawn, err))
        return err_wrap(err, "teacher, tokens %d to %d", start, end - 1);
    for (int i = 0; i < batch->count; i++)
        for (int j = 0; j < count; j++) {
            int64_t token = (int64_t)i * s->info.tokens + start + j;
            set_code(s, token, s->drawn.ids[i * count + j]);
            s->margin[token] = plan->argmax ? s->drawn.margin[i * count + j] : NAN;
        }
    if (end == s->info.tokens)
        return true;
    enter(stages, "student");
    return student_at(s, plan, batch, end, s->info.tokens, err);
}

static bool check_batch(const Sampler *s, const SamplerPlan *plan, const ModelBatch *batch, Err *err)
{
    if (batch->count < 1 || batch->count > s->reserved)
        return err_set(err, ERR_INTERNAL, "batch of %d images, room was made for %d", batch->count, s->reserved);
    if (batch->condition.kind != CONDITION_LABELS)
        return err_set(err, ERR_INTERNAL, "the batch has a condition of kind %d, and this model takes labels",
                       (int)batch->condition.kind);
    for (int i = 0; i < batch->count; i++)
        if (batch->condition.labels[i] < 0 || batch->condition.labels[i] >= s->info.classes)
            return err_set(err, ERR_USAGE, "label %d of the batch is %d, this model has classes 0 to %d", i,
                           batch->condition.labels[i], s->info.classes - 1);
    if (plan_uses_student(plan, &s->info) && !batch->noise)
        return err_set(err, ERR_INTERNAL, "the batch has no noise and the student needs it");
    if (plan_uses_teacher(plan) && !plan->argmax && !batch->uniform)
        return err_set(err, ERR_INTERNAL, "the batch has no uniform numbers and the teacher draws with them");
    return true;
}

bool sampler_run(Sampler *s, const SamplerPlan *plan, ModelBatch *batch, void (*stage)(const char *name, void *ctx),
                 void *ctx, Err *err)
{
    Stages stages = {stage, ctx};
    if (!sampler_check(s, plan, err) || !check_batch(s, plan, batch, err))
        return false;
    if (!(plan_uses_teacher(plan) ? with_teacher : few_step)(s, plan, batch, &stages, err))
        return false;
    size_t tokens = (size_t)batch->count * (size_t)s->info.tokens;
    if (batch->codes)
        memcpy(batch->codes, s->codes, tokens * sizeof *batch->codes);
    if (batch->margin)
        memcpy(batch->margin, s->margin, tokens * sizeof *batch->margin);
    if (batch->vectors)
        memcpy(batch->vectors, s->vectors, tokens * (size_t)s->info.channels * sizeof *batch->vectors);
    if (!batch->pixels)
        return true;
    enter(&stages, "decode");
    if (!decoder_run(&s->decoder, &s->decoder_work, s->vectors, batch->count, batch->pixels, NULL, NULL, err))
        return err_wrap(err, "decoder");
    return true;
}
