/* Labels and noise by image index. A file may have more rows than the job has images; the first ones are used. */
#include "worker/job/inputs.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/philox.h"

/* --- opening --------------------------------------------------------------------------------------- */

static bool open_noise(const JobSpec *spec, Inputs *inputs, Err *err)
{
    if (!npy_open(spec->noise, &inputs->noise, err))
        return err_wrap(err, "noise");
    char shape[96];
    npy_print_shape(&inputs->noise, shape, sizeof shape);
    const NpyArray *noise = &inputs->noise;
    if (noise->dtype != DTYPE_F32 || noise->ndim != 3)
        return err_set(err, ERR_FORMAT, "noise %s: found %s, wanted [n,L,C] f32", spec->noise, shape);
    if (noise->shape[0] < spec->images)
        return err_set(err, ERR_FORMAT, "noise %s: found %s, wanted at least %" PRId64 " rows, one an image",
                       spec->noise, shape, spec->images);
    return true;
}

static bool open_labels(const JobSpec *spec, Inputs *inputs, Err *err)
{
    if (!npy_open(spec->labels, &inputs->labels, err))
        return err_wrap(err, "labels");
    char shape[96];
    npy_print_shape(&inputs->labels, shape, sizeof shape);
    const NpyArray *labels = &inputs->labels;
    if ((labels->dtype != DTYPE_I32 && labels->dtype != DTYPE_I64 && labels->dtype != DTYPE_U8) || labels->ndim != 1)
        return err_set(err, ERR_FORMAT, "labels %s: found %s, wanted [n] i32 or i64", spec->labels, shape);
    if (labels->shape[0] < spec->images)
        return err_set(err, ERR_FORMAT, "labels %s: found %s, wanted at least %" PRId64 ", one an image", spec->labels,
                       shape, spec->images);
    return true;
}

bool inputs_open(const JobSpec *spec, Inputs *ret_inputs, Err *err)
{
    Inputs inputs = {.spec = spec};
    if ((spec->noise && !open_noise(spec, &inputs, err)) || (spec->labels && !open_labels(spec, &inputs, err))) {
        inputs_close(&inputs);
        return false;
    }
    *ret_inputs = inputs;
    return true;
}

void inputs_close(Inputs *inputs)
{
    npy_free(&inputs->noise);
    npy_free(&inputs->labels);
    *inputs = (Inputs){0};
}

int inputs_grid(const Inputs *inputs)
{
    if (!inputs->noise.data)
        return 0;
    int side = (int)lround(sqrt((double)inputs->noise.shape[1]));
    return (int64_t)side * side == inputs->noise.shape[1] ? side : 0;
}

/* --- against the model ----------------------------------------------------------------------------- */

static int64_t label_in_file(const NpyArray *labels, int64_t i)
{
    switch (labels->dtype) {
    case DTYPE_I32:
        return ((const int32_t *)labels->data)[i];
    case DTYPE_I64:
        return ((const int64_t *)labels->data)[i];
    default:
        return ((const uint8_t *)labels->data)[i];
    }
}

int64_t inputs_label(const Inputs *inputs, int64_t i, int classes)
{
    const JobSpec *spec = inputs->spec;
    if (inputs->labels.data)
        return label_in_file(&inputs->labels, i);
    switch (spec->classes) {
    case CLASSES_BALANCED:
        return i % classes;
    case CLASSES_LIST:
        return spec->class_list[i % spec->class_count];
    default:
        return noise_label(spec->seed, (uint64_t)i, classes);
    }
}

static bool labels_fit(const Inputs *inputs, Err *err)
{
    const JobSpec *spec = inputs->spec;
    int64_t count = inputs->labels.data ? spec->images : spec->classes == CLASSES_LIST ? spec->class_count : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t label = inputs->labels.data ? label_in_file(&inputs->labels, i) : spec->class_list[i];
        if (label < 0 || label >= inputs->info.classes)
            return err_set(err, ERR_USAGE,
                           "%s%s: label %" PRId64 " at place %" PRId64 ", and the model has the classes 0 to %d",
                           inputs->labels.data ? "labels " : "job field classes",
                           inputs->labels.data ? spec->labels : "", label, i, inputs->info.classes - 1);
    }
    return true;
}

bool inputs_fit(Inputs *inputs, const ModelInfo *info, Err *err)
{
    inputs->info = *info;
    const NpyArray *noise = &inputs->noise;
    if (noise->data && (noise->shape[1] != info->tokens || noise->shape[2] != info->channels)) {
        char shape[96];
        npy_print_shape(noise, shape, sizeof shape);
        return err_set(err, ERR_FORMAT, "noise %s: found %s, the model wants [n,%d,%d] f32", inputs->spec->noise, shape,
                       info->tokens, info->channels);
    }
    return labels_fit(inputs, err);
}

/* --- filling --------------------------------------------------------------------------------------- */

static bool noise_from_file(const Inputs *inputs, int64_t lo, int count, float *noise, Err *err)
{
    int64_t row = (int64_t)inputs->info.tokens * inputs->info.channels;
    const float *from = (const float *)inputs->noise.data + lo * row;
    for (int64_t i = 0; i < count * row; i++)
        if (!isfinite(from[i]))
            return err_set(err, ERR_NUMERIC, "noise %s: row %" PRId64 " holds %g", inputs->spec->noise, lo + i / row,
                           (double)from[i]);
    memcpy(noise, from, (size_t)(count * row) * sizeof *noise);
    return true;
}

bool inputs_fill(const Inputs *inputs, int64_t lo, int count, int32_t *labels, float *noise, float *uniform, Err *err)
{
    const int tokens = inputs->info.tokens, row = tokens * inputs->info.channels;
    for (int i = 0; i < count; i++)
        labels[i] = (int32_t)inputs_label(inputs, lo + i, inputs->info.classes);
    for (int i = 0; i < count && uniform; i++)
        noise_uniform(inputs->spec->seed, (uint64_t)(lo + i), uniform + (int64_t)i * tokens, tokens);
    if (inputs->noise.data)
        return noise_from_file(inputs, lo, count, noise, err);
    for (int i = 0; i < count; i++)
        noise_normal(inputs->spec->seed, (uint64_t)(lo + i), noise + (int64_t)i * row, row);
    return true;
}
