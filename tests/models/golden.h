/* The golden samplers of tests/golden/llamagen: arrays by name, and the files' weights. */
#ifndef TESTS_MODELS_GOLDEN_H
#define TESTS_MODELS_GOLDEN_H

#include "kernels/cuda/host/driver.h"
#include "tests/test.h"

#include <math.h>

#include "worker/arrays/npy.h"
#include "worker/models/sampler.h"
#include "worker/weights/weights.h"

typedef struct GoldenSet {
    const char *name;
    int grid, batch;
    const char *student, *teacher, *tokenizer, *expected, *cases;
} GoldenSet;

static const GoldenSet GOLDEN_SETS[] = {
    {"tiny", 4, 3, MADE("llamagen/tiny/student.safetensors"), MADE("llamagen/tiny/teacher.safetensors"),
     MADE("llamagen/tiny/vq.safetensors"), GOLDEN("llamagen/tiny/expected.npz"), GOLDEN("llamagen/tiny/case.json")},
    {"small", 16, 2, MADE("llamagen/small/student.safetensors"), MADE("llamagen/small/teacher.safetensors"),
     MADE("llamagen/small/vq.safetensors"), GOLDEN("llamagen/small/expected.npz"), GOLDEN("llamagen/small/case.json")},
};

static inline NpyArray golden_array(const Npz *npz, const char *name)
{
    Err err = {0};
    NpyArray array = {0};
    assert_ok(npz_read(npz, name, SIZE_MAX, &array, &err), err);
    return array;
}

/* An array "GROUP.CASE.leaf" of numbers. */
static inline NpyArray golden_case(const Npz *npz, const char *group, const char *name, const char *leaf)
{
    char *full = xasprintf("%s.%s.%s", group, name, leaf);
    NpyArray array = golden_array(npz, full);
    free(full);
    return array;
}

/* Where tests run: `--device cuda --precision fp16`; bounds of other precisions than fp32 are test_golden's. */
static const char *golden_device = "cpu";
static Precision golden_precision = PREC_F32;

static inline void golden_options(int argc, char **argv)
{
    static const char *const names[] = {"fp32", "tf32", "fp16", "bf16"};
    backend_register(&cuda_host_driver);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--device"))
            golden_device = argv[i + 1];
        for (int p = 0; p < (int)countof(names) && !strcmp(argv[i], "--precision"); p++)
            if (!strcmp(argv[i + 1], names[p]))
                golden_precision = (Precision)p;
    }
}

/* Kernels on the host have a thousandth of the speed of a GPU. */
static inline bool golden_slow(void)
{
    return !strcmp(golden_device, "cuda-host");
}

static inline Backend *golden_backend(void)
{
    Err err = {0};
    Backend *be = backend_open(golden_device, golden_precision, 0, &err);
    assert_ok(be, err);
    return be;
}

static inline Sampler *golden_sampler(const GoldenSet *set, Backend *be, int batch)
{
    Err err = {0};
    SamplerFiles files = {
        .student = set->student, .teacher = set->teacher, .tokenizer = set->tokenizer, .grid = set->grid};
    Sampler *sampler = sampler_open(&files, be, &err);
    assert_ok(sampler, err);
    assert_ok(sampler_reserve(sampler, batch, &err), err);
    return sampler;
}

static inline double golden_max_error(const float *got, const float *want, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        most = error > most || error != error ? error : most;
    }
    return most;
}

static inline double golden_relative_l2(const float *got, const float *want, size_t count)
{
    double error = 0, scale = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)got[i] - (double)want[i];
        error += d * d;
        scale += (double)want[i] * (double)want[i];
    }
    return sqrt(error / scale);
}

/* Share of bytes that differ by more than 1. */
static inline double golden_pixels_off(const uint8_t *got, const uint8_t *want, size_t count)
{
    size_t off = 0;
    for (size_t i = 0; i < count; i++)
        off += abs((int)got[i] - (int)want[i]) > 1;
    return (double)off / (double)count;
}

/* A checkpoint without one tensor. */
typedef struct GoldenHidden {
    const Ckpt *ckpt;
    const char *name;
} GoldenHidden;

static inline bool golden_hidden_has(const void *ctx, const char *name)
{
    const GoldenHidden *hidden = ctx;
    return strcmp(name, hidden->name) && ckpt_find(hidden->ckpt, name);
}

static inline bool golden_hidden_shape(const void *ctx, const char *name, int ndim, int64_t *shape, Err *err)
{
    const GoldenHidden *hidden = ctx;
    return strcmp(name, hidden->name) ? ckpt_shape(hidden->ckpt, name, ndim, shape, err)
                                      : err_set(err, ERR_FORMAT, "no %s", name);
}

static inline bool golden_hidden_read(const void *ctx, const char *name, int ndim, const int64_t *shape, float *dst,
                                      Err *err)
{
    const GoldenHidden *hidden = ctx;
    return strcmp(name, hidden->name) ? ckpt_read(hidden->ckpt, name, ndim, shape, dst, err)
                                      : err_set(err, ERR_FORMAT, "no %s", name);
}

static inline const char *golden_hidden_name(const void *ctx, int i)
{
    const GoldenHidden *hidden = ctx;
    for (int k = 0; k < ckpt_count(hidden->ckpt); k++)
        if (strcmp(ckpt_at(hidden->ckpt, k)->name, hidden->name) && i-- == 0)
            return ckpt_at(hidden->ckpt, k)->name;
    return NULL;
}

static inline Weights golden_without(const GoldenHidden *hidden)
{
    return (Weights){ckpt_path(hidden->ckpt), hidden, golden_hidden_has, golden_hidden_shape, golden_hidden_read,
                     golden_hidden_name};
}

#endif
