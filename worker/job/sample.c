/* Making images: for every gap that no valid shard covers, batch by batch
 *
 *   inputs -> Family.run -> features of the pixels just made -> writer
 *
 * The inputs of a batch are made while the one before is sampled; the writer encodes and flushes while the next one is
 * sampled. At a stop or a failure the images made so far still become a shard, so they are not made again. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "worker/job/filling.h"
#include "worker/job/inputs_ahead.h"

typedef struct Making {
    Run *run;
    const Hooks *hooks;
    Filling filling;
    bool claimed; /* the folder; done with the first batch, so the first step does not wait for the disk */
    InputsAhead *ahead;
    int64_t gap_end; /* of the gap that is being filled */
    const char *stage;
} Making;

static void on_stage(const char *name, void *ctx)
{
    Making *making = ctx;
    stopwatch_enter(&making->run->watch, stage_parse(name));
    making->stage = name;
    filling_progress(&making->filling, making->stage);
}

/* --- one batch ------------------------------------------------------------------------------------- */

static void *room(int64_t count, size_t size, Err *err)
{
    void *memory = malloc((size_t)count * size);
    if (!memory)
        err_set(err, ERR_MEMORY, "no %zu MiB for a batch", (size_t)count * size >> 20);
    return memory;
}

static bool batch_room(const Making *making, WriterBatch *batch, Err *err)
{
    const ModelInfo *info = &making->run->model->info;
    const bool *keeps = making->run->keeps.arrays;
    const int64_t n = batch->count, tokens = n * info->tokens;
    void **arrays = batch->arrays;
    return (!keeps[ARRAY_CODES] || (arrays[ARRAY_CODES] = room(tokens, sizeof(int32_t), err))) &&
           (arrays[ARRAY_VECTORS] = room(tokens * info->channels, sizeof(float), err)) &&
           (arrays[ARRAY_PIXELS] = room(n * info->image_size * info->image_size, 3, err));
}

/* Pixels are always finite, so an overflow is visible in the vectors only. */
static bool vectors_finite(const Making *making, const WriterBatch *batch, Err *err)
{
    const ModelInfo *info = &making->run->model->info;
    const float *vectors = batch->arrays[ARRAY_VECTORS];
    const int64_t row = (int64_t)info->tokens * info->channels;
    for (int64_t i = 0; i < batch->count * row; i++)
        if (!isfinite(vectors[i]))
            return err_set(err, ERR_NUMERIC,
                           "image %" PRId64 ": token %" PRId64 " is %g; if the precision is below fp32, try fp32",
                           batch->lo + i / row, i % row / info->channels, (double)vectors[i]);
    return true;
}

/* Images of the batch that starts at `at`, in this gap. */
static int batch_size(const Making *making, int64_t at)
{
    int64_t left = making->gap_end - at;
    return left < making->run->batch ? (int)left : making->run->batch;
}

/* The batch, `part` images at a time. */
static bool sample_parts(Making *making, Model *model, const InputsBatch *inputs, const WriterBatch *batch, int part,
                         Err *err)
{
    const ModelInfo *info = &model->info;
    const size_t tokens = (size_t)info->tokens, values = tokens * (size_t)info->channels,
                 bytes = (size_t)info->image_size * (size_t)info->image_size * 3;
    const Stages stages = {on_stage, making};
    int32_t *codes = batch->arrays[ARRAY_CODES];
    for (int from = 0; from < batch->count; from += part) {
        const size_t i = (size_t)from;
        ModelBatch work = {
            .count = batch->count - from < part ? batch->count - from : part,
            .condition = condition_from(inputs->condition, i),
            .noise = inputs->noise + i * values,
            .uniform = inputs->uniform ? inputs->uniform + i * tokens : NULL,
            .codes = codes ? codes + i * tokens : NULL,
            .vectors = (float *)batch->arrays[ARRAY_VECTORS] + i * values,
            .pixels = (uint8_t *)batch->arrays[ARRAY_PIXELS] + i * bytes,
        };
        if (!model->family->run(model, making->run->spec, &work, &stages, err))
            return false;
    }
    return true;
}

/* Room in the spare model for as much of a batch as fits beside the other one. */
static bool spare_reserve(Run *run, Model *spare, Err *err)
{
    int count = run->spare_batch ? run->spare_batch : run->batch;
    for (; !spare->family->reserve(spare, count, err); count /= 2)
        if (err->kind != ERR_MEMORY || count == 1)
            return err_wrap(err, "fp16 cannot hold some numbers of this model, and bf16 beside it does not fit; choose "
                                 "precision bf16");
    run->spare_batch = count;
    return true;
}

/* Values that overflow fp16 fit into bf16: the batch is made again in it. `why`: the first failure. */
static bool sample_again(Making *making, const InputsBatch *inputs, WriterBatch *batch, const Err *why, Err *err)
{
    Run *run = making->run;
    Model *spare = model_cache_spare(run->models, run->family, &run->files, err);
    if (!spare || !spare_reserve(run, spare, err))
        return false;
    run_note(run, making->hooks, "%s; such batches are made again in bf16", why->text);
    batch->precision = precision_name(PREC_BF16);
    return sample_parts(making, spare, inputs, batch, run->spare_batch, err);
}

static bool sample_batch(Making *making, WriterBatch *batch, Err *err)
{
    Run *run = making->run;
    const int64_t next = batch->lo + batch->count;
    const InputsBatch *inputs =
        inputs_ahead_take(making->ahead, batch->lo, batch->count, next, batch_size(making, next), err);
    if (!inputs)
        return false;
    bool good = sample_parts(making, run->model, inputs, batch, batch->count, err);
    if (!good && run->precision == PREC_F16 && err->kind == ERR_NUMERIC) {
        Err why = *err;
        good = sample_again(making, inputs, batch, &why, err);
    }
    return good && vectors_finite(making, batch, err);
}

static bool make_batch(Making *making, WriterBatch *batch, Err *err)
{
    Run *run = making->run;
    const int side = run->model->info.image_size;
    if (!batch_room(making, batch, err) || !sample_batch(making, batch, err))
        return false;
    if (run->keeps.arrays[ARRAY_FEATURES]) {
        on_stage(stage_name(STAGE_FEATURES), making);
        MeasureRows rows;
        if (!measure_pixels(batch->arrays[ARRAY_PIXELS], batch->lo, batch->count, side, side, &run->measure,
                            making->hooks, &rows, err))
            return false;
        run_take_rows(&rows, batch);
    }
    stopwatch_enter(&run->watch, STAGE_WRITE);
    if (!run->keeps.arrays[ARRAY_VECTORS]) {
        free(batch->arrays[ARRAY_VECTORS]);
        batch->arrays[ARRAY_VECTORS] = NULL;
    }
    return true;
}

static bool add_batch(Making *making, WriterBatch *batch, Err *err)
{
    Run *run = making->run;
    making->claimed =
        making->claimed || folder_claim(run->spec->output, run->spec, &run->identity, run->submitted, err);
    if (!making->claimed) {
        writer_batch_free(batch);
        return false;
    }
    making->filling.made += batch->count;
    run_take_times(run, batch);
    return writer_add(making->filling.writer, batch, err);
}

/* --- all gaps -------------------------------------------------------------------------------------- */

static bool open_inputs(Making *making, Err *err)
{
    const Run *run = making->run;
    making->ahead = inputs_ahead_open(&run->inputs, run->batch, run->family->draws(run->spec), err);
    return making->ahead != NULL;
}

/* After a batch that did not fit: other programs use the device too, so there may be less free memory than when the
 * job began. */
static bool shrink(Making *making, Err *err)
{
    Run *run = making->run;
    if (!err || err->kind != ERR_MEMORY || run->batch == 1)
        return false;
    run_note(run, making->hooks, "a batch of %d no longer fits in memory (%s); went on with %d", run->batch, err->text,
             run->batch / 2);
    err_clear(err);
    return run_reserve(run, run->batch / 2, making->hooks, err);
}

static bool fill_gap(void *ctx, int64_t at, int64_t end, Err *err)
{
    Making *making = ctx;
    making->gap_end = end;
    for (; at < end;) {
        if (hooks_stopped(making->hooks))
            return err_set(err, ERR_CANCELLED, "stopped before image %" PRId64, at);
        WriterBatch *batch = xcalloc(1, sizeof *batch);
        batch->lo = at;
        batch->count = batch_size(making, at);
        if (!make_batch(making, batch, err)) {
            writer_batch_free(batch);
            if (!shrink(making, err))
                return false;
            continue;
        }
        at += batch->count;
        if (!add_batch(making, batch, err))
            return false;
        filling_progress(&making->filling, making->stage);
    }
    return true;
}

static bool fill_gaps(Making *making, Err *err)
{
    Run *run = making->run;
    if (!filling_needed(&making->filling))
        return true;
    if (!run_load(run, making->hooks, err) || !open_inputs(making, err))
        return false;
    making->filling.writer = run_writer(run, run->model->info.image_size, err);
    return making->filling.writer && filling_gaps(&making->filling, fill_gap, making, err);
}

bool run_images(Run *run, int64_t lo, int64_t hi, const Hooks *hooks, int64_t *ret_upto, Err *err)
{
    *ret_upto = lo;
    if (run->expected && run->images != run->expected)
        return err_set(err, ERR_NOT_FOUND,
                       "images %s: %" PRId64 " of them were counted when the job began, now there are %" PRId64
                       "; measure again when no other process writes there",
                       run->spec->source, run->expected, run->images);
    if (lo < 0 || hi < lo || hi > run->images)
        return err_set(err, ERR_USAGE, "range %" PRId64 " to %" PRId64 ": the job has the images 0 to %" PRId64, lo, hi,
                       run->images);
    if (jobkind_of(run->spec->kind)->reads_source)
        return run_measure(run, lo, hi, hooks, ret_upto, err);
    Making making = {.run = run, .hooks = hooks, .stage = "load"};
    if (!filling_open(&making.filling, run, lo, hi, hooks, err))
        return false;
    bool good = fill_gaps(&making, err);
    good = filling_close(&making.filling, good, making.stage, ret_upto, err);
    inputs_ahead_close(making.ahead);
    return good;
}
